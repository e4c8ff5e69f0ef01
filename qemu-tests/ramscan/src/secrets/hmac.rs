// SPDX-License-Identifier: GPL-2.0

//! The values inside PBKDF2-HMAC-SHA256 from which P follows at once: HMAC key blocks, the SHA-256 states after them,
//! and the first values U of the iteration.

use sha2::digest::generic_array::GenericArray;
use sha2::{compress256, Digest, Sha256};
use zeroize::Zeroizing;

/// Initial state of SHA-256 (FIPS 180-4 section 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

/// How many values U of the iteration are searched for. Each lives for one iteration only; the first ones are made
/// before the loop, by other code.
const FIRST_VALUES: usize = 3;

/// The pass phrase as HMAC's key: itself up to 64 bytes, else its digest. Without the zero padding.
fn hmac_key(pass_phrase: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(if pass_phrase.len() <= 64 {
        pass_phrase.to_vec()
    } else {
        Sha256::digest(pass_phrase).to_vec()
    })
}

fn padded_key(pass_phrase: &[u8], pad: u8) -> Zeroizing<[u8; 64]> {
    let mut block = Zeroizing::new([pad; 64]);
    for (byte, key) in block.iter_mut().zip(hmac_key(pass_phrase).iter()) {
        *byte ^= key;
    }
    block
}

fn state_after_key(pass_phrase: &[u8], pad: u8) -> Zeroizing<[u32; 8]> {
    let mut state = Zeroizing::new(INITIAL);
    compress256(
        &mut state,
        &[GenericArray::from(*padded_key(pass_phrase, pad))],
    );
    state
}

/// Words in the byte order of a digest.
fn digest_bytes(state: &[u32; 8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// Continues `state`, which has absorbed one 64-byte block, over `message` (at most 55 bytes) and the padding.
fn finish(state: &[u32; 8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut block = Zeroizing::new([0; 64]);
    block[..message.len()].copy_from_slice(message);
    block[message.len()] = 0x80;
    let bits = 8 * (64 + message.len() as u64);
    block[56..].copy_from_slice(&bits.to_be_bytes());
    let mut state = Zeroizing::new(*state);
    compress256(&mut state, &[GenericArray::from(*block)]);
    digest_bytes(&state)
}

/// The 32-byte states and values, labelled, in digest order (big-endian words).
pub(super) fn states(pass_phrase: &[u8], salt: &[u8; 16]) -> Vec<(String, Zeroizing<[u8; 32]>)> {
    let inner = state_after_key(pass_phrase, INNER_PAD);
    let outer = state_after_key(pass_phrase, OUTER_PAD);
    let mut out = vec![
        ("HMAC inner state".to_owned(), digest_bytes(&inner)),
        ("HMAC outer state".to_owned(), digest_bytes(&outer)),
    ];
    if pass_phrase.len() > 64 {
        let mut digest = Zeroizing::new([0; 32]);
        digest.copy_from_slice(&hmac_key(pass_phrase));
        out.push(("digest of the pass phrase".to_owned(), digest));
    }
    let mut message = Zeroizing::new([&salt[..], &1u32.to_be_bytes()].concat());
    for n in 1..=FIRST_VALUES {
        let inner_digest = finish(&inner, &message);
        let u = finish(&outer, &inner_digest[..]);
        *message = u.to_vec();
        out.push((format!("inner digest of PBKDF2 U{n}"), inner_digest));
        out.push((format!("PBKDF2 U{n}"), u));
    }
    out
}

/// The key blocks of HMAC, cut after the key: what follows is padding, public and the same in every HMAC.
pub(super) fn key_blocks(pass_phrase: &[u8]) -> Vec<(String, Zeroizing<Vec<u8>>)> {
    let len = hmac_key(pass_phrase).len().max(16);
    [("inner", INNER_PAD), ("outer", OUTER_PAD)]
        .map(|(name, pad)| {
            let block = padded_key(pass_phrase, pad);
            (
                format!("HMAC {name} key block"),
                Zeroizing::new(block[..len].to_vec()),
            )
        })
        .into()
}

/// The two vector registers in which the SHA extensions keep a state: (F, E, B, A) and (H, G, D, C), low word first.
pub(super) fn sha_ni_order(digest: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    const WORDS: [usize; 8] = [5, 4, 1, 0, 7, 6, 3, 2];
    let mut out = Zeroizing::new([0; 32]);
    for (bytes, word) in out.chunks_exact_mut(4).zip(WORDS) {
        bytes.copy_from_slice(&digest[4 * word..4 * word + 4]);
        bytes.reverse();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// PBKDF2 from the states: equal to the crate's only if states and values are right.
    fn pbkdf2_from_states(pass_phrase: &[u8], salt: &[u8; 16]) -> [u8; 32] {
        let mut p = [0; 32];
        for (label, value) in states(pass_phrase, salt) {
            if label.starts_with("PBKDF2 U") {
                p.iter_mut().zip(value.iter()).for_each(|(a, b)| *a ^= b);
            }
        }
        p
    }

    proptest! {
        #[test]
        fn values_are_those_of_the_pbkdf2_crate(
            pass_phrase in proptest::collection::vec(any::<u8>(), 1..130),
            salt: [u8; 16],
        ) {
            let mut expected = [0; 32];
            pbkdf2::pbkdf2_hmac::<Sha256>(&pass_phrase, &salt, FIRST_VALUES as u32, &mut expected);
            prop_assert_eq!(pbkdf2_from_states(&pass_phrase, &salt), expected);
        }
    }

    #[test]
    fn a_long_pass_phrase_adds_its_digest() {
        assert_eq!(
            states(&[7; 65], &[0; 16]).len(),
            states(&[7; 64], &[0; 16]).len() + 1
        );
    }

    #[test]
    fn key_block_of_a_short_pass_phrase_keeps_its_padding() {
        let blocks = key_blocks(b"abc");
        assert_eq!(blocks[0].1.len(), 16);
        assert_eq!(
            blocks[0].1[..4],
            [b'a' ^ 0x36, b'b' ^ 0x36, b'c' ^ 0x36, 0x36]
        );
    }

    #[test]
    fn sha_ni_order_of_the_initial_state() {
        let words: Vec<u32> = sha_ni_order(&digest_bytes(&INITIAL))
            .chunks_exact(4)
            .map(|w| u32::from_le_bytes(w.try_into().unwrap()))
            .collect();
        assert_eq!(words[..4], [INITIAL[5], INITIAL[4], INITIAL[1], INITIAL[0]]);
        assert_eq!(words[4..], [INITIAL[7], INITIAL[6], INITIAL[3], INITIAL[2]]);
    }
}
