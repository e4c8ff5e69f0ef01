// SPDX-License-Identifier: GPL-2.0
//! What must not be left behind: everything that an engine computes of keys on its way.

use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{hazmat, Aes128, Aes256};

/// The round keys of AES-128, AES-192 or AES-256 (FIPS 197, 5.2), for encryption and, as
/// InvMixColumns of them, for decryption.
pub(crate) fn round_keys(key: &[u8]) -> Vec<Vec<u8>> {
    let per_key = key.len() / 4;
    let mut words: Vec<[u8; 4]> = key
        .chunks_exact(4)
        .map(|word| word.try_into().unwrap())
        .collect();
    let mut rcon = 1;
    for i in per_key..4 * (per_key + 7) {
        let mut word = words[i - 1];
        if i % per_key == 0 {
            word.rotate_left(1);
            word = sub_word(word);
            word[0] ^= rcon;
            rcon = rcon << 1 ^ if rcon >> 7 == 1 { 0x1b } else { 0 };
        } else if per_key == 8 && i % per_key == 4 {
            word = sub_word(word);
        }
        words.push(std::array::from_fn(|byte| {
            word[byte] ^ words[i - per_key][byte]
        }));
    }
    let forward: Vec<Vec<u8>> = words.chunks_exact(4).map(|key| key.concat()).collect();
    let backward = forward.iter().map(|key| {
        let mut block = *GenericArray::from_slice(key);
        hazmat::inv_mix_columns(&mut block);
        block.to_vec()
    });
    let backward: Vec<_> = backward.collect();
    [forward, backward].concat()
}

/// The S-box on each byte: a round without its other steps. ShiftRows changes nothing, as all
/// columns are the same.
fn sub_word(word: [u8; 4]) -> [u8; 4] {
    let mut block = *GenericArray::from_slice(&word.repeat(4));
    hazmat::cipher_round(&mut block, &GenericArray::default());
    hazmat::inv_mix_columns(&mut block);
    block[..4].try_into().unwrap()
}

/// The first tweaks of a data unit: AES_K2 of its number, doubled in GF(2^128) for each block (IEEE
/// Std 1619, 5.2).
pub(crate) fn tweaks(k2: &[u8], tweak_iv: &[u8; 16], count: usize) -> Vec<Vec<u8>> {
    let mut first = GenericArray::from(*tweak_iv);
    match k2.len() {
        16 => Aes128::new(GenericArray::from_slice(k2)).encrypt_block(&mut first),
        _ => Aes256::new(GenericArray::from_slice(k2)).encrypt_block(&mut first),
    }
    let first = u128::from_le_bytes(first.into());
    let double = |tweak: &u128| Some(tweak << 1 ^ if tweak >> 127 == 1 { 0x87 } else { 0 });
    std::iter::successors(Some(first), double)
        .take(count)
        .map(|tweak| tweak.to_le_bytes().to_vec())
        .collect()
}

/// FIPS 197, appendix A: the last round keys of its examples.
#[test]
fn round_keys_are_those_of_the_standard() {
    for (key, last, count) in [
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "d014f9a8c9ee2589e13f0cc8b6630ca6",
            11,
        ),
        (
            "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            "e98ba06f448c773c8ecc720401002202",
            13,
        ),
        (
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "fe4890d1e6188d0b046df344706c631e",
            15,
        ),
    ] {
        let keys = round_keys(&hex::decode(key).unwrap());
        assert_eq!(keys.len(), 2 * count);
        assert_eq!(hex::encode(&keys[count - 1]), last);
    }
}
