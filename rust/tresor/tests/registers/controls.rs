// SPDX-License-Identifier: GPL-2.0
//! The controls: a changed engine, or changed registers after it, and the look notices.

use std::sync::PoisonError;

use iced_x86::{EncodingKind, Instruction, Mnemonic, Register};
use taint::object_file::functions;
use taint::{zeroed_register, Function};
use tresor::user::{Class, Xts};

use crate::calls::{unlock_calls, xts_calls, Call};
use crate::change::{wipes, Change};
use crate::{assert_nothing_left, in_general_registers, left_behind, run, unwiped, ENGINES};

fn function_of(call: &Call) -> Function {
    let mut functions = functions(env!("TRESOR_USER_OBJECTS")).unwrap().into_iter();
    functions
        .find(|function| function.name == call.symbol)
        .unwrap()
}

/// The calls of each function together.
fn by_function(calls: &[Call]) -> impl Iterator<Item = (Function, &[Call])> {
    calls
        .chunk_by(|a, b| a.symbol == b.symbol)
        .map(|calls| (function_of(&calls[0]), calls))
}

/// Whether some call leaves what `wipe` wipes, and nothing else, when it is taken away.
fn is_noticed(wipe: &Instruction, calls: &[Call]) -> bool {
    calls.iter().any(|call| {
        let _change = Change::new(call.entry, wipe, &[]);
        let left = left_behind(call);
        let expected: Vec<_> = match zeroed_register(wipe) {
            Some(register) => {
                let kind = if register.is_k() { "mask" } else { "vector" };
                vec![format!(
                    "{kind} register {} is not wiped",
                    register.number()
                )]
            }
            None => (0..16)
                .map(|number| format!("vector register {number} is not wiped"))
                .filter(|text| left.contains(text))
                .collect(),
        };
        !expected.is_empty() && left == expected
    })
}

pub(crate) fn control_every_wipe_counts(engine: Xts) {
    assert_every_wipe_counts(&xts_calls(engine));
}

pub(crate) fn assert_every_wipe_counts(calls: &[Call]) {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut useless = Vec::new();
    for (function, calls) in by_function(calls) {
        for (status, wipes) in wipes(&function).iter().enumerate() {
            assert!(!wipes.is_empty(), "{}", function.name);
            // Without S the first three registers are zero anyway: they were to hold it. Where two
            // MACs are the same, so is their difference, in two registers.
            let zeros = match status {
                0 if function.name.contains("_verify_") => 2,
                1 => 3,
                _ => 0,
            };
            let may_be_zero = |wipe: &Instruction| {
                zeroed_register(wipe).is_some_and(|register| register.number() < zeros)
            };
            let wipes = wipes
                .iter()
                .filter(|wipe| !is_noticed(wipe, calls) && !may_be_zero(wipe));
            useless.extend(wipes.map(|wipe| format!("{}: {wipe}", function.name)));
        }
        assert_nothing_left(calls); // the changes were taken back
    }
    assert_eq!(useless, Vec::<String>::new());
}

/// After a wrong pass phrase all registers are in use; after the right one three are zero anyway.
#[test]
fn control_every_wipe_of_unlocking_counts() {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    let calls = unlock_calls();
    for (function, calls) in by_function(&calls) {
        let wrong = calls.iter().find(|call| call.status == 1).unwrap();
        // The returns come in the order of the statuses.
        let wipes = &wipes(&function)[1];
        assert_eq!(wipes.len(), 16);
        for wipe in wipes {
            assert!(
                is_noticed(wipe, std::slice::from_ref(wrong)),
                "{}: {wipe}",
                function.name
            );
        }
    }
}

