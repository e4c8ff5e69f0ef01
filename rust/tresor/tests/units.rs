// SPDX-License-Identifier: GPL-2.0
//! Several data units in one call: the same as each on its own.

mod common;

use common::{for_each_class, noise, oracle, sector, Guarded, DIRECTIONS, PAGE, VARIANTS};
use proptest::prelude::*;
use tresor::handle::{Handle, Variant};
use tresor::reference::{self, Sha256};
use tresor::user::{self, Direction, Position, Units, Xts, XtsError};

const S: [u8; 32] = *b"a register secret of tests only!";

for_each_class!(
    equals_the_oracle,
    equals_separate_calls,
    every_number_of_units,
    numbers_wrap_at_2_to_the_64,
    between_guard_pages,
    without_s_nothing_is_written,
    no_whole_number_of_units_is_refused,
);

/// The number of data unit `index`: as `sector` numbers count, in the first eight bytes.
fn number(first: &[u8; 16], index: usize) -> [u8; 16] {
    let mut number = *first;
    let count = u64::from_le_bytes(first[..8].try_into().unwrap()).wrapping_add(index as u64);
    number[..8].copy_from_slice(&count.to_le_bytes());
    number
}

/// What a call is to make of its data units, from the oracle.
fn oracle_of_units(key: &[u8], direction: Direction, units: &Units, data: &[u8]) -> Vec<u8> {
    data.chunks(units.len)
        .enumerate()
        .flat_map(|(index, unit)| oracle(key, direction, &number(&units.tweak_iv, index), unit))
        .collect()
}

fn equals_the_oracle(engine: Xts) {
    proptest!(|(
        s: [u8; 32], iv: [u8; 16], mask in any::<[[u8; 32]; 2]>(), tweak_iv: [u8; 16], wide: bool,
        decrypt: bool, blocks in 1usize..80, count in 1usize..=16, in_place: bool, seed: u64,
    )| {
        prop_assume!(s != [0; 32]);
        user::set_secret(&s);
        let variant = VARIANTS[usize::from(wide)];
        let direction = DIRECTIONS[usize::from(decrypt)];
        let handle = Handle { iv, mask: mask.concat().try_into().unwrap() };
        let key = reference::volume_key(&s, &handle, variant);
        let units = Units { tweak_iv, len: 16 * blocks };
        let data = noise(seed, units.len * count);
        let mut out = data.clone();
        if in_place {
            engine.crypt_units_in_place(variant, direction, &handle, &mut out, &units).unwrap();
        } else {
            engine.crypt_units(variant, direction, &handle, &data, &mut out, &units).unwrap();
        }
        prop_assert_eq!(out, oracle_of_units(&key, direction, &units, &data));
    });
}

fn equals_separate_calls(engine: Xts) {
    proptest!(|(
        tweak_iv: [u8; 16], wide: bool, decrypt: bool, blocks in 1usize..300, count in 1usize..=16,
    )| {
        user::set_secret(&S);
        let variant = VARIANTS[usize::from(wide)];
        let direction = DIRECTIONS[usize::from(decrypt)];
        let handle = Handle::derived::<Sha256>(&vec![5; variant.key_len()]).unwrap();
        let units = Units { tweak_iv, len: 16 * blocks };
        let mut together = noise(blocks as u64, units.len * count);
        let mut apart = together.clone();
        engine.crypt_units_in_place(variant, direction, &handle, &mut together, &units).unwrap();
        for (index, unit) in apart.chunks_mut(units.len).enumerate() {
            let position = Position { tweak_iv: number(&tweak_iv, index), first_block: 0 };
            engine.crypt_in_place(variant, direction, &handle, unit, &position).unwrap();
        }
        prop_assert_eq!(together, apart);
    });
}

/// Every number of data units, also beyond what an engine prepares at once, with every length that
/// it does by another way.
fn every_number_of_units(engine: Xts) {
    user::set_secret(&S);
    for variant in VARIANTS {
        let handle = Handle::derived::<Sha256>(&vec![6; variant.key_len()]).unwrap();
        let key = reference::volume_key(&S, &handle, variant);
        for blocks in (1..=34).chain([64, 256]) {
            let most = if blocks > 34 { 9 } else { 40 };
            for count in 1..=most {
                let units = Units {
                    tweak_iv: sector(77).tweak_iv,
                    len: 16 * blocks,
                };
                let plain = noise(count as u64, units.len * count);
                let cipher = oracle_of_units(&key, Direction::Encrypt, &units, &plain);
                let mut data = plain.clone();
                let mut crypt = |direction| {
                    engine
                        .crypt_units_in_place(variant, direction, &handle, &mut data, &units)
                        .unwrap();
                    data.clone()
                };
                assert!(
                    crypt(Direction::Encrypt) == cipher,
                    "{variant:?} encrypt {count} x {blocks} blocks"
                );
                assert!(
                    crypt(Direction::Decrypt) == plain,
                    "{variant:?} decrypt {count} x {blocks} blocks"
                );
            }
        }
    }
}

