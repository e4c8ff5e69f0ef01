// SPDX-License-Identifier: GPL-2.0
//! The calls of /dev/tresor: what is written is read back, and no bytes whatever upset the readers.

use proptest::prelude::*;
use tresor::kdf::PASS_PHRASE_MAX;
use tresor::reference::Sha256;
use tresor::slot::{Slot, TEXT_MAX};
use tresor::uapi::{self, Agent, Lock, Malformed, Status, Unlock};

/// As the kernel's `_IOC()` computes them: pins the interface.
#[test]
fn numbers_are_pinned() {
    assert_eq!(uapi::STATUS, 0xc040_d501);
    assert_eq!(uapi::UNLOCK, 0x4020_d502);
    assert_eq!(uapi::LOCK, 0x4008_d503);
    assert_eq!(uapi::AGENT, 0x4008_d504);
    assert_eq!(uapi::WRAP_FRESH, 0xc088_d510);
    assert_eq!(uapi::WRAP_KEY, 0xc0c8_d511);
    assert_eq!(uapi::VERIFY, 0x4088_d512);
}

#[test]
fn places_of_the_fields_are_pinned() {
    let call = Unlock {
        slot: 0x1122_3344_5566_7788,
        slot_len: 0x99,
        pass_phrase: 0xaabb_ccdd_eeff_0011,
        pass_phrase_len: 0x122,
        stretched: true,
    };
    let expected = "01000000010000008877665544332211\
                    1100ffeeddccbbaa9900000022010000";
    assert_eq!(hex::encode(call.encode()), expected);
    let status = Status {
        phase: 2,
        cpus: 3,
        cpus_with_key: 4,
        waiting: 5,
        flags: 6,
        iterations: 7,
        slot_id: [8; 8],
        engine: [9; 16],
        secret_id: [10; 8],
    };
    let expected = "01000000020000000300000004000000050000000600000007000000\
                    0808080808080808\
                    09090909090909090909090909090909\
                    0a0a0a0a0a0a0a0a00000000";
    assert_eq!(hex::encode(status.encode()), expected);
    assert_eq!(
        hex::encode(Lock { fail: true }.encode()),
        "0100000001000000"
    );
    let calls = ["0100000000000000", "0100000001000000", "0100000002000000"];
    for (call, expected) in Agent::ALL.into_iter().zip(calls) {
        assert_eq!(hex::encode(call.encode()), expected);
        assert_eq!(Agent::decode(&call.encode()), Ok(call));
    }
    for bytes in [[2, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 3, 0, 0, 0]] {
        assert_eq!(Agent::decode(&bytes), Err(Malformed::Unknown));
    }
}

/// Whether a call for S is one that the documentation allows.
fn is_good(bytes: &[u8; uapi::UNLOCK_SIZE]) -> Result<(), Malformed> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    if word(0) != 1 || word(4) > 1 {
        return Err(Malformed::Unknown);
    }
    let slot = word(24) as usize <= TEXT_MAX;
    let pass_phrase = (1..=PASS_PHRASE_MAX).contains(&(word(28) as usize));
    if slot && pass_phrase {
        Ok(())
    } else {
        Err(Malformed::Length)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn unlock_takes_good_calls_only(
        mut bytes: [u8; uapi::UNLOCK_SIZE],
        version in 0u32..3,
        flags in 0u32..3,
        slot_len in prop_oneof![0u32..300, any::<u32>()],
        pass_phrase_len in prop_oneof![0u32..600, any::<u32>()],
        as_it_is in prop::bool::weighted(0.1),
    ) {
        if !as_it_is {
            bytes[..4].copy_from_slice(&version.to_le_bytes());
            bytes[4..8].copy_from_slice(&flags.to_le_bytes());
            bytes[24..28].copy_from_slice(&slot_len.to_le_bytes());
            bytes[28..].copy_from_slice(&pass_phrase_len.to_le_bytes());
        }
        let call = Unlock::decode(&bytes);
        prop_assert_eq!(call.map(drop), is_good(&bytes));
        if let Ok(call) = call {
            prop_assert_eq!(call.encode(), bytes);
        }
    }

    #[test]
    fn lock_takes_good_calls_only(version in 0u32..3, flags in 0u32..4) {
        let bytes = (u64::from(flags) << 32 | u64::from(version)).to_le_bytes();
        let call = Lock::decode(&bytes);
        prop_assert_eq!(call.is_ok(), version == 1 && flags < 2);
        if let Ok(call) = call {
            prop_assert_eq!(call.encode(), bytes);
        }
    }

    #[test]
    fn status_is_read_as_written(
        phase: u32, cpus: u32, cpus_with_key: u32, waiting: u32, flags: u32, iterations: u32,
        slot_id: [u8; 8], engine: [u8; 16], secret_id: [u8; 8],
    ) {
        let status = Status {
            phase, cpus, cpus_with_key, waiting, flags, iterations, slot_id, engine, secret_id,
        };
        prop_assert_eq!(Status::decode(&status.encode()), Ok(status));
    }

    /// Any bytes, and bytes that look like a slot.
    #[test]
    fn slots_of_any_bytes_are_the_text_that_they_write(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            prop::collection::vec(prop::sample::select(&b"0123456789abcdef:1:pbkdf2-sha256:"[..]), 0..300),
            "1:pbkdf2-sha256:[0-9]{0,11}(:[0-9a-f]{8,64}){0,6}".prop_map(String::into_bytes),
        ],
    ) {
        if let Ok(slot) = Slot::parse::<Sha256>(&bytes) {
            prop_assert_eq!(slot.to_string().into_bytes(), bytes);
        }
    }
}

mod wrap {
    use super::*;
    use tresor::uapi::wrap::{self, Question};

    /// Where the parts of each structure are, and that the answer goes where the handle is.
    #[test]
    fn places_are_pinned() {
        let fresh = wrap::fresh_question(5);
        assert_eq!(fresh[..8], [1, 0, 0, 0, 5, 0, 0, 0]);
        assert_eq!(wrap::HANDLE_AT_OF_FRESH..fresh.len(), 8..136);
        let key = wrap::key_question(2, &[7; 64]);
        assert_eq!(key[..8], [1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(key[8..72], [7; 64]);
        assert_eq!(wrap::HANDLE_AT_OF_KEY..key.len(), 72..200);
        let verify = wrap::verify_question(&[9; 128]);
        assert_eq!(verify[..8], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(verify[8..], [9; 128]);
    }

    proptest! {
        #[test]
        fn what_is_asked_is_read(number in 1u32..=255, key: [u8; 64]) {
            let kind = u8::try_from(number).unwrap();
            let question = Ok(Question { kind: number });
            prop_assert_eq!(Question::decode(&wrap::fresh_question(kind)), question);
            prop_assert_eq!(Question::decode(&wrap::key_question(kind, &key)), question);
        }

        #[test]
        fn another_version_is_unknown(version in 2u32.., rest: [u8; 132]) {
            let bytes = [&version.to_le_bytes()[..], &rest].concat();
            prop_assert_eq!(Question::decode(&bytes), Err(Malformed::Unknown));
        }

        #[test]
        fn no_bytes_upset_the_reader(bytes: Vec<u8>) {
            let _ = Question::decode(&bytes);
        }
    }
}
