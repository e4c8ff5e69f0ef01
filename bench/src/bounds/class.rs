// SPDX-License-Identifier: GPL-2.0
//! What an instruction is to a core: one of a few kinds that all instructions of the engines fall into.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

/// Kinds of instructions whose cost may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A round of AES, `aesimc` aside.
    Aes,
    /// `aesimc`.
    AesImc,
    /// XOR, AND, addition: also of three operands, and under a mask. A choice of dwords by a constant.
    Logic,
    /// Shift or rotation within dwords or qwords.
    Shift,
    /// A shuffle within lanes of 16 bytes, shifts by bytes among them.
    Shuffle,
    /// Moves lanes, an insertion aside.
    Lanes,
    /// A lane from a register into another one that keeps the others.
    Insert,
    /// A lane from memory into a register that keeps the others.
    InsertMemory,
    /// Carry-less product.
    Clmul,
    /// From a general register to a vector or mask register.
    FromGeneral,
    /// Only counted as an instruction: general registers, jumps, moves that renaming does, tests, the wipe.
    Free,
    /// Only its load or store.
    Move,
}

/// Bits of the widest vector register of an instruction.
pub fn width(instruction: &Instruction) -> u32 {
    let operands = 0..instruction.op_count();
    let registers = operands
        .filter(|&operand| instruction.op_kind(operand) == OpKind::Register)
        .map(|operand| instruction.op_register(operand))
        .filter(|register| register.is_vector_register());
    registers
        .map(|register| 8 * register.size() as u32)
        .max()
        .unwrap_or(128)
}

/// Whether it reads or writes memory by an operand.
pub fn has_memory(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory)
}

/// Whether its memory operand is written: the first one is, and nothing here reads and writes memory at once.
pub fn is_store(instruction: &Instruction) -> bool {
    instruction.op_count() > 0
        && instruction.op0_kind() == OpKind::Memory
        && !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test)
}

/// Whether it is a last round of AES, which each block has once.
pub fn is_last_round(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(
        instruction.mnemonic(),
        Aesenclast | Aesdeclast | Vaesenclast | Vaesdeclast
    )
}

/// Whether it only zeroes: no core computes anything for it.
fn zeroes(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    let count = instruction.op_count();
    matches!(instruction.mnemonic(), Pxor | Vpxor | Vpxord | Xor)
        && count >= 2
        && instruction.op_mask() == Register::None
        && instruction.op_kind(count - 1) == OpKind::Register
        && instruction.op_kind(count - 2) == OpKind::Register
        && instruction.op_register(count - 1) == instruction.op_register(count - 2)
}

/// The class of an instruction; none if it is not known.
pub fn class(instruction: &Instruction) -> Option<Class> {
    use Mnemonic::*;
    if zeroes(instruction) {
        return Some(Class::Free);
    }
    Some(match instruction.mnemonic() {
        Aesenc | Aesenclast | Aesdec | Aesdeclast | Vaesenc | Vaesenclast | Vaesdec
        | Vaesdeclast => Class::Aes,
        Aesimc | Vaesimc => Class::AesImc,
        Pxor | Por | Pand | Paddq | Vpxor | Vpor | Vpxord | Vpand | Vpaddq | Vpternlogd
        | Vpblendd => Class::Logic,
        Psrad | Psrlq | Pslld | Psllq | Vpsrad | Vpsrlq | Vpsllq | Vprold | Vpsllvq | Vpsrlvq => {
            Class::Shift
        }
        Pshufb | Pshufd | Pslldq | Psrldq | Vpshufb | Vpshufd | Vpslldq | Vpsrldq | Vpalignr
        | Vpunpckhdq => Class::Shuffle,
        Vinserti128 | Vinsertf128 if has_memory(instruction) => Class::InsertMemory,
        Vinserti128 | Vinsertf128 | Vinserti64x4 | Vinserti32x4 => Class::Insert,
        Vextracti128 | Vextractf128 | Vextracti32x4 | Vperm2i128 | Vshufi64x2 | Vshufi32x4
        | Valignq => Class::Lanes,
        // From memory their load does it; from a register it is a shuffle of lanes.
        Vbroadcasti128 | Vbroadcasti32x4 if has_memory(instruction) => Class::Move,
        // The load of four amounts, and a shuffle for them.
        Vpmovzxbq => Class::Lanes,
        Vpclmulqdq => Class::Clmul,
        Vpbroadcastq | Movq | Vmovq | Kmovd => Class::FromGeneral,
        Movdqa | Movdqu | Movaps | Movups | Vmovdqa | Vmovdqu | Vmovdqa32 | Vmovdqa64
        | Vmovdqu8 | Vmovdqu64 => {
            if has_memory(instruction) {
                Class::Move
            } else if instruction.op_mask() == Register::None {
                Class::Free
            } else {
                Class::Logic
            }
        }
        Mov | Movzx | Lea | Add | Sub | And | Or | Xor | Cmp | Test | Inc | Dec | Neg | Shl
        | Shr | Bts | Call | Ret | Jmp | Nop | Endbr64 | Cmove | Cmovne | Ptest | Vptest
        | Vzeroall | Vzeroupper | Kxord => Class::Free,
        _ if instruction.is_jcc_short_or_near() => Class::Free,
        _ => return None,
    })
}
