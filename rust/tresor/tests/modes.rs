// SPDX-License-Identifier: GPL-2.0
//! The engines of ECB, CBC, CTR and CBC with ESSIV against the oracle: the standard's vectors,
//! every length, guard pages, counters that carry, no S.

mod common;

use common::{
    for_each_mode_class, handle_of_aes_key, mode_oracle, noise, Guarded, DIRECTIONS, PAGE, SIZES,
};
use tresor::handle::{Handle, Variant};
use tresor::reference::{self, Aes};
use tresor::user::{self, Direction, KeySize, Mode, ModeError, Modes};

const S: [u8; 32] = *b"a register secret of tests only!";
const MODES: [Mode; 3] = [Mode::Ecb, Mode::Cbc, Mode::Ctr];

for_each_mode_class!(
    vectors_of_sp_800_38a,
    every_length_to_600_bytes,
    counters_carry,
    essiv_is_cbc_from_an_encrypted_number,
    without_s_nothing_is_written,
    broken_blocks_are_refused_except_by_ctr,
);

/// The key of a mode is the first bytes of what XTS-AES-128 has as `K1 || K2`.
fn key_of(handle: &Handle, bytes: usize) -> Vec<u8> {
    reference::volume_key(&S, handle, Variant::Aes128)[..bytes].to_vec()
}

fn handle(seed: u64) -> Handle {
    Handle {
        iv: noise(seed, 16).try_into().unwrap(),
        mask: noise(seed + 1, 64).try_into().unwrap(),
    }
}

/// Every engine of a class: what it does, and the length of its key.
fn engines() -> impl Iterator<Item = ((Mode, KeySize, Direction), usize)> {
    MODES.into_iter().flat_map(|mode| {
        SIZES.into_iter().flat_map(move |(size, bytes)| {
            DIRECTIONS.map(|direction| ((mode, size, direction), bytes))
        })
    })
}

