// SPDX-License-Identifier: GPL-2.0
//! Which registers an engine leaves unwiped: a forward data-flow analysis.

use std::collections::HashMap;
use std::ops::{BitAnd, BitOr, Not};

use iced_x86::{
    EncodingKind, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register,
};

use super::audit::{is_mask, writes};
use super::object::Function;

/// A set of parts of registers: one bit for each register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    /// Bits 0 to 127 of vector registers: xmm.
    low: u32,
    /// Bits 128 to 255: what ymm has more.
    middle: u32,
    /// Bits 256 to 511: what zmm has more.
    high: u32,
    /// k0 to k7.
    masks: u8,
}

impl Registers {
    pub(crate) const NONE: Self = Self {
        low: 0,
        middle: 0,
        high: 0,
        masks: 0,
    };
    const ALL: Self = Self {
        low: u32::MAX,
        middle: u32::MAX,
        high: u32::MAX,
        masks: u8::MAX,
    };
    /// All that SSE instructions can write.
    pub(crate) const SSE: Self = Self {
        low: 0xffff,
        ..Self::NONE
    };
    /// All that AVX instructions can write, on a CPU with AVX-512.
    pub(crate) const AVX: Self = Self {
        low: 0xffff,
        middle: 0xffff,
        high: 0xffff,
        masks: 0,
    };
    /// All that AVX-512 instructions can write.
    pub(crate) const AVX512: Self = Self::ALL;

    /// All of a vector register.
    const fn vector(number: usize) -> Self {
        let bit = 1 << number;
        Self {
            low: bit,
            middle: bit,
            high: bit,
            masks: 0,
        }
    }

    /// What `register` names: of a vector register its first 16, 32 or 64 bytes.
    fn named(register: Register) -> Self {
        let number = register.number();
        let all = Self::vector(number);
        match register {
            register if is_mask(register) => Self {
                masks: 1 << number,
                ..Self::NONE
            },
            register if register.is_xmm() => Self {
                low: all.low,
                ..Self::NONE
            },
            register if register.is_ymm() => Self { high: 0, ..all },
            _ => all,
        }
    }
}

impl BitAnd for Registers {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self {
            low: self.low & other.low,
            middle: self.middle & other.middle,
            high: self.high & other.high,
            masks: self.masks & other.masks,
        }
    }
}

impl BitOr for Registers {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self {
            low: self.low | other.low,
            middle: self.middle | other.middle,
            high: self.high | other.high,
            masks: self.masks | other.masks,
        }
    }
}

impl Not for Registers {
    type Output = Self;
    fn not(self) -> Self {
        Self {
            low: !self.low,
            middle: !self.middle,
            high: !self.high,
            masks: !self.masks,
        }
    }
}

/// The returns that some way through the function reaches with registers of `wiped` that may not be
/// zero, and these registers.
///
/// What may not be zero before an instruction is what may not be zero after any instruction that
/// may come before it. At the entry that is all, but for the masks: the caller's are no secret, and
/// only those that the engine writes are to be wiped.
pub(crate) fn unwiped_returns(
    function: &Function,
    instructions: &[Instruction],
    wiped: &Registers,
) -> Vec<(Instruction, Registers)> {
    let index: HashMap<u64, usize> = (0..)
        .zip(instructions)
        .map(|(i, at)| (at.ip(), i))
        .collect();
    let mut factory = InstructionInfoFactory::new();
    let effects: Vec<_> = instructions
        .iter()
        .map(|at| effect(function, at, &mut factory))
        .collect();
    let mut before = vec![None; instructions.len()];
    before[0] = Some(Registers {
        masks: 0,
        ..Registers::ALL
    });
    let mut work = vec![0];
    while let Some(i) = work.pop() {
        let (zeroed, written) = effects[i];
        let after = before[i].unwrap_or(Registers::NONE) & !zeroed | written;
        let flow = instructions[i].flow_control();
        let ends = matches!(flow, FlowControl::Return | FlowControl::UnconditionalBranch);
        let next = (!ends && i + 1 < instructions.len()).then_some(i + 1);
        let branches = matches!(
            flow,
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
        );
        let target = index
            .get(&instructions[i].near_branch_target())
            .filter(|_| branches);
        for to in next.into_iter().chain(target.copied()) {
            let joined = before[to].unwrap_or(Registers::NONE) | after;
            if before[to] != Some(joined) {
                before[to] = Some(joined);
                work.push(to);
            }
        }
    }
    let left = |(ret, before): (&Instruction, &Option<Registers>)| {
        let left = before.unwrap_or(Registers::NONE) & *wiped;
        (ret.flow_control() == FlowControl::Return && left != Registers::NONE)
            .then_some((*ret, left))
    };
    instructions.iter().zip(&before).filter_map(left).collect()
}

