// SPDX-License-Identifier: GPL-2.0
//! The rules that every instruction of an engine keeps, so that nothing secret leaves the vector
//! registers.
//!
//! Secrets are in vector registers only: they come from a window, and no instruction moves a vector
//! register to a general one. So general registers, and with them every address, are public; what
//! is left is to look at each store, each flag that depends on a vector register, and each way out.

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
    /// of windows.
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
        if stored && !is_window_call && !is_result(instruction, policy) {
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
    for (index, ret) in returns(&instructions) {
        if !wiped_before(&instructions[..index], function) {
            broken.push((
                Rule::Wipe,
                format!("{}+{:#x}: {ret}", function.name, ret.ip()),
            ));
        }
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

/// The returns of a function, with their indices.
fn returns(instructions: &[Instruction]) -> impl Iterator<Item = (usize, &Instruction)> {
    instructions
        .iter()
        .enumerate()
        .filter(|(_, instruction)| instruction.flow_control() == FlowControl::Return)
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

/// Whether the instructions before a return zero every vector register, whichever way they are
/// reached.
fn wiped_before(before: &[Instruction], function: &Function) -> bool {
    let mut factory = InstructionInfoFactory::new();
    let all = function.instructions();
    let is_target = |address: u64| {
        all.iter().any(|jump| {
            matches!(
                jump.flow_control(),
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
            ) && jump.near_branch_target() == address
        })
    };
    let mut zero = [false; 16];
    for instruction in before.iter().rev() {
        if let Some(register) = zeroed(instruction) {
            zero[register.number()] = true;
        } else if instruction.mnemonic() == Mnemonic::Call {
            // The store window leaves S's registers as they are; load would fill them.
            if function.symbol(instruction) != Some("tresor_store_s") {
                return false;
            }
        } else {
            let written = factory.info(instruction).used_registers().iter();
            let mut written = written
                .filter(|used| writes(used.access()))
                .map(|used| used.register());
            if written.any(|register| register.is_vector_register() && !zero[register.number()]) {
                return false;
            }
            if instruction.flow_control() != FlowControl::Next {
                return false;
            }
        }
        if zero.iter().all(|&zero| zero) {
            return true;
        }
        if is_target(instruction.ip()) {
            return false;
        }
    }
    false
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
