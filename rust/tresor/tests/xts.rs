// SPDX-License-Identifier: GPL-2.0
//! The XTS engine of each class against the oracle: Wycheproof, every length, alignments, guard
//! pages, no S.

mod common;

use common::{
    for_each_class, handle_of_key, noise, oracle, sector, Guarded, DIRECTIONS, PAGE, VARIANTS,
};
use tresor::handle::{Handle, Variant};
use tresor::reference::{self, Sha256};
use tresor::user::probe::Probe;
use tresor::user::{self, Direction, Position, Xts, XtsError};
use wycheproof::cipher::{TestName, TestSet};
use wycheproof::TestResult;

const S: [u8; 32] = *b"a register secret of tests only!";

for_each_class!(
    wycheproof,
    every_length_from_16_to_4112_bytes,
    every_alignment,
    handle_and_tweak_iv_between_guard_pages,
    without_s_nothing_is_written,
    any_single_bit_is_a_secret,
    short_or_unequal_lengths_are_refused,
    first_block_far_into_a_data_unit,
);

fn wycheproof(engine: Xts) {
    user::set_secret(&S);
    let (mut run, mut aes_192) = (0, 0);
    for group in TestSet::load(TestName::AesXts).unwrap().test_groups {
        for case in group.tests {
            let Ok(variant) = Variant::from_key_len(case.key.len()) else {
                aes_192 += 1;
                continue;
            };
            assert_eq!(case.result, TestResult::Valid, "case {}", case.tc_id);
            let handle = handle_of_key(&S, [0xff; 16], &case.key);
            // Shorter ones are numbers of data units, little-endian.
            let mut tweak_iv = [0; 16];
            tweak_iv[..case.nonce.len()].copy_from_slice(&case.nonce);
            let position = Position {
                tweak_iv,
                first_block: 0,
            };
            let mut data = case.pt.to_vec();
            engine
                .crypt_in_place(variant, Direction::Encrypt, &handle, &mut data, &position)
                .unwrap();
            assert_eq!(data, case.ct.to_vec(), "case {}", case.tc_id);
            engine
                .crypt_in_place(variant, Direction::Decrypt, &handle, &mut data, &position)
                .unwrap();
            assert_eq!(data, case.pt.to_vec(), "case {}", case.tc_id);
            run += 1;
        }
    }
    // AES-192 is not in IEEE 1619; the driver has no such key length.
    assert_eq!((run, aes_192), (82, 41));
}

/// Between guard pages at both ends, out of place and in place.
fn every_length_from_16_to_4112_bytes(engine: Xts) {
    user::set_secret(&S);
    let (mut source, mut destination) = (Guarded::new(2), Guarded::new(2));
    for variant in VARIANTS {
        let handle = Handle::derived::<Sha256>(&vec![0x77; variant.key_len()]).unwrap();
        let key = reference::volume_key(&S, &handle, variant);
        for len in 16..=PAGE + 16 {
            let position = sector(len as u64);
            let plain = noise(len as u64, len);
            let cipher = oracle(&key, Direction::Encrypt, &position.tweak_iv, &plain);
            for (direction, input, output) in [
                (DIRECTIONS[0], &plain, &cipher),
                (DIRECTIONS[1], &cipher, &plain),
            ] {
                let crypt = |src: &[u8], dst: &mut [u8]| {
                    engine
                        .crypt(variant, direction, &handle, src, dst, &position)
                        .unwrap()
                };
                source.at_start(len).copy_from_slice(input);
                crypt(source.at_start(len), destination.at_end(len));
                assert_eq!(
                    destination.at_end(len),
                    output,
                    "{variant:?} {direction:?} {len}"
                );
                source.at_end(len).copy_from_slice(input);
                crypt(source.at_end(len), destination.at_start(len));
                assert_eq!(
                    destination.at_start(len),
                    output,
                    "{variant:?} {direction:?} {len}"
                );
                engine
                    .crypt_in_place(variant, direction, &handle, source.at_end(len), &position)
                    .unwrap();
                assert_eq!(
                    source.at_end(len),
                    output,
                    "{variant:?} {direction:?} {len} in place"
                );
            }
        }
    }
}

fn every_alignment(engine: Xts) {
    user::set_secret(&S);
    let handle = Handle::derived::<Sha256>(&[0x78; 64]).unwrap();
    let key = reference::volume_key(&S, &handle, Variant::Aes256);
    for len in [16, 31, 33, 128, 160, 177] {
        let position = sector(len as u64);
        let plain = noise(len as u64, len + 16);
        for (from, to) in (0..16).flat_map(|from| (0..16).map(move |to| (from, to))) {
            let mut out = vec![0xee; len + 32];
            let src = &plain[from..from + len];
            engine
                .crypt(
                    Variant::Aes256,
                    Direction::Encrypt,
                    &handle,
                    src,
                    &mut out[to..to + len],
                    &position,
                )
                .unwrap();
            assert_eq!(
                out[to..to + len],
                oracle(&key, Direction::Encrypt, &position.tweak_iv, src)
            );
            assert!(
                out[..to]
                    .iter()
                    .chain(&out[to + len..])
                    .all(|&byte| byte == 0xee),
                "wrote outside the destination"
            );
        }
    }
}