/// NIST SP 800-38A, F.1.1, F.2.1 and F.5.1, and their like for longer keys: the first two blocks.
fn vectors_of_sp_800_38a(class: Modes) {
    const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
    const KEYS: [&str; 3] = [
        "2b7e151628aed2a6abf7158809cf4f3c",
        "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    ];
    const CIPHERS: [[&str; 3]; 3] = [
        [
            "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf",
            "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eef",
            "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870",
        ],
        [
            "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2",
            "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a",
            "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d",
        ],
        [
            "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff",
            "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94",
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5",
        ],
    ];
    user::set_secret(&S);
    for (engine, bytes) in engines() {
        let (mode, size, direction) = engine;
        let key = hex::decode(KEYS[size as usize]).unwrap();
        let handle = handle_of_aes_key(&S, [1; 16], &key);
        assert_eq!(key, key_of(&handle, bytes));
        let iv = if mode == Mode::Ctr {
            hex::decode("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
        } else {
            hex::decode("000102030405060708090a0b0c0d0e0f")
        };
        let iv = iv.unwrap().try_into().unwrap();
        let cipher = CIPHERS[mode as usize][size as usize];
        let (input, output) = match direction {
            Direction::Encrypt => (PLAIN, cipher),
            Direction::Decrypt => (cipher, PLAIN),
        };
        let mut data = hex::decode(input).unwrap();
        class
            .crypt_in_place(engine, &handle, &mut data, &iv)
            .unwrap();
        assert_eq!(hex::encode(data), output, "{engine:?}");
    }
}

/// Between guard pages at both ends, out of place and in place, at each alignment.
fn every_length_to_600_bytes(class: Modes) {
    user::set_secret(&S);
    let (mut source, mut destination) = (Guarded::new(1), Guarded::new(1));
    for (engine, bytes) in engines() {
        let (mode, _, direction) = engine;
        let handle = handle(2);
        let key = key_of(&handle, bytes);
        for len in (0..=600).filter(|len| mode == Mode::Ctr || len % 16 == 0) {
            let iv = noise(len as u64, 16).try_into().unwrap();
            let input = noise(3 + len as u64, len);
            let output = mode_oracle(mode, direction, &key, &iv, &input);
            let name = || format!("{engine:?} {len}");

            source.at_end(len).copy_from_slice(&input);
            destination.bytes().fill(0xee);
            let at = len % 32;
            let dst = &mut destination.bytes()[at..at + len];
            class
                .crypt(engine, &handle, source.at_end(len), dst, &iv)
                .unwrap();
            assert_eq!(dst, output, "{}", name());
            let (before, rest) = destination.bytes().split_at(at);
            let mut untouched = before.iter().chain(&rest[len..]);
            assert!(untouched.all(|&byte| byte == 0xee), "{}", name());

            for data in [source.at_end(len), destination.at_start(len)] {
                data.copy_from_slice(&input);
                class.crypt_in_place(engine, &handle, data, &iv).unwrap();
                assert_eq!(data, output, "{}", name());
            }
        }
        let (input, iv) = (noise(4, PAGE), [0x5a; 16]);
        let mut data = input.clone();
        class
            .crypt_in_place(engine, &handle, &mut data, &iv)
            .unwrap();
        assert_eq!(data, mode_oracle(mode, direction, &key, &iv, &input));
    }
}

fn counters_carry(class: Modes) {
    user::set_secret(&S);
    let handle = handle(5);
    for start in [u128::MAX, u128::MAX - 5, (1 << 64) - 3, (7 << 64) - 12] {
        let iv = start.to_be_bytes();
        for (engine, bytes) in engines().filter(|(engine, _)| engine.0 == Mode::Ctr) {
            let mut data = noise(6, 330);
            let expected = mode_oracle(Mode::Ctr, engine.2, &key_of(&handle, bytes), &iv, &data);
            class
                .crypt_in_place(engine, &handle, &mut data, &iv)
                .unwrap();
            assert_eq!(data, expected, "{engine:?} {start:#x}");
        }
    }
}

fn essiv_is_cbc_from_an_encrypted_number(class: Modes) {
    user::set_secret(&S);
    let (handle, essiv) = (handle(7), handle(9));
    let essiv_key = Aes::new(&key_of(&essiv, 32)).unwrap();
    for ((mode, size, direction), bytes) in engines() {
        if mode != Mode::Cbc {
            continue;
        }
        for len in [0, 16, 48, 64, 80, 128, 144, 512] {
            let mut number = [0; 16];
            number[0] = len as u8 | 1;
            let mut iv = number;
            essiv_key.ecb_encrypt(&mut iv);
            let mut data = noise(11, len);
            let expected = mode_oracle(mode, direction, &key_of(&handle, bytes), &iv, &data);
            class
                .essiv_in_place((size, direction), &handle, &essiv, &mut data, &number)
                .unwrap();
            assert_eq!(data, expected, "{size:?} {direction:?} {len}");
        }
    }
}

fn without_s_nothing_is_written(class: Modes) {
    user::clear_secret();
    let handle = handle(12);
    for (engine, _) in engines() {
        let mut data = noise(13, 160);
        let result = class.crypt_in_place(engine, &handle, &mut data, &[0; 16]);
        assert_eq!(result, Err(ModeError::NoSecret));
        let (_, size, direction) = engine;
        let result = class.essiv_in_place((size, direction), &handle, &handle, &mut data, &[0; 16]);
        assert_eq!(result, Err(ModeError::NoSecret));
        assert_eq!(data, noise(13, 160));
    }
}

fn broken_blocks_are_refused_except_by_ctr(class: Modes) {
    user::set_secret(&S);
    let handle = handle(14);
    for (engine, _) in engines() {
        let result = class.crypt_in_place(engine, &handle, &mut [0; 17], &[0; 16]);
        let expected = if engine.0 == Mode::Ctr {
            Ok(())
        } else {
            Err(ModeError::BadLength)
        };
        assert_eq!(result, expected);
        let result = class.crypt(engine, &handle, &[0; 32], &mut [0; 16], &[0; 16]);
        assert_eq!(result, Err(ModeError::BadLength));
    }
}
