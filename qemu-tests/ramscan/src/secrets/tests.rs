// SPDX-License-Identifier: GPL-2.0

//! The list as a whole: complete, labelled, and free of patterns that RAM holds anyway.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::*;

fn example(pass_phrase: &[u8], key_len: usize) -> Secrets {
    let bytes = |seed: u8| <[u8; 32]>::from(Sha256::digest([seed]));
    Secrets {
        pass_phrase: Zeroizing::new(pass_phrase.to_vec()),
        salt: [5; 16],
        p: Zeroizing::new(bytes(1)),
        s: Zeroizing::new(bytes(2)),
        m: Zeroizing::new(bytes(3)),
        volume_keys: vec![
            VolumeKey::from_xts_key(&[bytes(4), bytes(9)].concat()[..2 * key_len]).unwrap(),
        ],
    }
}

fn has(patterns: &[Pattern], family: Family, bytes: &[u8]) -> bool {
    patterns
        .iter()
        .any(|p| p.family == family && p.bytes.windows(bytes.len()).any(|w| w == bytes))
}

#[test]
fn every_pattern_is_long_enough_and_labelled_once() {
    for key_len in [16, 32] {
        let patterns = example(b"correct horse battery staple", key_len).patterns();
        assert!(patterns.len() > 500, "{}", patterns.len());
        let labels: HashSet<_> = patterns.iter().map(|p| &p.label).collect();
        let bytes: HashSet<_> = patterns.iter().map(|p| &p.bytes[..]).collect();
        assert_eq!(labels.len(), patterns.len(), "a label is used twice");
        assert_eq!(bytes.len(), patterns.len(), "bytes are searched twice");
        for p in &patterns {
            assert!(
                p.min_run >= MIN_RUN.min(p.bytes.len()) && p.min_run <= p.bytes.len(),
                "{p:?}: run of {}",
                p.min_run
            );
        }
        for family in Family::ALL {
            assert!(
                patterns.iter().any(|p| p.family == family),
                "nothing of family {family}"
            );
        }
    }
}

#[test]
fn the_forms_the_facts_ask_for_are_there() {
    let secrets = example(b"correct horse battery staple", 32);
    let patterns = secrets.patterns();
    let volume = &secrets.volume_keys[0];
    for (family, key) in [
        (Family::RegisterSecret, &secrets.s[..]),
        (Family::KdfState, &secrets.p[..]),
        (Family::KdfState, &secrets.m[..]),
        (Family::VolumeKey, &volume.k1[..]),
        (Family::VolumeKey, &volume.k2[..]),
    ] {
        let reversed: Vec<u8> = key[8..16].iter().rev().copied().collect();
        assert!(has(&patterns, family, key));
        assert!(
            has(&patterns, family, &reversed),
            "64-bit words byte-swapped"
        );
        assert!(has(&patterns, family, hex::encode(key).as_bytes()));
        assert!(has(&patterns, family, hex::encode_upper(key).as_bytes()));
        let forward = forward_round_keys(key);
        let inverse = inverse_round_keys(key);
        for rk in forward[2..].iter().chain(&inverse[1..14]) {
            assert!(has(&patterns, Family::RoundKey, rk));
        }
    }
    assert!(has(
        &patterns,
        Family::PassPhrase,
        b"correct horse battery staple"
    ));
}

#[test]
fn a_128_bit_volume_has_the_round_keys_of_aes_128() {
    let secrets = example(b"correct horse battery staple", 16);
    let patterns = secrets.patterns();
    let round_keys = forward_round_keys(&secrets.volume_keys[0].k2);
    for rk in &round_keys[1..] {
        assert!(has(&patterns, Family::RoundKey, rk));
    }
}

#[test]
fn a_pass_phrase_that_chance_would_find_is_left_out() {
    for (text, counts) in [
        (&b"12345"[..], false),
        (&b"123456"[..], true),
        (&b"12345678"[..], true),
    ] {
        let secrets = example(text, 32);
        assert_eq!(secrets.pass_phrase_counts(), counts);
        assert_eq!(has(&secrets.patterns(), Family::PassPhrase, text), counts);
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let secrets = example(b"correct horse battery staple", 32);
    let text = format!("{:?}", secrets.patterns());
    assert!(text.contains("K1 of volume 1"));
    assert!(!text.contains("correct"));
    assert!(!text.contains(&hex::encode(&secrets.s[..4])));
}

#[test]
fn a_volume_key_of_another_length_is_refused() {
    let error = VolumeKey::from_xts_key(&[0; 48])
        .err()
        .expect("48 bytes are no XTS key here");
    assert!(error.to_string().contains("48"), "{error}");
}

/// What other HMAC computations leave in RAM must not look like ours.
#[test]
fn padding_of_a_foreign_hmac_is_no_hit() {
    for pad in [0x36, 0x5c] {
        let mut ram = vec![0; 4096];
        ram[100..164].fill(pad);
        for text in [&b"123456"[..], b"123456789", b"1234567890abcde"] {
            let scanner = crate::scan::Scanner::new(example(text, 32).patterns());
            // The last character of our pass phrase is also that of the foreign key.
            ram[99] = text[text.len() - 1] ^ pad;
            assert_eq!(scanner.scan(&ram), []);
            for (i, character) in text.iter().enumerate() {
                ram[100 - text.len() + i] = character ^ pad;
            }
            assert_eq!(scanner.scan(&ram).len(), 1, "our own key block");
            ram[..100].fill(0);
        }
    }
}