/// The count stays in the first eight bytes: the others keep what they have.
fn numbers_wrap_at_2_to_the_64(engine: Xts) {
    user::set_secret(&S);
    for (variant, below) in VARIANTS
        .into_iter()
        .flat_map(|variant| (0..17).map(move |below| (variant, below)))
    {
        let handle = Handle::derived::<Sha256>(&vec![7; variant.key_len()]).unwrap();
        let key = reference::volume_key(&S, &handle, variant);
        for high in [[0; 8], [0xff; 8], *b"the high"] {
            let low = (u64::MAX - below).to_le_bytes();
            let units = Units {
                tweak_iv: [low, high].concat().try_into().unwrap(),
                len: 32,
            };
            let data = noise(below, 32 * 20);
            let expected = oracle_of_units(&key, Direction::Encrypt, &units, &data);
            let mut out = data;
            engine
                .crypt_units_in_place(variant, Direction::Encrypt, &handle, &mut out, &units)
                .unwrap();
            assert_eq!(out, expected, "{variant:?} 2^64 - {}", below + 1);
        }
    }
}

/// Neither reads nor writes beyond the last data unit, nor before the first.
fn between_guard_pages(engine: Xts) {
    user::set_secret(&S);
    let handle = Handle::derived::<Sha256>(&[8; 64]).unwrap();
    let key = reference::volume_key(&S, &handle, Variant::Aes256);
    let (mut source, mut destination) = (Guarded::new(4), Guarded::new(4));
    let lens = [
        16, 32, 48, 64, 80, 112, 128, 144, 240, 256, 272, 512, 528, 1024,
    ];
    for (len, count) in lens
        .into_iter()
        .flat_map(|len| [1, 2, 3, 7, 8, 9, 16].map(|count| (len, count)))
        .filter(|(len, count)| len * count <= 4 * PAGE)
    {
        let units = Units {
            tweak_iv: sector(1).tweak_iv,
            len,
        };
        let bytes = len * count;
        let data = noise(len as u64, bytes);
        for direction in DIRECTIONS {
            let expected = oracle_of_units(&key, direction, &units, &data);
            let crypt = |src: &[u8], dst: &mut [u8]| {
                engine
                    .crypt_units(Variant::Aes256, direction, &handle, src, dst, &units)
                    .unwrap()
            };
            source.at_start(bytes).copy_from_slice(&data);
            crypt(source.at_start(bytes), destination.at_end(bytes));
            assert_eq!(destination.at_end(bytes), expected, "{count} x {len}");
            source.at_end(bytes).copy_from_slice(&data);
            crypt(source.at_end(bytes), destination.at_start(bytes));
            assert_eq!(destination.at_start(bytes), expected, "{count} x {len}");
        }
    }
}

fn without_s_nothing_is_written(engine: Xts) {
    user::clear_secret();
    let handle = Handle::derived::<Sha256>(&[1; 64]).unwrap();
    let units = Units {
        tweak_iv: [0; 16],
        len: 512,
    };
    for (variant, direction) in VARIANTS
        .into_iter()
        .flat_map(|v| DIRECTIONS.map(|d| (v, d)))
    {
        let mut data = noise(1, 8 * 512);
        let result = engine.crypt_units_in_place(variant, direction, &handle, &mut data, &units);
        assert_eq!(result, Err(XtsError::NoSecret));
        assert_eq!(data, noise(1, 8 * 512));
    }
}

fn no_whole_number_of_units_is_refused(engine: Xts) {
    user::set_secret(&S);
    let handle = Handle::derived::<Sha256>(&[1; 64]).unwrap();
    for (unit, src, dst) in [
        (0, 32, 32),
        (8, 32, 32),
        (24, 48, 48),
        (32, 48, 48),
        (64, 32, 32),
        (32, 0, 0),
        (32, 64, 32),
    ] {
        let units = Units {
            tweak_iv: [0; 16],
            len: unit,
        };
        let mut out = vec![0xee; dst];
        let result = engine.crypt_units(
            Variant::Aes256,
            Direction::Encrypt,
            &handle,
            &vec![0; src],
            &mut out,
            &units,
        );
        assert_eq!(result, Err(XtsError::BadLength), "{unit} {src} {dst}");
        assert_eq!(out, vec![0xee; dst]);
    }
}
