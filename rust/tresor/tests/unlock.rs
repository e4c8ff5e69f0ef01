// SPDX-License-Identifier: GPL-2.0
//! The unlock engines against the reference: every length of pass phrase, iterations, wrong pass
//! phrases, S that cannot be.

mod common;

use common::{noise, Guarded, PAGE};
use proptest::prelude::*;
use tresor::kdf::{frame_pass_phrase, salt_block, PASS_PHRASE_BUFFER};
use tresor::reference::{self, Sha256};
use tresor::slot::Slot;
use tresor::user::probe::Probe;
use tresor::user::{self, Unlock, UnlockError};

const NO_SECRET: [u8; 32] = [0; 32];

fn engines() -> Vec<Unlock> {
    let engines = Unlock::all();
    assert!(
        !engines.is_empty(),
        "these tests need a CPU with AES-NI and SSE4.1"
    );
    engines
}

fn frame(pass_phrase: &[u8]) -> ([u8; PASS_PHRASE_BUFFER], u64) {
    let mut buffer = [0xee; PASS_PHRASE_BUFFER];
    buffer[..pass_phrase.len()].copy_from_slice(pass_phrase);
    let blocks = frame_pass_phrase(&mut buffer, pass_phrase.len()).unwrap();
    (buffer, blocks)
}

fn unlock(engine: Unlock, slot: &Slot, pass_phrase: &[u8]) -> Result<(), UnlockError> {
    let (pass, blocks) = frame(pass_phrase);
    engine.unlock(
        &pass,
        blocks,
        &salt_block(slot.salt()),
        slot.iterations().into(),
        &slot.engine_block::<Sha256>(),
    )
}

/// Slots have 1000 iterations or more; the engines take any number. So: P for `iterations`, and an
/// engine block whose MAC is made with the slot's other parts.
fn engine_block(slot: &Slot, p: &[u8; 32]) -> [u8; 96] {
    let mut block = slot.engine_block::<Sha256>();
    block[80..].copy_from_slice(&reference::mac(slot, p));
    block
}

