// SPDX-License-Identifier: GPL-2.0
//! Changes single instructions of an engine while the program runs.

use iced_x86::{Decoder, Instruction, Mnemonic};
use rustix::mm::{mprotect, MprotectFlags};
use taint::{is_wipe, Function};
use tresor::user::probe::Function as Entry;

use crate::common::PAGE;

/// Changes an instruction of a running engine until it is dropped.
pub(crate) struct Change {
    at: usize,
    original: Vec<u8>,
}

impl Change {
    pub(crate) fn new(entry: Entry, instruction: &Instruction, code: &[u8]) -> Self {
        let at = entry.address() + usize::try_from(instruction.ip()).unwrap();
        let mut bytes = vec![0x90; instruction.len()];
        bytes[..code.len()].copy_from_slice(code);
        // SAFETY: the address is of this instruction, in the engine that is linked into this
        // program; nothing runs it now.
        let original = unsafe { std::slice::from_raw_parts(at as *const u8, bytes.len()) }.to_vec();
        let now = Decoder::new(64, &original, 0).decode();
        assert_eq!(now.code(), instruction.code(), "not the same code");
        write_code(at, &bytes);
        Self { at, original }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        write_code(self.at, &self.original);
    }
}

fn write_code(at: usize, bytes: &[u8]) {
    let start = at & !(PAGE - 1);
    let len = (at + bytes.len()).next_multiple_of(PAGE) - start;
    let all = MprotectFlags::READ | MprotectFlags::WRITE | MprotectFlags::EXEC;
    // SAFETY: these pages are the program's own code. They stay executable, and no other test runs
    // an engine now.
    unsafe {
        mprotect(start as *mut _, len, all).unwrap();
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len());
        mprotect(
            start as *mut _,
            len,
            MprotectFlags::READ | MprotectFlags::EXEC,
        )
        .unwrap();
    }
}

/// The wipes before each return, from the last one backwards.
pub(crate) fn wipes(function: &Function) -> Vec<Vec<Instruction>> {
    let instructions = function.instructions();
    let is_return = |(at, instruction): (usize, &Instruction)| {
        (instruction.mnemonic() == Mnemonic::Ret).then_some(at)
    };
    let returns = instructions.iter().enumerate().filter_map(is_return);
    returns
        .map(|ret| {
            instructions[..ret]
                .iter()
                .rev()
                .take_while(|instruction| is_wipe(instruction))
                .copied()
                .collect()
        })
        .collect()
}
