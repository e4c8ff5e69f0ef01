// SPDX-License-Identifier: GPL-2.0
//! Slot texts and handles: what is written is read back, and anything else is refused.

use proptest::prelude::*;
use tresor::handle::{BadKeySize, BadLength, Handle, KeySize, Variant};
use tresor::kdf::Sha256 as _;
use tresor::reference::Sha256;
use tresor::slot::{Field, Slot, SlotError, ITERATIONS_MIN, TEXT_MAX};

/// A slot text that was computed independently, with Python's hashlib: pins the format.
const PINNED: &str = concat!(
    "1:pbkdf2-sha256:1000:000102030405060708090a0b0c0d0e0f:101112131415161718191a1b1c1d1e1f",
    ":202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f:404142434445464748494a4b4c4d4e4f:5097be02"
);

fn parse(text: &str) -> Result<Slot, SlotError> {
    Slot::parse::<Sha256>(text.as_bytes())
}

fn slots() -> impl Strategy<Value = Slot> {
    (
        ITERATIONS_MIN..,
        any::<[u8; 16]>(),
        any::<[u8; 16]>(),
        any::<[u8; 32]>(),
        any::<[u8; 16]>(),
    )
        .prop_map(|(iterations, salt, iv, mask, mac)| {
            Slot::new::<Sha256>(iterations, salt, iv, mask, mac).unwrap()
        })
}

proptest! {
    #[test]
    fn parse_reads_what_display_writes(slot in slots()) {
        let text = slot.to_string();
        prop_assert!(text.len() <= TEXT_MAX);
        prop_assert_eq!(parse(&text), Ok(slot));
    }

    #[test]
    fn one_changed_byte_is_refused(slot in slots(), at in any::<prop::sample::Index>(), change in 1u8..) {
        let mut text = slot.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] ^= change;
        prop_assert!(Slot::parse::<Sha256>(&text).is_err());
    }

    #[test]
    fn one_lost_or_added_byte_is_refused(slot in slots(), at in any::<prop::sample::Index>(), byte: u8) {
        let text = slot.to_string().into_bytes();
        let at = at.index(text.len());
        let mut shorter = text.clone();
        shorter.remove(at);
        prop_assert!(Slot::parse::<Sha256>(&shorter).is_err());
        let mut longer = text;
        longer.insert(at, byte);
        prop_assert!(Slot::parse::<Sha256>(&longer).is_err());
    }

    #[test]
    fn any_bytes_are_parsed_without_a_panic(text: Vec<u8>) {
        prop_assert!(Slot::parse::<Sha256>(&text).is_err());
    }
}

#[test]
fn longest_text_fits() {
    let slot = Slot::new::<Sha256>(u32::MAX, [0; 16], [0; 16], [0; 32], [0; 16]).unwrap();
    assert_eq!(slot.to_string().len(), TEXT_MAX);
    assert_eq!(parse(&slot.to_string()), Ok(slot));
}

#[test]
fn too_few_iterations_make_no_slot() {
    assert!(Slot::new::<Sha256>(ITERATIONS_MIN - 1, [0; 16], [0; 16], [0; 32], [0; 16]).is_none());
}

#[test]
fn pinned_text_is_read() {
    let slot = parse(PINNED).unwrap();
    assert_eq!(slot.iterations(), 1000);
    assert_eq!(slot.salt()[15], 0x0f);
    assert_eq!(slot.iv()[0], 0x10);
    assert_eq!(slot.mask()[31], 0x3f);
    assert_eq!(slot.mac()[0], 0x40);
    assert_eq!(slot.to_string(), PINNED);
}