/// The handle and the tweak iv are read within their bounds, too; one argument after the other ends
/// or starts at a guard page.
fn handle_and_tweak_iv_between_guard_pages(engine: Xts) {
    user::set_secret(&S);
    let (mut handle_page, mut tweak_page, mut data_page) =
        (Guarded::new(1), Guarded::new(1), Guarded::new(1));
    let mut stack = vec![0; PAGE];
    for (variant, direction) in VARIANTS
        .into_iter()
        .flat_map(|v| DIRECTIONS.map(|d| (v, d)))
    {
        let handle = Handle::derived::<Sha256>(&vec![0x79; variant.key_len()]).unwrap();
        let key = reference::volume_key(&S, &handle, variant);
        let handle_bytes = [&handle.iv[..], &handle.mask].concat();
        let tweak_iv = sector(u64::MAX).tweak_iv;
        let input = noise(5, 47);
        for at_end in [false, true] {
            let place = |page: &mut Guarded, bytes: &[u8]| {
                let to = if at_end {
                    page.at_end(bytes.len())
                } else {
                    page.at_start(bytes.len())
                };
                to.copy_from_slice(bytes);
                to.as_mut_ptr() as u64
            };
            let handle_at = place(&mut handle_page, &handle_bytes);
            let tweak_at = place(&mut tweak_page, &tweak_iv);
            let data_at = place(&mut data_page, &input);
            let arguments = [
                handle_at,
                data_at,
                data_at,
                input.len() as u64,
                tweak_at,
                0,
                1,
            ];
            // SAFETY: an engine that this CPU can run, with pointers to what it asks for.
            let probe = unsafe {
                Probe::run(
                    engine.function(variant, direction),
                    arguments,
                    1,
                    &mut stack,
                )
            };
            assert_eq!(probe.general[0], 0);
            let output = if at_end {
                data_page.at_end(47)
            } else {
                data_page.at_start(47)
            };
            assert_eq!(*output, oracle(&key, direction, &tweak_iv, &input));
        }
    }
}

fn without_s_nothing_is_written(engine: Xts) {
    user::clear_secret();
    let handle = Handle::derived::<Sha256>(&[1; 64]).unwrap();
    for (variant, direction) in VARIANTS
        .into_iter()
        .flat_map(|v| DIRECTIONS.map(|d| (v, d)))
    {
        for len in [16, 17, 128, 4096] {
            let mut out = vec![0xee; len];
            let result = engine.crypt(
                variant,
                direction,
                &handle,
                &noise(1, len),
                &mut out,
                &sector(0),
            );
            assert_eq!(result, Err(XtsError::NoSecret));
            assert_eq!(out, vec![0xee; len]);
        }
    }
}

/// "No S" is all 256 bits zero: a single bit anywhere is an S.
fn any_single_bit_is_a_secret(engine: Xts) {
    let handle = Handle::derived::<Sha256>(&[1; 64]).unwrap();
    for bit in 0..256 {
        let mut s = [0; 32];
        s[bit / 8] = 1 << (bit % 8);
        user::set_secret(&s);
        let mut out = [0; 16];
        engine
            .crypt(
                Variant::Aes256,
                Direction::Encrypt,
                &handle,
                &[0; 16],
                &mut out,
                &sector(0),
            )
            .unwrap();
        let key = reference::volume_key(&s, &handle, Variant::Aes256);
        assert_eq!(
            out[..],
            oracle(&key, Direction::Encrypt, &[0; 16], &[0; 16])
        );
    }
    user::clear_secret();
}

fn short_or_unequal_lengths_are_refused(engine: Xts) {
    let handle = Handle::derived::<Sha256>(&[1; 64]).unwrap();
    let crypt = |src: &[u8], dst: &mut [u8]| {
        engine.crypt(
            Variant::Aes256,
            Direction::Encrypt,
            &handle,
            src,
            dst,
            &sector(0),
        )
    };
    assert_eq!(crypt(&[0; 15], &mut [0; 15]), Err(XtsError::BadLength));
    assert_eq!(crypt(&[0; 32], &mut [0; 31]), Err(XtsError::BadLength));
}

/// A block far into a data unit, against doubling the tweak as often.
fn first_block_far_into_a_data_unit(engine: Xts) {
    user::set_secret(&S);
    let handle = Handle::derived::<Sha256>(&[4; 32]).unwrap();
    let key = reference::volume_key(&S, &handle, Variant::Aes128);
    let blocks = 5000;
    let expected = oracle(&key, Direction::Encrypt, &[9; 16], &vec![0; 16 * blocks]);
    for block in (0..140).chain([255, 256, 257, 1000, 4095, 4096, 4999]) {
        let mut out = [0; 16];
        let position = Position {
            tweak_iv: [9; 16],
            first_block: block as u64,
        };
        engine
            .crypt_in_place(
                Variant::Aes128,
                Direction::Encrypt,
                &handle,
                &mut out,
                &position,
            )
            .unwrap();
        assert_eq!(
            out[..],
            expected[16 * block..16 * block + 16],
            "block {block}"
        );
    }
}
