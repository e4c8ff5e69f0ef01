// SPDX-License-Identifier: GPL-2.0
//! Functions as they were assembled or linked, and what the source declares in them.

use std::collections::{BTreeMap, HashMap};
use std::slice;

use iced_x86::{Decoder, DecoderOptions, Instruction};

/// What the source declares at an instruction: a macro of `asm/declare.inc` records it, in a section that no kernel image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// The store's operand is finished blocks of a result.
    Block,
    /// The general register gets one finished byte.
    Byte,
    /// The flags tell a decision that is no secret.
    Verdict,
    /// The function's first argument points to secret memory.
    SecretArgument,
}

impl Mark {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Block, Self::Byte, Self::Verdict, Self::SecretArgument];

    /// Name in the source.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Byte => "byte",
            Self::Verdict => "verdict",
            Self::SecretArgument => "secret_argument",
        }
    }
}

/// A function's machine code.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its symbol.
    pub name: String,
    /// Its section.
    pub section: String,
    /// The file it comes from.
    pub file: String,
    /// Where it begins: offset in its section, or the address it was linked to.
    pub address: u64,
    /// Its instructions.
    pub code: Vec<u8>,
    /// What code outside of it its instructions refer to: offset in `code`, and the symbol there.
    pub(crate) references: HashMap<u64, String>,
    /// The sixteen bytes of constants at the address that an instruction loads from, by the offset of the instruction.
    pub(crate) constants: HashMap<u64, [u8; 16]>,
    /// What the source declares, by the offset of the instruction.
    pub(crate) marks: BTreeMap<u64, Mark>,
}

impl Function {
    /// The instructions one after the other, with offsets in `code` as addresses.
    pub fn instructions(&self) -> Vec<Instruction> {
        Decoder::with_ip(64, &self.code, 0, DecoderOptions::NONE)
            .into_iter()
            .collect()
    }

    /// The instruction at an offset.
    pub(crate) fn instruction_at(&self, offset: u64) -> Option<Instruction> {
        let code = self.code.get(usize::try_from(offset).ok()?..)?;
        let mut decoder = Decoder::with_ip(64, code, offset, DecoderOptions::NONE);
        decoder.can_decode().then(|| decoder.decode())
    }

    /// The symbol that `instruction` refers to.
    pub fn symbol(&self, instruction: &Instruction) -> Option<&str> {
        (instruction.ip()..instruction.next_ip())
            .find_map(|offset| self.references.get(&offset))
            .map(String::as_str)
    }

    /// What the source declares at `instruction`.
    pub fn mark(&self, instruction: &Instruction) -> Option<Mark> {
        self.marks.get(&instruction.ip()).copied()
    }

    /// Whether the function is a window.
    pub fn is_window(&self) -> bool {
        self.section == WINDOWS
    }

    /// Replaces an instruction by `code`, filled up with no-operations.
    pub fn replace(&mut self, instruction: &Instruction, code: &[u8]) {
        self.replace_all(slice::from_ref(instruction), code);
    }

    /// Replaces instructions that follow each other by `code`, filled up with no-operations.
    ///
    /// # Panics
    ///
    /// If there is none, or `code` is longer than they are.
    pub fn replace_all(&mut self, instructions: &[Instruction], code: &[u8]) {
        let offset = index(instructions[0].ip());
        let end = index(instructions[instructions.len() - 1].next_ip());
        let place = &mut self.code[offset..end];
        place.fill(0x90);
        place[..code.len()].copy_from_slice(code);
    }
}

/// The section that the kernel's linker script places between two symbols.
pub const WINDOWS: &str = ".tresor.window.text";

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a function is in memory")
}
