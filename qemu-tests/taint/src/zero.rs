// SPDX-License-Identifier: GPL-2.0
//! Instructions that set registers to zero, whatever was there.

use iced_x86::{EncodingKind, Instruction, Mnemonic, OpKind, Register};

use crate::content::LANES;

/// What an instruction sets to zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zeroed {
    /// Numbers of vector registers, and of each the lanes of 128 bits.
    pub vectors: Vec<(usize, std::ops::Range<usize>)>,
    /// Number of a mask register.
    pub mask: Option<usize>,
    /// Number of a general register.
    pub general: Option<usize>,
}

/// What `instruction` sets to zero; none if it is not for that.
pub fn zeroed(instruction: &Instruction) -> Option<Zeroed> {
    let mut zeroed = Zeroed::default();
    let sixteen = |lanes: std::ops::Range<usize>| (0..16).map(|n| (n, lanes.clone())).collect();
    match instruction.mnemonic() {
        Mnemonic::Vzeroall => zeroed.vectors = sixteen(0..LANES),
        Mnemonic::Vzeroupper => zeroed.vectors = sixteen(1..LANES),
        _ => {
            let register = zeroed_register(instruction)?;
            let number = register.number();
            if register.is_gpr() {
                zeroed.general = Some(number);
            } else if register.is_k() {
                zeroed.mask = Some(number);
            } else if instruction.encoding() == EncodingKind::Legacy {
                zeroed.vectors = vec![(number, 0..1)];
            } else {
                // AVX zeroes what is above the destination.
                zeroed.vectors = vec![(number, 0..LANES)];
            }
        }
    }
    Some(zeroed)
}

/// Whether `instruction` is for setting vector or mask registers to zero.
pub fn is_wipe(instruction: &Instruction) -> bool {
    zeroed(instruction).is_some_and(|zeroed| zeroed.general.is_none())
}

/// The one register that `instruction` sets to zero, by XOR with itself.
pub fn zeroed_register(instruction: &Instruction) -> Option<Register> {
    let registers =
        (0..instruction.op_count()).all(|op| instruction.op_kind(op) == OpKind::Register);
    let last = instruction.op_count().checked_sub(1)?;
    let same = registers
        && last > 0
        && instruction.op_register(last) == instruction.op_register(last - 1)
        && instruction.op_mask() == Register::None;
    let register = instruction.op0_register();
    match instruction.mnemonic() {
        Mnemonic::Xor if same && (register.is_gpr32() || register.is_gpr64()) => (),
        Mnemonic::Pxor if same && register.is_xmm() => (),
        // Of the destination no more than its number matters.
        Mnemonic::Vpxor | Mnemonic::Vpxord | Mnemonic::Vpxorq if same => (),
        // Narrower ones leave the upper bits as they are only in the sources: the destination is written whole.
        Mnemonic::Kxorb | Mnemonic::Kxorw | Mnemonic::Kxord | Mnemonic::Kxorq if same => (),
        _ => return None,
    }
    Some(register)
}