/// One bit of any part of any vector or mask register, as if the engine had left it.
pub(crate) fn control_any_bit_is_noticed(engine: Xts) {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    let calls = xts_calls(engine);
    let call = &calls[0];
    let (mut probe, _) = run(call);
    let width = usize::try_from(probe.width).unwrap();
    let vectors = if width == 64 { 32 } else { 16 };
    for (number, byte) in (0..vectors).flat_map(|number| (0..width).map(move |byte| (number, byte)))
    {
        probe.vectors[number][byte] ^= 0x10;
        let expected = format!("vector register {number} is not wiped");
        assert_eq!(unwiped(call, &probe), [expected], "byte {byte}");
        probe.vectors[number][byte] ^= 0x10;
    }
    for number in 0..if width == 64 { 8 } else { 0 } {
        probe.masks[number] ^= 1 << 63;
        let expected = format!("mask register {number} is not wiped");
        assert_eq!(unwiped(call, &probe), [expected]);
        probe.masks[number] ^= 1 << 63;
    }
    assert_eq!(unwiped(call, &probe), Vec::<String>::new());
}

/// Any four bytes of any secret in any general register.
pub(crate) fn control_any_piece_of_a_secret_is_noticed(engine: Xts) {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    let calls = xts_calls(engine);
    let call = &calls[0];
    let (mut probe, _) = run(call);
    for (number, secret) in (0..16).cycle().zip(&call.secrets) {
        let before = probe.general[number];
        let piece = &secret[secret.len() - 4..];
        probe.general[number] = u64::from(u32::from_ne_bytes(piece.try_into().unwrap())) << 24;
        let expected = format!("general register {number} holds a piece of a secret");
        assert!(in_general_registers(call, &probe).contains(&expected));
        probe.general[number] = before;
    }
}

/// At an engine's first instruction, endbr64, which has room and does nothing here.
pub(crate) fn control_what_is_left_behind_is_noticed(engine: Xts) {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    let calls = xts_calls(engine);
    for (function, calls) in by_function(&calls) {
        let first = function.instructions()[0];
        assert_eq!(first.mnemonic(), Mnemonic::Endbr64);
        for (code, expected) in [
            (
                &[0x88, 0x5c, 0x24, 0xc0][..], // mov %bl, -64(%rsp)
                "the stack was written",
            ),
            (
                &[0x31, 0xdb], // xor %ebx, %ebx
                "general register 3 was not preserved",
            ),
        ] {
            let _change = Change::new(calls[0].entry, &first, code);
            for call in calls {
                assert_eq!(left_behind(call), [expected], "{}", call.symbol);
            }
        }
    }
}

/// The first round of AES in an engine is one under S: its operand is the second half of S, which
/// goes to %rbx instead. Without AES-NI it is the copy of that half with which the schedule begins.
pub(crate) fn control_secret_in_a_general_register_is_noticed(engine: Xts) {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    let calls = xts_calls(engine);
    for (function, calls) in by_function(&calls) {
        let round = function
            .instructions()
            .into_iter()
            .find(|instruction| match engine.class() {
                Class::Ssse3 => {
                    instruction.mnemonic() == Mnemonic::Movdqa
                        && instruction.op1_register() == Register::XMM1
                }
                _ => [Mnemonic::Aesenc, Mnemonic::Vaesenc].contains(&instruction.mnemonic()),
            })
            .unwrap();
        let key = round.op_register(round.op_count() - 1);
        let _change = Change::new(calls[0].entry, &round, &movq_to_rbx(key, &round));
        for call in calls.iter().filter(|call| call.status == 0) {
            let left = left_behind(call);
            for expected in [
                "general register 3 holds a piece of a secret",
                "the result is wrong",
            ] {
                assert!(
                    left.iter().any(|text| text == expected),
                    "{}: {left:?}",
                    call.symbol
                );
            }
        }
    }
}

/// Code of (v)movq %xmmN, %rbx in the encoding of an instruction.
fn movq_to_rbx(vector: Register, like: &Instruction) -> Vec<u8> {
    let number = u8::try_from(vector.number()).unwrap();
    let (low, high, highest) = (number & 7, number >> 3 & 1, number >> 4);
    let operands = 0xc3 | low << 3;
    match like.encoding() {
        EncodingKind::Legacy => vec![0x66, 0x48 | high << 2, 0x0f, 0x7e, operands],
        EncodingKind::VEX => vec![0xc4, 0xe1 ^ high << 7, 0xf9, 0x7e, operands],
        _ => vec![
            0x62,
            0xf1 ^ high << 7 ^ highest << 4,
            0xfd,
            0x08,
            0x7e,
            operands,
        ],
    }
}