/// What is zero after an instruction, and what may not be zero any more.
fn effect(
    function: &Function,
    instruction: &Instruction,
    factory: &mut InstructionInfoFactory,
) -> (Registers, Registers) {
    let zeroed = zeroes(instruction);
    if zeroed != Registers::NONE {
        return (zeroed, Registers::NONE);
    }
    // The contract of the windows: load fills two registers. What they zero is not relied on.
    if instruction.mnemonic() == Mnemonic::Call
        && function.symbol(instruction) == Some("tresor_load_s")
    {
        let s = Registers::named(Register::XMM0) | Registers::named(Register::XMM1);
        return (Registers::NONE, s);
    }
    let mut effect = (Registers::NONE, Registers::NONE);
    for used in factory.info(instruction).used_registers() {
        let register = used.register();
        if !writes(used.access()) || !register.is_vector_register() && !is_mask(register) {
            continue;
        }
        // AVX zeroes what is above the destination; SSE leaves it alone. The list of used registers
        // has the whole register for that; the operand says what is really written.
        let destination = instruction.op0_register();
        let written = if destination.full_register() == register.full_register() {
            Registers::named(destination)
        } else {
            Registers::named(register)
        };
        if instruction.encoding() != EncodingKind::Legacy && register.is_vector_register() {
            effect.0 = effect.0 | Registers::vector(register.number()) & !written;
        }
        effect.1 = effect.1 | written;
    }
    effect
}

/// What `instruction` sets to zero, whatever was there: nothing if it is not for that.
pub(crate) fn zeroes(instruction: &Instruction) -> Registers {
    let sixteen = (0..16).fold(Registers::NONE, |all, n| all | Registers::vector(n));
    match instruction.mnemonic() {
        Mnemonic::Vzeroall => return sixteen,
        Mnemonic::Vzeroupper => return Registers { low: 0, ..sixteen },
        _ => (),
    }
    match zeroed(instruction) {
        None => Registers::NONE,
        Some(register) if register.is_vector_register() => {
            if instruction.encoding() == EncodingKind::Legacy {
                Registers::named(register)
            } else {
                Registers::vector(register.number())
            }
        }
        Some(mask) => Registers::named(mask),
    }
}

/// The one vector or mask register that `instruction` sets to zero, by XOR with itself.
pub(crate) fn zeroed(instruction: &Instruction) -> Option<Register> {
    let registers =
        (0..instruction.op_count()).all(|op| instruction.op_kind(op) == OpKind::Register);
    let last = instruction.op_count().checked_sub(1)?;
    let same = registers
        && last > 0
        && instruction.op_register(last) == instruction.op_register(last - 1)
        && instruction.op_mask() == Register::None;
    match instruction.mnemonic() {
        Mnemonic::Pxor if same && instruction.op0_register().is_xmm() => (),
        // Of the destination no more than its number matters.
        Mnemonic::Vpxor | Mnemonic::Vpxord | Mnemonic::Vpxorq if same => (),
        Mnemonic::Kxorb | Mnemonic::Kxorw | Mnemonic::Kxord | Mnemonic::Kxorq if same => (),
        _ => return None,
    }
    Some(instruction.op0_register())
}
