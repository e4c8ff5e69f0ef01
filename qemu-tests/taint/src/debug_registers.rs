// SPDX-License-Identifier: GPL-2.0
//! Who reads and writes DR0 to DR3 in the whole kernel: the code that is checked, and a few places that are known.

use std::collections::BTreeMap;

use anyhow::Result;
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};

use crate::flow::Program;
use crate::kernel::Image;

/// The kernel's own writes to DR0 to DR3, by the function they are in, and why they do no harm.
const WRITES: &[(&str, &str)] = &[
    (
        "cpu_init",
        "clears them when a CPU starts, before it has a secret",
    ),
    (
        "arch_install_hw_breakpoint",
        "sets a breakpoint, which hw_breakpoint_arch_parse refused before",
    ),
    (
        "hw_breakpoint_restore",
        "sets breakpoints again: called where DR7 has one, and there is none",
    ),
    (
        "use_temporary_mm",
        "clears breakpoints: where DR7 has one, and there is none",
    ),
    (
        "kgdb_correct_hw_break",
        "sets the breakpoints that kgdb has: kgdb_set_hw_break refuses to make one while there is an owner",
    ),
];

/// As above, its reads.
const READS: &[(&str, &str)] = &[(
    "__show_regs",
    "prints them, but returns before that while they have an owner",
)];

/// An instruction that moves one of DR0 to DR3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugRegisterUse {
    /// The function or label before it.
    pub place: String,
    /// Its address in `vmlinux`.
    pub address: u64,
    /// The instruction.
    pub instruction: String,
    /// Why it does no harm; none if it is not known.
    pub why: Option<&'static str>,
}

/// Every instruction of the kernel that moves one of DR0 to DR3, but those in `program`, which is checked instruction by instruction.
pub fn debug_register_uses(image: &Image, program: &Program) -> Result<Vec<DebugRegisterUse>> {
    let linked = image.linked()?;
    let labels = linked.labels();
    let mut uses = Vec::new();
    for (start, code) in linked.code()? {
        for offset in candidates(code) {
            let address = start + offset as u64;
            let Some(instruction) = whole(&labels, start, code, address) else {
                continue;
            };
            let place = labels.range(..=address).next_back();
            let place = place.map_or("(no label)", |(_, name)| name);
            if program.contains_key(place) {
                continue;
            }
            let reads = instruction.op1_register().is_dr();
            let places = if reads { READS } else { WRITES };
            let known = places.iter().find(|(name, _)| *name == place);
            uses.push(DebugRegisterUse {
                place: place.to_owned(),
                address,
                instruction: instruction.to_string(),
                why: known.map(|(_, why)| *why),
            });
        }
    }
    Ok(uses)
}

/// Offsets of the bytes of `mov` to or from DR0..DR3 (SDM Vol. 2: 0F 21 /r and 0F 23 /r, whatever the mod field says).
fn candidates(code: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let bytes = code.windows(3).enumerate();
    bytes.filter_map(|(offset, bytes)| {
        let moves = bytes[0] == 0x0f && [0x21, 0x23].contains(&bytes[1]);
        (moves && bytes[2] >> 3 & 7 < 4).then_some(offset)
    })
}

/// The instruction at an address, unless the bytes there are a part of another one: instructions are counted from the label before.
fn whole(
    labels: &BTreeMap<u64, &str>,
    start: u64,
    code: &[u8],
    address: u64,
) -> Option<Instruction> {
    let from = labels
        .range(..=address)
        .next_back()
        .map_or(start, |(label, _)| (*label).max(start));
    let offset = usize::try_from(from - start).ok()?;
    let mut decoder = Decoder::with_ip(64, &code[offset..], from, DecoderOptions::NONE);
    while decoder.ip() <= address && decoder.can_decode() {
        let instruction = decoder.decode();
        // A prefix may come before the two bytes.
        if (instruction.ip()..instruction.next_ip()).contains(&address) {
            let moves = instruction.mnemonic() == Mnemonic::Mov
                && (instruction.op0_register().is_dr() || instruction.op1_register().is_dr());
            return moves.then_some(instruction);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_found_and_a_part_of_another_instruction_is_not() {
        // mov %rax, %dr1; movabs $0x210f, %rax; mov %dr7, %rax
        let code = [
            0x0f, 0x23, 0xc8, 0x48, 0xb8, 0x0f, 0x21, 0, 0, 0, 0, 0, 0, 0x0f, 0x21, 0xf8,
        ];
        let labels = BTreeMap::from([(0x1000, "f")]);
        let found: Vec<_> = candidates(&code).collect();
        assert_eq!(found, [0, 5]);
        assert!(whole(&labels, 0x1000, &code, 0x1000).is_some());
        assert!(whole(&labels, 0x1000, &code, 0x1005).is_none());
    }
}
