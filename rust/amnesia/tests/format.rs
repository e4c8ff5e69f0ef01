// SPDX-License-Identifier: GPL-2.0
//! Wrapped handles: what is written is read back, anything else is refused, and what an
//! independent program computes is the same.

use amnesia::reference::{self, BadKey, UnwrapError};
use amnesia::wrapped::{Kind, Wrapped, WrappedError, SIZE};
use proptest::prelude::*;
use tresor::reference::{volume_key, Sha256};

/// Computed with Python's hashlib and `openssl enc -aes-256-ecb`: S is the bytes a0, a1, ... bf, the
/// key 0, 1, 2, ..., and the iv such that its counter wraps.
const PINNED: [(Kind, &str); 3] = [
    (
        Kind::XtsAes128,
        concat!(
            "616d6e31010000003d5451203933b720feffffffffffffff08090a0b0c0d0e0f",
            "e3e4c4a50b953e4c1673e599b2caafcf5d5e97503738cd4da0453bb71d15dcfd",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "4f6af259f36acdb8d84afc73a0685dd9617b3f80000000000000000000000000",
        ),
    ),
    (
        Kind::XtsAes256,
        concat!(
            "616d6e31020000003d5451203933b720feffffffffffffff08090a0b0c0d0e0f",
            "e3e4c4a50b953e4c1673e599b2caafcf5d5e97503738cd4da0453bb71d15dcfd",
            "fbf98f44e1660cb4e848f135d38e336e04f454f15771bf793bf2ecead98e5e28",
            "9b2f9dd303b6ad95516b183864b03719a38ec1ff000000000000000000000000",
        ),
    ),
    (
        Kind::Aes192,
        concat!(
            "616d6e31040000003d5451203933b720feffffffffffffff08090a0b0c0d0e0f",
            "e3e4c4a50b953e4c1673e599b2caafcf5d5e97503738cd4d0000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "b4fd4f86e502e4e9332dbb538ab692c8228fba52000000000000000000000000",
        ),
    ),
];

const S: [u8; 32] = tresor::public_secret::PUBLIC_S;

fn parse(bytes: &[u8]) -> Result<Wrapped, WrappedError> {
    Wrapped::parse::<Sha256>(bytes)
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(&Kind::ALL)
}

fn handles() -> impl Strategy<Value = Wrapped> {
    (
        kinds(),
        any::<[u8; 8]>(),
        any::<[u8; 16]>(),
        any::<[u8; 64]>(),
        any::<[u8; 16]>(),
    )
        .prop_map(|(kind, id, iv, mask, mac)| Wrapped::new(kind, id, iv, &mask, mac))
}

/// A handle's bytes with a change, and CHECK made right again.
fn changed(at: usize, to: u8) -> [u8; SIZE] {
    use tresor::kdf::Sha256 as _;
    let mut bytes = [0; SIZE];
    hex::decode_to_slice(PINNED[0].1, &mut bytes).unwrap();
    bytes[at] = to;
    let digest = Sha256::digest(&bytes[..112]);
    bytes[112..116].copy_from_slice(&digest[..4]);
    bytes
}

