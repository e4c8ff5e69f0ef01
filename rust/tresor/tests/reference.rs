// SPDX-License-Identifier: GPL-2.0
//! The oracle itself, against vectors from others: RFC 7914 (PBKDF2), IEEE Std 1619 (XTS), and
//! Python's hashlib with OpenSSL (slots).

use proptest::prelude::*;
use tresor::handle::{Handle, Variant};
use tresor::reference::{self, BadDataUnit, Sha256, UnlockError};
use tresor::slot::Slot;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

/// RFC 7914, section 11, of which P is the first 32 bytes: PBKDF2's blocks of output are
/// independent.
#[test]
fn pbkdf2_vectors_of_rfc_7914() {
    let p = reference::pass_phrase_key(b"passwd", b"salt", 1);
    assert_eq!(
        *p,
        bytes("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc")
    );
    let p = reference::pass_phrase_key(b"Password", b"NaCl", 80000);
    assert_eq!(
        *p,
        bytes("4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56")
    );
}

/// IEEE Std 1619-2007, annex B, vectors 1 and 15 (17 bytes: ciphertext stealing).
#[test]
fn xts_vectors_of_ieee_1619() {
    let mut data = [0; 32];
    reference::encrypt(&[0; 32], &[0; 16], &mut data).unwrap();
    assert_eq!(
        data,
        bytes("917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e")
    );

    let key: [u8; 32] = bytes("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0bfbebdbcbbbab9b8b7b6b5b4b3b2b1b0");
    let tweak = bytes("9a785634120000000000000000000000");
    let mut data: [u8; 17] = bytes("000102030405060708090a0b0c0d0e0f10");
    reference::encrypt(&key, &tweak, &mut data).unwrap();
    assert_eq!(data, bytes("6c1625db4671522d3d7599601de7ca09ed"));
    reference::decrypt(&key, &tweak, &mut data).unwrap();
    assert_eq!(data, bytes("000102030405060708090a0b0c0d0e0f10"));
}

#[test]
fn bad_lengths_are_refused() {
    assert_eq!(
        reference::encrypt(&[0; 32], &[0; 16], &mut [0; 15]),
        Err(BadDataUnit)
    );
    assert_eq!(
        reference::encrypt(&[0; 48], &[0; 16], &mut [0; 16]),
        Err(BadDataUnit)
    );
    assert_eq!(
        reference::decrypt(&[0; 0], &[0; 16], &mut [0; 16]),
        Err(BadDataUnit)
    );
}

/// Computed with Python's hashlib and OpenSSL's AES: pins S, MAC and volume key.
#[test]
fn pinned_slot_and_handle() {
    let iv = bytes("fffffffffffffffff0f1f2f3f4f5f6f7");
    let slot = reference::new_slot(b"correct horse", 1000, [0x11; 16], iv, [0x22; 32]).unwrap();
    assert_eq!(*slot.mac(), bytes("600d6d07c8c23c01b232274483c887da"));
    let s = reference::unlock(&slot, b"correct horse").unwrap();
    assert_eq!(
        *s,
        bytes("dce89cace010fcae436e158e8d8e09acc2da7371efc0e62bf41c8c95118f269c")
    );

    let handle = Handle::derived::<Sha256>(&[7; 64]).unwrap();
    let key = reference::volume_key(&s, &handle, Variant::Aes256);
    assert_eq!(
        hex::encode(&*key),
        concat!(
            "f49055a8dcb86cf0891365f4e50a46f0ebda8dc027edd2d79a6f9478c8d2fb70",
            "011d894a59d53af0d75965f4a6f7272a835236d5c618a4162d9591d199700948"
        )
    );
    let shorter = reference::volume_key(&s, &handle, Variant::Aes128);
    assert_eq!(shorter[..], key[..32]);
}

#[test]
fn all_zero_secret_is_refused() {
    let (salt, iv) = ([1; 16], [2; 16]);
    let slot = reference::new_slot(b"x", 1000, salt, iv, [0; 32]).unwrap();
    let stream = reference::register_secret(&slot, &reference::pass_phrase_key(b"x", &salt, 1000));
    let slot = reference::new_slot(b"x", 1000, salt, iv, *stream).unwrap();
    assert_eq!(reference::unlock(&slot, b"x"), Err(UnlockError::ZeroSecret));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn only_the_pass_phrase_unlocks(
        pass in prop::collection::vec(any::<u8>(), 1..100),
        other in prop::collection::vec(any::<u8>(), 1..100),
        salt: [u8; 16], iv: [u8; 16], mask: [u8; 32],
    ) {
        // HMAC pads short keys with zeros (RFC 2104), so trailing zeros make no other key.
        prop_assume!(pass.last() != Some(&0) && other.last() != Some(&0) && pass != other);
        let slot = reference::new_slot(&pass, 1000, salt, iv, mask).unwrap();
        prop_assert!(reference::verify(&slot, &pass));
        prop_assert!(!reference::verify(&slot, &other));
        prop_assert!(reference::unlock(&slot, &pass).is_ok());
        prop_assert_eq!(reference::unlock(&slot, &other), Err(UnlockError::WrongPassPhrase));
    }

    #[test]
    fn changed_slot_with_a_right_check_is_refused(iv: [u8; 16], mask: [u8; 32], bit in 0usize..256) {
        let slot = reference::new_slot(b"pass", 1000, [3; 16], iv, mask).unwrap();
        let mut other = mask;
        other[bit / 8] ^= 1 << (bit % 8);
        let other = Slot::new::<Sha256>(1000, [3; 16], iv, other, *slot.mac()).unwrap();
        prop_assert_eq!(reference::unlock(&other, b"pass"), Err(UnlockError::WrongPassPhrase));
    }
}