#[test]
fn every_length_of_pass_phrase() {
    for len in 1..=512 {
        let pass_phrase = noise(len as u64, len);
        let salt = noise(1000 + len as u64, 16).try_into().unwrap();
        let slot = Slot::new::<Sha256>(1000, salt, [len as u8; 16], [0x5a; 32], [0; 16]).unwrap();
        let iterations = 1 + len as u32 % 7;
        let p = reference::pass_phrase_key(&pass_phrase, &salt, iterations);
        let s = reference::register_secret(&slot, &p);
        let (pass, blocks) = frame(&pass_phrase);
        for engine in engines() {
            user::clear_secret();
            let result = engine.unlock(
                &pass,
                blocks,
                &salt_block(&salt),
                iterations.into(),
                &engine_block(&slot, &p),
            );
            assert_eq!(result, Ok(()), "{} {len}", engine.name());
            assert_eq!(*user::secret(), *s, "{} {len}", engine.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn equals_the_reference(
        pass_phrase in prop::collection::vec(any::<u8>(), 1..=512),
        iterations in 1u32..3000, salt: [u8; 16], iv: [u8; 16], mask: [u8; 32],
    ) {
        let slot = Slot::new::<Sha256>(1000, salt, iv, mask, [0; 16]).unwrap();
        let p = reference::pass_phrase_key(&pass_phrase, &salt, iterations);
        let s = reference::register_secret(&slot, &p);
        let (pass, blocks) = frame(&pass_phrase);
        for engine in engines() {
            user::clear_secret();
            let result = engine.unlock(&pass, blocks, &salt_block(&salt), iterations.into(), &engine_block(&slot, &p));
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(&*user::secret(), &*s);
        }
    }

    #[test]
    fn wrong_pass_phrase_stores_nothing(
        pass_phrase in prop::collection::vec(1u8.., 1..=512), at in any::<prop::sample::Index>(), bit in 0u32..8,
        salt: [u8; 16], iv: [u8; 16], mask: [u8; 32],
    ) {
        let slot = reference::new_slot(&pass_phrase, 1000, salt, iv, mask).unwrap();
        let mut wrong = pass_phrase.clone();
        wrong[at.index(pass_phrase.len())] ^= 1 << bit;
        // A zero at the end of a short pass phrase is padding to HMAC (RFC 2104); elsewhere it is a byte like any other.
        prop_assume!(wrong.last() != Some(&0));
        for engine in engines() {
            user::set_secret(&[0x33; 32]);
            prop_assert_eq!(unlock(engine, &slot, &wrong), Err(UnlockError::WrongPassPhrase));
            prop_assert_eq!(*user::secret(), [0x33; 32]);
            prop_assert_eq!(unlock(engine, &slot, &pass_phrase), Ok(()));
        }
    }
}

#[test]
fn one_and_two_iterations() {
    let slot = Slot::new::<Sha256>(1000, [8; 16], [9; 16], [10; 32], [0; 16]).unwrap();
    let (pass, blocks) = frame(b"pass phrase");
    for engine in engines() {
        for iterations in [1, 2] {
            let p = reference::pass_phrase_key(b"pass phrase", &[8; 16], iterations);
            user::clear_secret();
            let result = engine.unlock(
                &pass,
                blocks,
                &salt_block(&[8; 16]),
                iterations.into(),
                &engine_block(&slot, &p),
            );
            assert_eq!(result, Ok(()));
            assert_eq!(*user::secret(), *reference::register_secret(&slot, &p));
        }
    }
}

/// Any bit of the MAC counts, and any bit of the digest that it authenticates.
#[test]
fn every_bit_of_digest_and_mac_counts() {
    let slot = reference::new_slot(b"x", 1000, [1; 16], [2; 16], [3; 32]).unwrap();
    let p = reference::pass_phrase_key(b"x", &[1; 16], 1);
    let (pass, blocks) = frame(b"x");
    user::clear_secret();
    for engine in engines() {
        for bit in 8 * 48..8 * 96 {
            let mut block = engine_block(&slot, &p);
            block[bit / 8] ^= 1 << (bit % 8);
            let result = engine.unlock(&pass, blocks, &salt_block(&[1; 16]), 1, &block);
            assert_eq!(result, Err(UnlockError::WrongPassPhrase), "bit {bit}");
        }
    }
    assert_eq!(*user::secret(), NO_SECRET);
}

#[test]
fn zero_secret_is_refused() {
    let (salt, iv) = ([1; 16], [0xff; 16]);
    let slot = reference::new_slot(b"x", 1000, salt, iv, [0; 32]).unwrap();
    let stream = reference::register_secret(&slot, &reference::pass_phrase_key(b"x", &salt, 1000));
    for bit in [None, Some(0), Some(255)] {
        let mut mask = *stream;
        if let Some(bit) = bit {
            mask[bit / 8] ^= 1 << (bit % 8);
        }
        let slot = reference::new_slot(b"x", 1000, salt, iv, mask).unwrap();
        let expected = if bit.is_some() {
            Ok(())
        } else {
            Err(UnlockError::ZeroSecret)
        };
        for engine in engines() {
            user::set_secret(&[0x33; 32]);
            assert_eq!(unlock(engine, &slot, b"x"), expected);
            assert_eq!(*user::secret() == [0x33; 32], bit.is_none());
        }
    }
}

#[test]
fn registers_that_lose_s_are_noticed() {
    let slot = reference::new_slot(b"x", 1000, [1; 16], [2; 16], [3; 32]).unwrap();
    for engine in engines() {
        user::clear_secret();
        user::set_read_only(true);
        let result = unlock(engine, &slot, b"x");
        user::set_read_only(false);
        assert_eq!(result, Err(UnlockError::NotKept));
        assert_eq!(*user::secret(), NO_SECRET);
    }
}

/// Every argument is read within its bounds.
#[test]
fn arguments_between_guard_pages() {
    let (mut pass_page, mut salt_page, mut slot_page) =
        (Guarded::new(1), Guarded::new(1), Guarded::new(1));
    let mut stack = vec![0; PAGE];
    for pass_phrase in [&noise(1, 64)[..], &noise(2, 100)] {
        let slot = reference::new_slot(pass_phrase, 1000, [1; 16], [2; 16], [3; 32]).unwrap();
        let (pass, blocks) = frame(pass_phrase);
        let pass = &pass[..64 * blocks.max(1) as usize];
        for (engine, at_end) in engines()
            .into_iter()
            .flat_map(|engine| [(engine, false), (engine, true)])
        {
            let place = |page: &mut Guarded, bytes: &[u8]| {
                let to = if at_end {
                    page.at_end(bytes.len())
                } else {
                    page.at_start(bytes.len())
                };
                to.copy_from_slice(bytes);
                to.as_ptr() as u64
            };
            let pass_at = place(&mut pass_page, pass);
            let salt_at = place(&mut salt_page, &salt_block(slot.salt()));
            let slot_at = place(&mut slot_page, &slot.engine_block::<Sha256>());
            user::clear_secret();
            // SAFETY: an engine that this CPU can run, with pointers to what it asks for.
            let probe = unsafe {
                Probe::run(
                    engine.function(),
                    [pass_at, blocks, salt_at, 1000, slot_at, 0, 0],
                    1,
                    &mut stack,
                )
            };
            assert_eq!(probe.general[0], 0);
            assert_eq!(
                *user::secret(),
                *reference::unlock(&slot, pass_phrase).unwrap()
            );
        }
    }
}
