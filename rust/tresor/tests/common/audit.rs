// SPDX-License-Identifier: GPL-2.0
//! The rules that every instruction of an engine keeps, so that nothing secret leaves the vector
//! registers.
//!
//! Secrets are in vector and mask registers only: they come from a window, and no instruction moves
//! one of those to a general register. So general registers, and with them every address, are
//! public; what is left is to look at each store, each flag that depends on a vector register, and
//! each way out.

use std::collections::HashSet;

use iced_x86::{
    CpuidFeature, EncodingKind, FlowControl, Instruction, InstructionInfo, InstructionInfoFactory,
    Mnemonic, OpAccess, OpKind, Register,
};

use super::object::Function;
use super::wipe::{self, Registers};

/// What an engine may do.
pub(crate) struct Policy {
    /// Register through which results go to memory, if any do.
    pub(crate) destination: Option<Register>,
    /// How many times a flag may depend on a secret: each is a decision that the engine's head
    /// tells of.
    pub(crate) declassified: usize,
    /// Of which instruction sets its instructions are, beside those of [`GENERAL`].
    pub(crate) features: &'static [CpuidFeature],
    /// How instructions on vector registers are encoded. SSE beside AVX is slow, or leaves upper
    /// halves as they are.
    pub(crate) encodings: &'static [EncodingKind],
    /// What is zero at each return.
    pub(crate) wiped: Registers,
}

/// Instructions on general registers that every x86-64 CPU has (endbr64 and long no-operations do
/// nothing on older ones).
const GENERAL: [CpuidFeature; 8] = [
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::X64,
    CpuidFeature::CMOV,
    CpuidFeature::CET_IBT,
    CpuidFeature::MULTIBYTENOP,
];

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Memory is written through the destination only; the stack has nothing but return addresses
    /// of windows, and the flags before them.
    Store,
    /// The destination's register is the function's argument, moved on by public numbers.
    Destination,
    /// Nothing is moved from a vector or mask register to a general one, and no address, nor
    /// whether there is an access, depends on one.
    Leak,
    /// Only instructions of the CPU class: so there is no register that the wipe does not know, and
    /// none that the CPU may not have.
    Foreign,
    /// Flags depend on vector or mask registers just as often as declared.
    Declassified,
    /// Only windows are called, and jumps stay in the function.
    Flow,
    /// Vector registers are zero at each return, and so are mask registers that were written.
    Wipe,
}

