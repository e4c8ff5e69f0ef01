// SPDX-License-Identifier: GPL-2.0
//! The rules that every instruction of an engine keeps, so that nothing secret leaves the vector
//! registers.
//!
//! Secrets are in vector registers only: they come from a window, and no instruction moves a vector
//! register to a general one. So general registers, and with them every address, are public; what
//! is left is to look at each store, each flag that depends on a vector register, and each way out.

use std::collections::HashMap;

use iced_x86::{
    EncodingKind, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};

use super::object::Function;

/// What an engine may do.
pub(crate) struct Policy {
    /// Register through which results go to memory, if any do.
    pub(crate) destination: Option<Register>,
    /// How many times a flag may depend on a secret: each is a decision that the engine's head
    /// tells of.
    pub(crate) declassified: usize,
}

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Memory is written through the destination only; the stack has nothing but return addresses
    /// of windows, and the flags before them.
    Store,
    /// Nothing is moved from a vector register to a general one.
    Leak,
    /// Only general registers and xmm0-15, without VEX or EVEX: no other register needs wiping.
    ForeignRegister,
    /// Flags depend on vector registers just as often as declared.
    Declassified,
    /// Only windows are called, and jumps stay in the function.
    Flow,
    /// All sixteen vector registers are zero at each return.
    Wipe,
}

/// Returns the rules that `function` breaks, and where.
pub(crate) fn audit(function: &Function, policy: &Policy) -> Vec<(Rule, String)> {
    let instructions = function.instructions();
    let mut broken = Vec::new();
    let mut declassified = 0;
    let mut factory = InstructionInfoFactory::new();
    for instruction in &instructions {
        let mut breaks = |rule| {
            broken.push((
                rule,
                format!("{}+{:#x}: {instruction}", function.name, instruction.ip()),
            ))
        };
        let info = factory.info(instruction);
        let is_window_call =
            instruction.mnemonic() == Mnemonic::Call && calls_window(function, instruction);
        let stored = info
            .used_memory()
            .iter()
            .any(|memory| writes(memory.access()));
        let is_public = is_window_call || instruction.mnemonic() == Mnemonic::Pushfq;
        if stored && !is_public && !is_result(instruction, policy) {
            breaks(Rule::Store);
        }
        let reads_vector = info
            .used_registers()
            .iter()
            .any(|used| used.register().is_vector_register() && reads(used.access()));
        if reads_vector
            && info
                .used_registers()
                .iter()
                .any(|used| used.register().is_gpr() && writes(used.access()))
        {
            breaks(Rule::Leak);
        }
        let foreign = |register: Register| {
            !register.is_gpr() && !register.is_xmm() && !register.is_segment_register()
        };
        if instruction.is_invalid()
            || instruction.encoding() != EncodingKind::Legacy
            || info
                .used_registers()
                .iter()
                .any(|used| foreign(used.register()))
        {
            breaks(Rule::ForeignRegister);
        }
        let stays = match instruction.flow_control() {
            FlowControl::Next | FlowControl::Return => true,
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => instructions
                .iter()
                .any(|target| target.ip() == instruction.near_branch_target()),
            FlowControl::Call => is_window_call,
            _ => false,
        };
        if !stays {
            breaks(Rule::Flow);
        }
        if reads_vector && instruction.rflags_modified() != 0 {
            declassified += 1;
        }
    }
    if declassified != policy.declassified {
        broken.push((
            Rule::Declassified,
            format!("{}: {declassified} times", function.name),
        ));
    }
    for ret in unwiped_returns(function, &instructions) {
        broken.push((
            Rule::Wipe,
            format!("{}+{:#x}: {ret}", function.name, ret.ip()),
        ));
    }
    broken
}

/// Every store of `function` to its destination, in words.
pub(crate) fn results(function: &Function, policy: &Policy) -> Vec<String> {
    function
        .instructions()
        .iter()
        .filter(|instruction| is_result(instruction, policy))
        .map(ToString::to_string)
        .collect()
}

fn calls_window(function: &Function, instruction: &Instruction) -> bool {
    matches!(
        function.symbol(instruction),
        Some("tresor_load_s" | "tresor_store_s")
    )
}

/// A plain 16-byte store of a vector register through the destination.
fn is_result(instruction: &Instruction, policy: &Policy) -> bool {
    instruction.mnemonic() == Mnemonic::Movdqu
        && instruction.op0_kind() == OpKind::Memory
        && Some(instruction.memory_base()) == policy.destination
        && instruction.segment_prefix() == Register::None
}

/// One bit for each vector register.
type Registers = u16;

/// The returns that some way through the function reaches with a vector register that may not be
/// zero.
///
/// A forward data-flow analysis: what is zero before an instruction is what is zero after each
/// instruction that may come before it.
fn unwiped_returns(function: &Function, instructions: &[Instruction]) -> Vec<Instruction> {
    let index: HashMap<u64, usize> = (0..)
        .zip(instructions)
        .map(|(i, at)| (at.ip(), i))
        .collect();
    let mut factory = InstructionInfoFactory::new();
    let effects: Vec<_> = instructions
        .iter()
        .map(|at| effect(function, at, &mut factory))
        .collect();
    let mut before: Vec<Registers> = vec![Registers::MAX; instructions.len()];
    before[0] = 0;
    let mut changed = true;
    while changed {
        changed = false;
        for (i, instruction) in instructions.iter().enumerate() {
            let (written, zeroed) = effects[i];
            let after = before[i] & !written | zeroed;
            let flow = instruction.flow_control();
            let ends = matches!(flow, FlowControl::Return | FlowControl::UnconditionalBranch);
            let next = (!ends && i + 1 < instructions.len()).then_some(i + 1);
            // 0 for everything that is no branch: no branch goes back to the entry.
            let target = index
                .get(&instruction.near_branch_target())
                .filter(|&&target| target > 0);
            for to in next.into_iter().chain(target.copied()) {
                changed |= before[to] & !after != 0;
                before[to] &= after;
            }
        }
    }
    let is_unwiped = |(at, before): &(&Instruction, &Registers)| {
        at.flow_control() == FlowControl::Return && **before != Registers::MAX
    };
    let returns = instructions.iter().zip(&before).filter(is_unwiped);
    returns.map(|(ret, _)| *ret).collect()
}

/// The vector registers that an instruction writes, and those of them that are zero then.
fn effect(
    function: &Function,
    instruction: &Instruction,
    factory: &mut InstructionInfoFactory,
) -> (Registers, Registers) {
    let bit = |register: Register| 1 << register.number();
    if let Some(register) = zeroed(instruction) {
        return (bit(register), bit(register));
    }
    // The contract of the windows: load fills two registers. What they zero is not relied on.
    if instruction.mnemonic() == Mnemonic::Call
        && function.symbol(instruction) == Some("tresor_load_s")
    {
        return (bit(Register::XMM0) | bit(Register::XMM1), 0);
    }
    let used = factory.info(instruction).used_registers().iter();
    let written = used.filter(|used| used.register().is_vector_register() && writes(used.access()));
    (
        written.fold(0, |written, used| written | bit(used.register())),
        0,
    )
}

/// The vector register that `instruction` sets to zero.
pub(crate) fn zeroed(instruction: &Instruction) -> Option<Register> {
    let same = instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register();
    (instruction.mnemonic() == Mnemonic::Pxor && same && instruction.op0_register().is_xmm())
        .then(|| instruction.op0_register())
}

/// Whether an access reads, perhaps.
pub(crate) fn reads(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

/// Whether an access writes, perhaps.
pub(crate) fn writes(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}
