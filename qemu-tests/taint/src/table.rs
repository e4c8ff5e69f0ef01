// SPDX-License-Identifier: GPL-2.0
//! Every instruction whose effect this analysis knows. Any other one is a finding.
//!
//! For all of them but the classes that say otherwise, what is written depends on what is read, and the time does not depend on the values
//! of the operands: vector and logic instructions are in Intel's list of instructions with data operand independent timing.

use iced_x86::Mnemonic::{self, *};

/// How an instruction is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Calculates from operands to operands and flags.
    Plain,
    /// As above, and overwrites its whole destination though it is an SSE instruction.
    SseMove,
    /// As above; the last operand is a count on which the time may depend.
    Shift,
    /// Time depends on the operands, as do the exception flags in MXCSR.
    Float,
    /// Time depends on the operands.
    Divide,
    /// Stores registers that are no operands.
    SaveState,
    /// Copies memory to memory, or fills it.
    StringMove,
    /// Reads or writes a port.
    Port,
    /// Reads a model-specific register.
    ReadMsr,
    /// Jumps, calls, returns.
    Control,
    /// The stack, in one direction or the other.
    Stack,
}

/// The class of an instruction; none if it is not known.
pub(crate) fn class(mnemonic: Mnemonic) -> Option<Class> {
    Some(match mnemonic {
        // General registers.
        Mov | Movzx | Lea | Add | Sub | Adc | Inc | Dec | And | Or | Xor | Not | Neg | Test
        | Cmp | Bt | Bts | Bswap | Cli | Sti | Endbr64 | Nop | Pause | Wrmsr | Xgetbv => {
            Class::Plain
        }
        Shl | Shr | Sar | Rol | Ror => Class::Shift,
        Div | Idiv => Class::Divide,
        Rdmsr => Class::ReadMsr,
        Push | Pop | Pushfq | Popfq => Class::Stack,
        In | Out | Insb | Insw | Insd | Outsb | Outsw | Outsd => Class::Port,
        Movsb | Movsw | Movsq | Stosb | Stosw | Stosd | Stosq => Class::StringMove,
        Call | Ret | Jmp | Ja | Jae | Jb | Jbe | Je | Jne | Jg | Jge | Jl | Jle | Jo | Jno | Jp
        | Jnp | Js | Jns => Class::Control,
        Fxsave | Fxsave64 | Xsave | Xsave64 | Xsavec | Xsavec64 | Xsaveopt | Xsaveopt64
        | Xsaves | Xsaves64 => Class::SaveState,
        // SSE.
        Movdqa | Movdqu | Movaps | Movups | Movq | Movd | Pshufd => Class::SseMove,
        Movss | Punpcklqdq | Punpckhqdq | Pshufb | Palignr | Pblendw | Por | Pand | Pxor
        | Paddd | Paddq | Psadbw | Phaddd | Ptest | Pslldq | Psrldq | Pinsrb | Pinsrw | Pextrb
        | Pextrw | Pextrq | Pmovmskb => Class::Plain,
        Psllq | Psrlq | Pslld | Psrld | Psrad => Class::Shift,
        Cvtdq2ps | Ucomiss => Class::Float,
        Aesenc | Aesenclast | Aesdec | Aesdeclast | Sha256rnds2 | Sha256msg1 | Sha256msg2 => {
            Class::Plain
        }
        Aesimc | Aeskeygenassist => Class::SseMove,
        // AVX and AVX-512: the destination is always written whole.
        Vmovdqa | Vmovdqa32 | Vmovdqa64 | Vmovdqu | Vmovdqu8 | Vmovdqu32 | Vmovdqu64 | Vmovq
        | Vmovd => Class::Plain,
        Vpshufd | Vpshufb | Vpalignr | Valignq | Vshufi32x4 | Vshufi64x2 | Vpermq | Vperm2i128
        | Vperm2f128 | Vpunpckhdq | Vpunpcklqdq | Vpunpckhqdq | Vpblendd => Class::Plain,
        Vinserti128 | Vinsertf128 | Vinserti32x4 | Vinserti64x2 | Vinserti64x4 | Vextracti128
        | Vextractf128 | Vextracti32x4 | Vextracti64x2 | Vextracti64x4 | Vbroadcasti128
        | Vbroadcastf128 | Vbroadcasti32x4 | Vbroadcasti64x2 | Vpbroadcastq | Vpbroadcastd => {
            Class::Plain
        }
        Vpor | Vpand | Vpxor | Vpord | Vpxord | Vpxorq | Vpternlogd | Vpternlogq | Vpaddq
        | Vpaddd | Vptest | Vpslldq | Vpsrldq | Vprold | Vpclmulqdq | Vpmovmskb | Vpextrq => {
            Class::Plain
        }
        Vpsllq | Vpsrlq | Vpslld | Vpsrld | Vpsrad | Vpsllvq | Vpsrlvq => Class::Shift,
        Vaesenc | Vaesenclast | Vaesdec | Vaesdeclast | Vaesimc => Class::Plain,
        Vpgatherdd | Vpscatterdd => Class::Plain,
        // These are treated before their class is asked for.
        Vzeroall | Vzeroupper => Class::Plain,
        Kmovd | Kmovq | Kxorb | Kxorw | Kxord | Kxorq | Kortestw | Vpmovd2m => Class::Plain,
        _ => return None,
    })
}