#[test]
fn each_kind_of_damage_has_its_error() {
    let damaged = |from: &str, to: &str| {
        assert!(PINNED.contains(from), "{from}");
        parse(&PINNED.replacen(from, to, 1))
    };
    assert_eq!(damaged("1:", "2:"), Err(SlotError::UnknownVersion));
    assert_eq!(parse(""), Err(SlotError::UnknownVersion));
    assert_eq!(damaged("sha256", "sha512"), Err(SlotError::UnknownKdf));
    for iterations in [
        "",
        "999",
        "01000",
        "4294967296",
        "99999999999",
        "1e4",
        "-1000",
        "+1000",
        "1 000",
    ] {
        assert_eq!(
            damaged(":1000:", &format!(":{iterations}:")),
            Err(SlotError::BadIterations),
            "{iterations}"
        );
    }
    assert_eq!(
        damaged(":0001", ":001"),
        Err(SlotError::BadLength(Field::Salt))
    );
    assert_eq!(
        damaged(":1011", ":10111"),
        Err(SlotError::BadLength(Field::Iv))
    );
    assert_eq!(
        damaged(":2021", ":202g"),
        Err(SlotError::NotHex(Field::Mask))
    );
    assert_eq!(
        damaged("4a4b4c", "4A4b4c"),
        Err(SlotError::NotHex(Field::Mac))
    );
    assert_eq!(
        damaged(":5097be02", ":"),
        Err(SlotError::BadLength(Field::Check))
    );
    assert_eq!(
        damaged(":5097be02", ""),
        Err(SlotError::Missing(Field::Check))
    );
    assert_eq!(damaged(":1000", ":1001"), Err(SlotError::Damaged));
    assert_eq!(damaged(":5097be02", ":5097be00"), Err(SlotError::Damaged));
    assert_eq!(parse(&format!("{PINNED}:")), Err(SlotError::TrailingText));
    assert_eq!(
        parse(&format!("{PINNED}\n")),
        Err(SlotError::BadLength(Field::Check))
    );
}

#[test]
fn engine_block_has_iv_mask_digest_mac() {
    let slot = parse(PINNED).unwrap();
    let body = PINNED.rsplitn(3, ':').last().unwrap();
    let block = slot.engine_block::<Sha256>();
    assert_eq!(block[..16], *slot.iv());
    assert_eq!(block[16..48], *slot.mask());
    assert_eq!(block[48..80], Sha256::digest(body.as_bytes()));
    assert_eq!(block[80..], *slot.mac());
}

#[test]
fn derived_handle_is_a_tagged_hash() {
    for (len, variant) in [(32, Variant::Aes128), (64, Variant::Aes256)] {
        let key = vec![0x5a; len];
        let handle = Handle::derived::<Sha256>(&key).unwrap();
        let expected = Sha256::digest(&[b"tresor-derived-1", &key[..]].concat());
        assert_eq!(handle.iv, expected[..16]);
        assert_eq!(handle.mask, [0; 64]);
        assert_eq!(Variant::from_key_len(len), Ok(variant));
        assert_eq!(variant.key_len(), len);
    }
    assert_eq!(core::mem::size_of::<Handle>(), 80);
}

#[test]
fn other_key_lengths_are_no_handle() {
    for bytes in (0..=128).filter(|bytes| ![32, 64].contains(bytes)) {
        assert_eq!(
            Handle::derived::<Sha256>(&vec![0; bytes]),
            Err(BadLength { bytes })
        );
    }
}

#[test]
fn aes_handle_is_a_hash_with_a_tag_of_its_own() {
    let sizes = [
        (16, KeySize::Aes128),
        (24, KeySize::Aes192),
        (32, KeySize::Aes256),
    ];
    for (len, size) in sizes {
        let key = vec![0x5a; len];
        let handle = Handle::derived_aes::<Sha256>(&key).unwrap();
        let expected = Sha256::digest(&[b"tresor-aes-key-1", &key[..]].concat());
        assert_eq!(handle.iv, expected[..16]);
        assert_eq!(handle.mask, [0; 64]);
        assert_eq!(KeySize::from_key_len(len), Ok(size));
        assert_eq!(size.key_len(), len);
    }
    // The one length that both take.
    let key = [0x5a; 32];
    assert_ne!(
        Handle::derived::<Sha256>(&key).unwrap(),
        Handle::derived_aes::<Sha256>(&key).unwrap()
    );
}

#[test]
fn essiv_handle_is_that_of_the_hash() {
    for len in [16, 24, 32] {
        let key = vec![0xa5; len];
        assert_eq!(
            Handle::derived_essiv::<Sha256>(&key),
            Handle::derived_aes::<Sha256>(&Sha256::digest(&key)).unwrap()
        );
    }
}

#[test]
fn other_key_lengths_are_no_aes_handle() {
    for bytes in (0..=64).filter(|bytes| ![16, 24, 32].contains(bytes)) {
        assert_eq!(
            Handle::derived_aes::<Sha256>(&vec![0; bytes]),
            Err(BadKeySize { bytes })
        );
    }
}