proptest! {
    #[test]
    fn parse_reads_what_encode_writes(wrapped in handles()) {
        let bytes = wrapped.encode::<Sha256>();
        prop_assert_eq!(parse(&bytes), Ok(wrapped));
    }

    #[test]
    fn one_changed_bit_is_refused(wrapped in handles(), at in 0..8 * SIZE) {
        let mut bytes = wrapped.encode::<Sha256>();
        bytes[at / 8] ^= 1 << (at % 8);
        prop_assert!(parse(&bytes).is_err());
    }

    #[test]
    fn other_lengths_are_refused(wrapped in handles(), len in 0..SIZE, more in 1..SIZE) {
        let bytes = wrapped.encode::<Sha256>();
        prop_assert_eq!(parse(&bytes[..len]), Err(WrappedError::BadLength { bytes: len }));
        let longer = [&bytes[..], &vec![0; more]].concat();
        prop_assert_eq!(parse(&longer), Err(WrappedError::BadLength { bytes: SIZE + more }));
    }

    #[test]
    fn any_bytes_are_parsed_without_a_panic(bytes: Vec<u8>, whole: [u8; 32]) {
        prop_assert!(parse(&bytes).is_err());
        prop_assert!(parse(&whole.repeat(4)).is_err());
    }

    /// Behind a right magic and CHECK too: what is accepted is what `encode` writes.
    #[test]
    fn there_is_one_encoding(at in 4usize..112, to: u8) {
        let bytes = changed(at, to);
        if let Ok(wrapped) = parse(&bytes) {
            prop_assert_eq!(wrapped.encode::<Sha256>(), bytes);
        }
    }

    #[test]
    fn unwrap_gives_what_was_wrapped(s: [u8; 32], iv: [u8; 16], kind in kinds(), bytes: [u8; 64]) {
        let key = &bytes[..kind.key_len()];
        let wrapped = reference::wrap(&s, kind, key, iv).unwrap();
        let unwrapped = reference::unwrap(&s, &wrapped).unwrap();
        prop_assert_eq!(&unwrapped[..], key);
        // The engines see the same key.
        if let Some(variant) = kind.xts() {
            let seen = volume_key(&s, wrapped.handle(), variant);
            prop_assert_eq!(&seen[..], key);
        }
        for len in (0..=64).filter(|&len| len != kind.key_len()) {
            prop_assert_eq!(
                reference::wrap(&s, kind, &bytes[..len], iv),
                Err(BadKey { expected: kind.key_len(), bytes: len })
            );
        }
    }

    #[test]
    fn another_secret_is_told_by_its_id(s: [u8; 32], other: [u8; 32], iv: [u8; 16], mask: [u8; 64]) {
        prop_assume!(s != other);
        let wrapped = reference::fresh(&s, Kind::XtsAes256, iv, &mask);
        prop_assert_eq!(reference::verify(&s, &wrapped), Ok(()));
        prop_assert_eq!(reference::unwrap(&other, &wrapped), Err(UnwrapError::OtherSecret));
    }

    /// A change of anything that the MAC covers, or of the MAC, with CHECK made right again.
    #[test]
    fn a_forged_handle_is_told_by_its_mac(at in 16usize..112, bit in 0u32..8, kind in 1u8..=5) {
        let mut pinned = [0; SIZE];
        hex::decode_to_slice(PINNED[0].1, &mut pinned).unwrap();
        for bytes in [changed(at, pinned[at] ^ 1 << bit), changed(4, kind)] {
            if let Ok(wrapped) = parse(&bytes) {
                let expected = if bytes == pinned { Ok(()) } else { Err(UnwrapError::Forged) };
                prop_assert_eq!(reference::verify(&S, &wrapped), expected);
            }
        }
    }
}

#[test]
fn pinned_handles_are_made_and_read() {
    for (kind, text) in PINNED {
        let bytes = hex::decode(text).unwrap();
        let key: Vec<u8> = (0..).take(kind.key_len()).collect();
        let iv = bytes[16..32].try_into().unwrap();
        let wrapped = reference::wrap(&S, kind, &key, iv).unwrap();
        assert_eq!(hex::encode(wrapped.encode::<Sha256>()), text);
        assert_eq!(parse(&bytes), Ok(wrapped));
        assert_eq!(*reference::unwrap(&S, &wrapped).unwrap(), key);
    }
}

#[test]
fn each_kind_of_damage_has_its_error() {
    let good = changed(4, 1);
    assert!(parse(&good).is_ok());
    let mut bytes = good;
    bytes[0] = b'A';
    assert_eq!(parse(&bytes), Err(WrappedError::NotWrapped));
    assert_eq!(parse(&changed(3, b'2')), Err(WrappedError::UnknownVersion));
    for at in [16, 100, 112] {
        let mut bytes = good;
        bytes[at] ^= 1;
        assert_eq!(parse(&bytes), Err(WrappedError::Damaged), "{at}");
    }
    for kind in [0, 6, 255] {
        assert_eq!(parse(&changed(4, kind)), Err(WrappedError::UnknownKind));
    }
    // Reserved bytes, and a mask that is longer than the key.
    for at in [5, 6, 7, 64, 95, 116, 127] {
        assert_eq!(parse(&changed(at, 1)), Err(WrappedError::NotZero), "{at}");
    }
}

/// The flaw that a MAC key from the same key stream would have: whoever knows the key of a handle
/// knows the stream at its iv, which would be the MAC key of a handle whose iv is by four less.
#[test]
fn a_known_key_tells_no_mac_key() {
    let iv = *b"a random iv     ";
    let key = [0x5a; 64];
    let known = reference::wrap(&S, Kind::XtsAes256, &key, iv).unwrap();
    let stream: Vec<u8> = known.handle().mask.iter().map(|byte| byte ^ 0x5a).collect();
    assert!(stream
        .chunks(32)
        .all(|part| part != *reference::mac_key(&S)));

    let mut earlier = iv;
    earlier[0] -= 4;
    let forged = Wrapped::new(Kind::XtsAes256, *known.id(), earlier, &[0; 64], [0; 16]);
    let guess = stream[..32].try_into().unwrap();
    let forged = forged.with_mac(tresor::reference::cbc_mac(
        &guess,
        &forged.digest::<Sha256>(),
    ));
    assert_eq!(reference::verify(&S, &forged), Err(UnwrapError::Forged));
}

#[test]
fn kinds_say_what_they_are_for() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_number(kind as u8), Some(kind));
        assert_eq!(kind.xts().is_some(), kind.cbc().is_none());
        let ones = kind.key_bytes().iter().filter(|&&b| b == 0xff).count();
        assert_eq!(ones, kind.key_len());
    }
    assert_eq!(Kind::from_number(0), None);
    assert_eq!(Kind::from_number(6), None);
}