/// Returns the rules that `function` breaks, and where.
pub(crate) fn audit(function: &Function, policy: &Policy) -> Vec<(Rule, String)> {
    let instructions = function.instructions();
    let addresses: HashSet<u64> = instructions.iter().map(Instruction::ip).collect();
    let mut factory = InstructionInfoFactory::new();
    let secret_masks = secret_masks(&instructions, &mut factory);
    let mut broken = Vec::new();
    let mut declassified = 0;
    let mut called = false;
    for (index, instruction) in instructions.iter().enumerate() {
        let mut breaks = |rule| {
            broken.push((
                rule,
                format!("{}+{:#x}: {instruction}", function.name, instruction.ip()),
            ))
        };
        let info = factory.info(instruction);
        let is_window_call =
            instruction.mnemonic() == Mnemonic::Call && calls_window(function, instruction);
        let uses_memory = !info.used_memory().is_empty();
        let stored = info
            .used_memory()
            .iter()
            .any(|memory| writes(memory.access()));
        let is_public = is_window_call || instruction.mnemonic() == Mnemonic::Pushfq;
        if stored && !is_public && !is_result(instruction, policy) {
            breaks(Rule::Store);
        }
        if !keeps_destination(instruction, info, policy, called) {
            breaks(Rule::Destination);
        }
        called |= is_window_call;
        let reads_secret = uses(info, |register, access| {
            (register.is_vector_register() || is_mask(register)) && reads(access)
        });
        let to_general = uses(info, |register, access| register.is_gpr() && writes(access));
        let address = instruction.memory_index().is_vector_register();
        let guarded = uses_memory && secret_masks.contains(&instruction.op_mask());
        let leaks = reads_secret && to_general && !is_finished_byte(&instructions, index, policy);
        if leaks || address || guarded {
            breaks(Rule::Leak);
        }
        if is_foreign(instruction, info, policy) {
            breaks(Rule::Foreign);
        }
        let stays = match instruction.flow_control() {
            FlowControl::Next | FlowControl::Return => true,
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                addresses.contains(&instruction.near_branch_target())
            }
            FlowControl::Call => is_window_call,
            _ => false,
        };
        if !stays {
            breaks(Rule::Flow);
        }
        if reads_secret && instruction.rflags_modified() != 0 {
            declassified += 1;
        }
    }
    if declassified != policy.declassified {
        broken.push((
            Rule::Declassified,
            format!("{}: {declassified} times", function.name),
        ));
    }
    for (ret, left) in wipe::unwiped_returns(function, &instructions, &policy.wiped) {
        broken.push((
            Rule::Wipe,
            format!("{}+{:#x}: {ret}: {left:?}", function.name, ret.ip()),
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

/// A store through the destination: a plain one of a vector register, one byte of it, or the one
/// byte that [`is_finished_byte`] allows to get to `%al`.
fn is_result(instruction: &Instruction, policy: &Policy) -> bool {
    let plain = matches!(
        instruction.mnemonic(),
        Mnemonic::Movdqu
            | Mnemonic::Vmovdqu
            | Mnemonic::Vmovdqu8
            | Mnemonic::Vmovdqu32
            | Mnemonic::Vmovdqu64
            | Mnemonic::Pextrb
    );
    let byte_of_al =
        instruction.mnemonic() == Mnemonic::Mov && instruction.op1_register() == Register::AL;
    (plain || byte_of_al)
        && instruction.op0_kind() == OpKind::Memory
        && Some(instruction.memory_base()) == policy.destination
        && instruction.segment_prefix() == Register::None
}

/// Whether the destination is set from the third argument before a window clears that, or moved on
/// from where it is.
fn keeps_destination(
    instruction: &Instruction,
    info: &InstructionInfo,
    policy: &Policy,
    called: bool,
) -> bool {
    let is_destination = |register: Register| Some(register.full_register()) == policy.destination;
    if !uses(info, |register, access| {
        is_destination(register) && writes(access)
    }) {
        return true;
    }
    let set = !called
        && instruction.mnemonic() == Mnemonic::Mov
        && policy.destination == Some(instruction.op0_register())
        && instruction.op1_register() == Register::RDX;
    let moved = match instruction.mnemonic() {
        Mnemonic::Add | Mnemonic::Sub => policy.destination == Some(instruction.op0_register()),
        Mnemonic::Lea => {
            policy.destination == Some(instruction.op0_register())
                && policy.destination == Some(instruction.memory_base())
        }
        _ => false,
    };
    set || moved
}

/// One byte of a result, on its way to the destination: the other bytes are cleared, `movd` brings
/// it to `%eax`, and the next instruction stores it; nothing jumps in between. SSSE3 has no byte
/// store from a vector register.
fn is_finished_byte(instructions: &[Instruction], index: usize, policy: &Policy) -> bool {
    let [clear, move_out, store] = index
        .checked_sub(1)
        .and_then(|first| instructions.get(first..first + 3))
        .unwrap_or_default()
    else {
        return false;
    };
    let entered = |instruction: &Instruction| {
        let target = instruction.near_branch_target();
        target == move_out.ip() || target == store.ip()
    };
    clear.mnemonic() == Mnemonic::Pand
        && clear.is_ip_rel_memory_operand()
        && move_out.mnemonic() == Mnemonic::Movd
        && move_out.op0_register() == Register::EAX
        && move_out.op1_register() == clear.op0_register()
        && store.op1_register() == Register::AL
        && is_result(store, policy)
        && !instructions.iter().any(entered)
}

fn is_foreign(instruction: &Instruction, info: &InstructionInfo, policy: &Policy) -> bool {
    let features = instruction.cpuid_features();
    let known = |feature| GENERAL.contains(feature) || policy.features.contains(feature);
    let on_vectors = uses(info, |register, _| {
        register.is_vector_register() || is_mask(register)
    });
    instruction.is_invalid()
        || !features.iter().all(known)
        || on_vectors && !policy.encodings.contains(&instruction.encoding())
}

/// Mask registers that something is written to which depends on a vector register, anywhere in the
/// function.
fn secret_masks(
    instructions: &[Instruction],
    factory: &mut InstructionInfoFactory,
) -> HashSet<Register> {
    let mut secret = HashSet::new();
    loop {
        let before = secret.len();
        for instruction in instructions {
            let info = factory.info(instruction);
            let depends = uses(info, |register, access| {
                (register.is_vector_register() || secret.contains(&register)) && reads(access)
            });
            let written = info
                .used_registers()
                .iter()
                .filter(|used| depends && is_mask(used.register()) && writes(used.access()));
            secret.extend(written.map(|used| used.register()));
        }
        if secret.len() == before {
            return secret;
        }
    }
}

fn uses(info: &InstructionInfo, test: impl Fn(Register, OpAccess) -> bool) -> bool {
    info.used_registers()
        .iter()
        .any(|used| test(used.register(), used.access()))
}

pub(crate) fn is_mask(register: Register) -> bool {
    register.is_k()
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
