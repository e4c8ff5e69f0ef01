// SPDX-License-Identifier: GPL-2.0
//! The XTS engine of each class against the oracle: any data unit, also in several calls.

mod common;

use common::{for_each_class, noise, oracle, sector, DIRECTIONS, VARIANTS};
use proptest::prelude::*;
use tresor::handle::{Handle, Variant};
use tresor::reference::{self, Sha256};
use tresor::user::{self, Direction, Position, Xts};

const S: [u8; 32] = *b"a register secret of tests only!";

for_each_class!(
    equals_the_oracle,
    sector_numbers_near_2_to_the_64,
    cut_data_unit_equals_one_call,
);

fn equals_the_oracle(engine: Xts) {
    proptest!(|(
        s: [u8; 32], iv: [u8; 16], mask in any::<[[u8; 32]; 2]>(), tweak_iv: [u8; 16], wide: bool,
        decrypt: bool, data in prop::collection::vec(any::<u8>(), 16..700),
    )| {
        prop_assume!(s != [0; 32]);
        user::set_secret(&s);
        let variant = VARIANTS[usize::from(wide)];
        let direction = DIRECTIONS[usize::from(decrypt)];
        let handle = Handle { iv, mask: mask.concat().try_into().unwrap() };
        let key = reference::volume_key(&s, &handle, variant);
        let mut out = data.clone();
        let position = Position { tweak_iv, first_block: 0 };
        engine.crypt_in_place(variant, direction, &handle, &mut out, &position).unwrap();
        prop_assert_eq!(out, oracle(&key, direction, &tweak_iv, &data));
    });
}

fn sector_numbers_near_2_to_the_64(engine: Xts) {
    proptest!(|(below in 0u64..16, len in 16usize..600)| {
        user::set_secret(&S);
        let handle = Handle::derived::<Sha256>(&[2; 64]).unwrap();
        let key = reference::volume_key(&S, &handle, Variant::Aes256);
        let position = sector(u64::MAX - below);
        let mut data = noise(below, len);
        let expected = oracle(&key, Direction::Encrypt, &position.tweak_iv, &data);
        engine
            .crypt_in_place(Variant::Aes256, Direction::Encrypt, &handle, &mut data, &position)
            .unwrap();
        prop_assert_eq!(data, expected);
    });
}

fn cut_data_unit_equals_one_call(engine: Xts) {
    proptest!(|(
        wide: bool, decrypt: bool, tweak_iv: [u8; 16], len in 64usize..6000,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    )| {
        user::set_secret(&S);
        let variant = VARIANTS[usize::from(wide)];
        let direction = DIRECTIONS[usize::from(decrypt)];
        let handle = Handle::derived::<Sha256>(&vec![3; variant.key_len()]).unwrap();
        let key = reference::volume_key(&S, &handle, variant);
        let data = noise(len as u64, len);

        // Any whole number of blocks that leaves the last run 16 bytes.
        let mut ends: Vec<_> = cuts.iter().map(|cut| 16 * cut.index(len / 16)).collect();
        ends.push(len);
        ends.sort_unstable();
        let mut out = data.clone();
        let mut start = 0;
        for end in ends.into_iter().filter(|&end| end > 0) {
            if end == start {
                continue;
            }
            let position = Position { tweak_iv, first_block: (start / 16) as u64 };
            let run = &mut out[start..end];
            engine.crypt_in_place(variant, direction, &handle, run, &position).unwrap();
            start = end;
        }
        prop_assert_eq!(out, oracle(&key, direction, &tweak_iv, &data));
    });
}
