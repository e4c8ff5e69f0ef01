// SPDX-License-Identifier: GPL-2.0
//! The functions of wrapped handles against the reference, and within the bounds of their
//! arguments.

mod common;

use amnesia::reference as wrapping;
use amnesia::wrapped::Kind;
use common::{noise, Guarded, PAGE};
use proptest::prelude::*;
use tresor::reference::{self, Sha256};
use tresor::user::probe::Probe;
use tresor::user::{self, Wrap, WrapError, Wrapping};

fn classes() -> Vec<Wrap> {
    let classes = Wrap::all();
    assert!(!classes.is_empty(), "these tests need a CPU with SSSE3");
    classes
}

/// S, and zero in place of it where the property does not hold for zero.
fn secrets() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>().prop_filter("zero stands for no S", |s| *s != [0; 32])
}

proptest! {
    #[test]
    fn equals_the_reference(
        s in secrets(), iv: [u8; 16], key: [u8; 64], kind in prop::sample::select(&Kind::ALL),
        bit in 0usize..128,
    ) {
        let own = &key[..kind.key_len()];
        let expected = wrapping::wrap(&s, kind, own, iv).unwrap();
        let digest = expected.digest::<Sha256>();
        user::set_secret(&s);
        for class in classes() {
            prop_assert_eq!(class.id(), Ok(*expected.id()));
            // What is after the key in its buffer does not come through.
            prop_assert_eq!(class.mask(&key, &iv, &kind.key_bytes()), Ok(expected.handle().mask));
            prop_assert_eq!(class.mac(&digest), Ok(*expected.mac()));
            prop_assert_eq!(class.verify(&digest, expected.mac()), Ok(()));
            let mut other = *expected.mac();
            other[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(class.verify(&digest, &other), Err(WrapError::OtherMac));
        }
        user::clear_secret();
    }

    /// What is masked is unmasked by the engines' own arithmetic: twice is not at all.
    #[test]
    fn a_mask_is_its_own_inverse(s in secrets(), iv: [u8; 16], key: [u8; 64]) {
        user::set_secret(&s);
        for class in classes() {
            let all = [0xff; 64];
            let mask = class.mask(&key, &iv, &all).unwrap();
            prop_assert_eq!(class.mask(&mask, &iv, &all), Ok(key));
        }
        user::clear_secret();
    }
}

#[test]
fn without_s_nothing_is_written() {
    user::clear_secret();
    for class in classes() {
        assert_eq!(class.id(), Err(WrapError::NoSecret));
        assert_eq!(
            class.mask(&[1; 64], &[2; 16], &[0xff; 64]),
            Err(WrapError::NoSecret)
        );
        assert_eq!(class.mac(&[3; 32]), Err(WrapError::NoSecret));
        let of_zero = reference::cbc_mac(&wrapping::mac_key(&[0; 32]), &[3; 32]);
        assert_eq!(
            class.verify(&[3; 32], &of_zero),
            Err(WrapError::NoSecret),
            "the MAC under a zero key"
        );
    }
}

/// Every argument is read, and the result written, within its bounds.
#[test]
fn arguments_between_guard_pages() {
    let mut pages = [Guarded::new(1), Guarded::new(1), Guarded::new(1)];
    let mut stack = vec![0; PAGE];
    user::set_secret(&[0x33; 32]);
    for which in Wrapping::ALL {
        let lengths = match which {
            Wrapping::Id => [0, 0, 16],
            Wrapping::Mask => [64, 80, 64],
            Wrapping::Mac => [32, 0, 16],
            Wrapping::Verify => [48, 0, 0],
        };
        for (class, at_end) in classes()
            .into_iter()
            .flat_map(|class| [(class, false), (class, true)])
        {
            let mut arguments = [0; 7];
            for ((argument, page), len) in arguments.iter_mut().zip(&mut pages).zip(lengths) {
                let place = match at_end {
                    true => page.at_end(len),
                    false => page.at_start(len),
                };
                place.copy_from_slice(&noise(8, len));
                *argument = place.as_ptr() as u64;
            }
            // SAFETY: a function that this CPU can run, with pointers to what it asks for.
            let probe = unsafe { Probe::run(class.function(which), arguments, 1, &mut stack) };
            let expected = if which == Wrapping::Verify { 2 } else { 0 };
            assert_eq!(probe.general[0], expected, "{which:?}");
        }
    }
    user::clear_secret();
}
