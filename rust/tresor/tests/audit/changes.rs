// SPDX-License-Identifier: GPL-2.0
//! Which instructions an engine must not have, and where to put them.

use std::collections::HashSet;

use iced_x86::{CpuidFeature, EncodingKind, Instruction, OpKind};
use taint::{is_wipe, Function, Rule};

use crate::policies::Policy;
use crate::tables::{AVX, AVX2, AVX512, DESTINATION, GENERAL, SSE};

/// The longest change.
const ROOM: usize = 12;

/// Code, and the rules that it breaks.
pub(crate) struct Change {
    pub(crate) code: Vec<u8>,
    pub(crate) text: &'static str,
    pub(crate) rules: Vec<Rule>,
}

/// The changes of an engine with this policy, which stores results or not and has secrets or not, and
/// the rules that each breaks.
pub(crate) fn changes(policy: &Policy, stores: bool, secrets: bool) -> Vec<Change> {
    let has = |feature| policy.features.contains(&feature);
    let sse = policy.encodings.contains(&EncodingKind::Legacy);
    let tables = [
        (GENERAL, true),
        (DESTINATION, stores),
        (SSE, sse && secrets),
        (AVX, !sse),
        (AVX2, has(CpuidFeature::AVX2)),
        (AVX512, has(CpuidFeature::AVX512F)),
    ];
    tables
        .into_iter()
        .filter(|(_, applies)| *applies)
        .flat_map(|(table, _)| table)
        .map(|(code, text, rules)| Change {
            code: code.to_vec(),
            text,
            rules: rules.to_vec(),
        })
        .collect()
}

/// The last run of instructions with room for a change that may all be left out without breaking a
/// rule: calculations between vector registers, with no jump into them. Where there are none, wipes
/// have to do.
pub(crate) fn plain_code(function: &Function) -> Vec<Instruction> {
    let instructions = function.instructions();
    let targets: HashSet<u64> = instructions
        .iter()
        .map(Instruction::near_branch_target)
        .collect();
    let is_plain = |instruction: &Instruction, wipes: bool| {
        let registers = (0..instruction.op_count()).all(|op| match instruction.op_kind(op) {
            OpKind::Register => instruction.op_register(op).is_vector_register(),
            OpKind::Immediate8 => true,
            _ => false,
        });
        registers
            && instruction.op_count() > 0
            && instruction.rflags_modified() == 0
            && function.mark(instruction).is_none()
            && (wipes || !is_wipe(instruction))
    };
    let run_before = |end: usize, wipes: bool| {
        let mut run = Vec::new();
        let mut room = 0;
        for instruction in instructions[..end].iter().rev() {
            if room >= ROOM || !is_plain(instruction, wipes) {
                break;
            }
            run.insert(0, *instruction);
            room += instruction.len();
            if targets.contains(&instruction.ip()) {
                break;
            }
        }
        (room >= ROOM).then_some(run)
    };
    [false, true]
        .into_iter()
        .find_map(|wipes| {
            (0..=instructions.len())
                .rev()
                .find_map(|end| run_before(end, wipes))
        })
        .expect("every function has vector instructions")
}
