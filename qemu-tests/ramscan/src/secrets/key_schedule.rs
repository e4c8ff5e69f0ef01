// SPDX-License-Identifier: GPL-2.0

//! AES round keys, forward and for the equivalent inverse cipher (FIPS-197 sections 5.2 and 5.3.5).
//!
//! The `aes` crate hides its round keys, and they are what a scan must look for. This code runs on the host only, on
//! secrets of tests, so it is written for reading: table-free, not constant-time.

use zeroize::Zeroizing;

/// Round keys in the order of use, 16 bytes each.
pub type RoundKeys = Zeroizing<Vec<[u8; 16]>>;

/// Multiplies by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
const fn xtime(a: u8) -> u8 {
    (a << 1) ^ (if a & 0x80 != 0 { 0x1b } else { 0 })
}

/// Multiplies two elements of GF(2^8).
const fn mul(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        a = xtime(a);
        b >>= 1;
    }
    product
}

/// The S-box: the inverse in GF(2^8) (as the 254th power), then the affine map.
fn sub_byte(a: u8) -> u8 {
    let mut inverse = 1;
    for _ in 0..254 {
        inverse = mul(inverse, a);
    }
    (0..5).fold(0x63, |sum, turns| sum ^ inverse.rotate_left(turns))
}

/// The round keys of the forward cipher: 11 for a 16-byte key, 15 for a 32-byte key.
///
/// # Panics
///
/// If the key has another length: keys come from typed sources in this crate.
pub fn forward_round_keys(key: &[u8]) -> RoundKeys {
    assert!(
        matches!(key.len(), 16 | 32),
        "an AES key here has 16 or 32 bytes, not {}",
        key.len()
    );
    let key_words = key.len() / 4;
    let rounds = key_words + 6;
    let mut words: Zeroizing<Vec<[u8; 4]>> = Zeroizing::new(Vec::with_capacity(4 * (rounds + 1)));
    words.extend(key.chunks_exact(4).map(|w| [w[0], w[1], w[2], w[3]]));

    let mut round_constant = 1;
    for i in key_words..4 * (rounds + 1) {
        let mut word = words[i - 1];
        if i % key_words == 0 {
            word.rotate_left(1);
            word = word.map(sub_byte);
            word[0] ^= round_constant;
            round_constant = xtime(round_constant);
        } else if key_words == 8 && i % 8 == 4 {
            word = word.map(sub_byte);
        }
        for (byte, earlier) in word.iter_mut().zip(words[i - key_words]) {
            *byte ^= earlier;
        }
        words.push(word);
    }
    let mut keys = Zeroizing::new(Vec::with_capacity(rounds + 1));
    for four in words.chunks_exact(4) {
        let mut rk = [0; 16];
        rk.copy_from_slice(four.as_flattened());
        keys.push(rk);
    }
    keys
}

/// The round keys of the equivalent inverse cipher, in its order of use: the forward ones backwards, with
/// InvMixColumns applied to all but the first and last.
pub fn inverse_round_keys(key: &[u8]) -> RoundKeys {
    let mut keys = forward_round_keys(key);
    keys.reverse();
    let last = keys.len() - 1;
    for rk in &mut keys[1..last] {
        *rk = inv_mix_columns(rk);
    }
    keys
}

/// InvMixColumns of FIPS-197 section 5.3.3.
fn inv_mix_columns(block: &[u8; 16]) -> [u8; 16] {
    const ROW: [u8; 4] = [14, 11, 13, 9];
    let mut out = [0; 16];
    for (mixed, column) in out.chunks_exact_mut(4).zip(block.chunks_exact(4)) {
        for (r, byte) in mixed.iter_mut().enumerate() {
            for (c, input) in column.iter().enumerate() {
                *byte ^= mul(*input, ROW[(c + 4 - r) % 4]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::{generic_array::GenericArray, BlockEncrypt, KeyInit};
    use aes::hazmat;
    use proptest::prelude::*;

    fn hex16(text: &str) -> [u8; 16] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// FIPS-197 appendix A.1 and A.3: last words of the expanded keys.
    #[test]
    fn fips_197_expansions() {
        let aes128 = forward_round_keys(&hex16("2b7e151628aed2a6abf7158809cf4f3c"));
        assert_eq!(aes128.len(), 11);
        assert_eq!(aes128[1], hex16("a0fafe1788542cb123a339392a6c7605"));
        assert_eq!(aes128[10], hex16("d014f9a8c9ee2589e13f0cc8b6630ca6"));

        let key = hex::decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
            .unwrap();
        let aes256 = forward_round_keys(&key);
        assert_eq!(aes256.len(), 15);
        assert_eq!(aes256[2], hex16("9ba354118e6925afa51a8b5f2067fcde"));
        assert_eq!(aes256[14], hex16("fe4890d1e6188d0b046df344706c631e"));
    }

    /// FIPS-197 appendix C.1, the equivalent inverse cipher's key of round 1 (`ik_sch`).
    #[test]
    fn fips_197_inverse_schedule() {
        let inverse = inverse_round_keys(&hex16("000102030405060708090a0b0c0d0e0f"));
        assert_eq!(inverse[0], hex16("13111d7fe3944a17f307a78b4d2b30c5"));
        assert_eq!(inverse[1], hex16("13aa29be9c8faff6f770f58000f7bf03"));
        assert_eq!(inverse[10], hex16("000102030405060708090a0b0c0d0e0f"));
    }

    /// Encrypts with the round functions of the `aes` crate and the given round keys.
    fn encrypt_by_rounds(keys: &[[u8; 16]], block: [u8; 16]) -> [u8; 16] {
        let (first, rest) = keys.split_first().unwrap();
        let (last, middle) = rest.split_last().unwrap();
        let mut state =
            GenericArray::from(std::array::from_fn::<u8, 16, _>(|i| block[i] ^ first[i]));
        for rk in middle {
            hazmat::cipher_round(&mut state, &(*rk).into());
        }
        // The last round has no MixColumns: undo the one that cipher_round() did, then add the round key.
        hazmat::cipher_round(&mut state, &[0; 16].into());
        hazmat::inv_mix_columns(&mut state);
        std::array::from_fn(|i| state[i] ^ last[i])
    }

    proptest! {
        #[test]
        fn forward_keys_encrypt_like_the_aes_crate(key: [u8; 32], block: [u8; 16]) {
            let mut expected = GenericArray::from(block);
            aes::Aes256::new(&key.into()).encrypt_block(&mut expected);
            prop_assert_eq!(encrypt_by_rounds(&forward_round_keys(&key), block), <[u8; 16]>::from(expected));

            let short: [u8; 16] = key[..16].try_into().unwrap();
            let mut expected = GenericArray::from(block);
            aes::Aes128::new(&short.into()).encrypt_block(&mut expected);
            prop_assert_eq!(encrypt_by_rounds(&forward_round_keys(&short), block), <[u8; 16]>::from(expected));
        }

        #[test]
        fn inv_mix_columns_is_that_of_the_aes_crate(block: [u8; 16]) {
            let mut expected = GenericArray::from(block);
            hazmat::inv_mix_columns(&mut expected);
            prop_assert_eq!(inv_mix_columns(&block), <[u8; 16]>::from(expected));
        }
    }
}
