// SPDX-License-Identifier: GPL-2.0
//! Real engines with one instruction changed, at many places: how much of that is noticed.
//!
//! A figure, not a test: an engine with another register in one place may compute nonsense without leaking anything.

use iced_x86::OpKind;

use crate::flow::{check, Program};
use crate::function::Function;
use crate::zero::is_wipe;

/// How many instructions of a function get another register.
const SWAPS: usize = 24;

/// How many of a number of changed engines are noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// Those with a finding.
    pub noticed: usize,
    /// All.
    pub all: usize,
}

impl Noticed {
    fn count(&mut self, program: &Program, mutant: &Function) {
        self.all += 1;
        if !check(program, mutant).findings.is_empty() {
            self.noticed += 1;
        }
    }
}

/// Each function of `program` with each wipe taken away, one at a time.
pub fn without_a_wipe(program: &Program) -> Noticed {
    let mut noticed = Noticed::default();
    for function in program.values() {
        let instructions = function.instructions();
        for wipe in instructions.iter().filter(|wipe| is_wipe(wipe)) {
            let mut mutant = function.clone();
            mutant.replace(wipe, &[]);
            noticed.count(program, &mutant);
        }
    }
    noticed
}

/// Functions of `program` with another register in one instruction on vector registers, at places spread over their code.
pub fn with_another_register(program: &Program) -> Noticed {
    let mut noticed = Noticed::default();
    for function in program.values() {
        let mut instructions = function.instructions();
        instructions.retain(|instruction| {
            instruction.op_count() > 1
                && (0..instruction.op_count()).all(|op| {
                    instruction.op_kind(op) == OpKind::Register
                        && instruction.op_register(op).is_vector_register()
                })
        });
        let step = instructions.len().div_ceil(SWAPS).max(1);
        for instruction in instructions.iter().step_by(step) {
            let mut mutant = function.clone();
            let Ok(end) = usize::try_from(instruction.next_ip()) else {
                continue;
            };
            // The last byte names the registers; bit 3 is one of the destination's.
            mutant.code[end - 1] ^= 0x08;
            noticed.count(program, &mutant);
        }
    }
    noticed
}
