// SPDX-License-Identifier: GPL-2.0
//! Instructions that an engine must not have, as code.

use iced_x86::CpuidFeature;
use taint::Rule;

/// Code, what it is, and the rules that it breaks.
pub(crate) type Table = &'static [(&'static [u8], &'static str, &'static [Rule])];

/// For every engine.
pub(crate) const GENERAL: Table = &[
    (
        &[0x41, 0x53, 0x41, 0x5b],
        "push %r11; pop %r11",
        &[Rule::UndeclaredStore],
    ),
    (
        &[0x88, 0x5c, 0x24, 0xc0],
        "mov %bl, -64(%rsp)",
        &[Rule::UndeclaredStore],
    ),
    (&[0xff, 0xd0], "call *%rax", &[Rule::Flow]),
    (
        &[0x0f, 0x84, 0, 0, 0, 0x40],
        "jz out of the function",
        &[Rule::Flow],
    ),
    (&[0xd9, 0xe8], "fld1", &[Rule::Unknown]),
    (&[0x0f, 0x77], "emms", &[Rule::Unknown]),
    (
        &[0x66, 0x0f, 0x38, 0x37, 0xc1],
        "pcmpgtq %xmm1, %xmm0 (SSE4.2)",
        &[Rule::Unknown],
    ),
];

/// For engines with a destination, which is %r10 in all of them.
pub(crate) const DESTINATION: Table = &[
    (&[0x4d, 0x89, 0xda], "mov %r11, %r10", &[Rule::Destination]),
    (&[0x49, 0x89, 0xd2], "mov %rdx, %r10", &[Rule::Destination]),
    (
        &[0x45, 0x31, 0xd2],
        "xor %r10d, %r10d",
        &[Rule::Destination],
    ),
];

/// For engines with SSE.
pub(crate) const SSE: Table = &[
    (
        &[0x0f, 0x11, 0x44, 0x24, 0xc0],
        "movups %xmm0, -64(%rsp)",
        &[Rule::SecretStored],
    ),
    (
        &[0xf3, 0x0f, 0x7f, 0x06],
        "movdqu %xmm0, (%rsi)",
        &[Rule::SecretStored],
    ),
    (
        &[0x66, 0x4c, 0x0f, 0x7e, 0xc0],
        "movq %xmm8, %rax",
        &[Rule::SecretInGeneral],
    ),
    (
        &[0x66, 0x0f, 0x7e, 0xc0],
        "movd %xmm0, %eax",
        &[Rule::SecretInGeneral],
    ),
    (
        &[0x66, 0x0f, 0xd7, 0xc0],
        "pmovmskb %xmm0, %eax",
        &[Rule::SecretInGeneral],
    ),
    (
        &[0x66, 0x0f, 0xc5, 0xc0, 0x00],
        "pextrw $0, %xmm0, %eax",
        &[Rule::SecretInGeneral],
    ),
    (
        &[0x66, 0x0f, 0x38, 0x17, 0xc0, 0x74, 0x00],
        "ptest %xmm0, %xmm0; jz to the next instruction",
        &[Rule::SecretBranch],
    ),
    (
        &[0x0f, 0x2e, 0xc1],
        "ucomiss %xmm1, %xmm0",
        &[Rule::SecretTiming, Rule::SecretLeft],
    ),
    (
        &[0x66, 0x0f, 0xf3, 0xc8],
        "psllq %xmm0, %xmm1",
        &[Rule::SecretTiming],
    ),
];

/// For engines with AVX or more.
pub(crate) const AVX: Table = &[
    (
        &[0xc5, 0xfa, 0x7f, 0x44, 0x24, 0xc0],
        "vmovdqu %xmm0, -64(%rsp)",
        &[Rule::SecretStored],
    ),
    (
        &[0xc5, 0xfe, 0x7f, 0x06],
        "vmovdqu %ymm0, (%rsi)",
        &[Rule::SecretStored],
    ),
    (
        &[0xc5, 0xf9, 0x7e, 0x06],
        "vmovd %xmm0, (%rsi)",
        &[Rule::SecretStored],
    ),
    (
        &[0xc4, 0xc2, 0x69, 0x2e, 0x0a],
        "vmaskmovps %xmm1, %xmm2, (%r10)",
        &[Rule::Unknown],
    ),
    (
        &[0xc4, 0x61, 0xf9, 0x7e, 0xc0],
        "vmovq %xmm8, %rax",
        &[Rule::SecretInGeneral],
    ),
    (
        &[0xc5, 0xf9, 0xd7, 0xc0],
        "vpmovmskb %xmm0, %eax",
        &[Rule::SecretInGeneral],
    ),
    (
        &[0xc4, 0xe3, 0xf9, 0x16, 0xc0, 0x01],
        "vpextrq $1, %xmm0, %rax",
        &[Rule::SecretInGeneral],
    ),
    (
        &[0xc4, 0xe2, 0x79, 0x17, 0xc0, 0x74, 0x00],
        "vptest %xmm0, %xmm0; jz to the next instruction",
        &[Rule::SecretBranch],
    ),
];

/// Instructions that a class without the instruction set must not have, or one with another
/// encoding.
pub(crate) const WITHOUT: &[(CpuidFeature, &[u8], &str)] = &[
    (
        CpuidFeature::SSE4_1,
        &[0x66, 0x0f, 0x38, 0x28, 0xc1],
        "pmuldq %xmm1, %xmm0",
    ),
    (
        CpuidFeature::AES,
        &[0x66, 0x0f, 0x38, 0xdc, 0xc1],
        "aesenc %xmm1, %xmm0",
    ),
    (
        CpuidFeature::AVX2,
        &[0xc5, 0xed, 0xd4, 0xc1],
        "vpaddq %ymm1, %ymm2, %ymm0",
    ),
    (
        CpuidFeature::VAES,
        &[0xc4, 0xe2, 0x6d, 0xdc, 0xc1],
        "vaesenc %ymm1, %ymm2, %ymm0",
    ),
    (
        CpuidFeature::AVX512VL,
        &[0x62, 0xf1, 0x7d, 0x08, 0xef, 0xc0],
        "vpxord %xmm0, %xmm0, %xmm0",
    ),
    (
        CpuidFeature::AVX512BW,
        &[0xc4, 0xe1, 0xfb, 0x92, 0xc8],
        "kmovq %rax, %k1",
    ),
    (
        CpuidFeature::VAES,
        &[0x62, 0xf2, 0x6d, 0x48, 0xdc, 0xc1],
        "vaesenc %zmm1, %zmm2, %zmm0",
    ),
    (
        CpuidFeature::AVX512DQ,
        &[0x62, 0xf2, 0xfe, 0x48, 0x39, 0xc0],
        "vpmovq2m %zmm0, %k0",
    ),
    (
        CpuidFeature::VPCLMULQDQ,
        &[0x62, 0xf3, 0x6d, 0x48, 0x44, 0xc1, 0x00],
        "vpclmulqdq $0, %zmm1, %zmm2, %zmm0",
    ),
    (
        CpuidFeature::AVX512_VBMI,
        &[0x62, 0xf2, 0x6d, 0x48, 0x8d, 0xc1],
        "vpermb %zmm1, %zmm2, %zmm0",
    ),
];

/// For engines with AVX2.
pub(crate) const AVX2: Table = &[(
    &[0xc4, 0xe2, 0x71, 0x90, 0x14, 0x00],
    "vpgatherdd %xmm1, (%rax, %xmm0), %xmm2",
    &[Rule::SecretAddress],
)];

/// For engines with AVX-512.
pub(crate) const AVX512: Table = &[
    (
        &[0x62, 0xf1, 0x7f, 0x48, 0x7f, 0x06],
        "vmovdqu8 %zmm0, (%rsi)",
        &[Rule::SecretStored],
    ),
    (
        &[0xc5, 0xf8, 0x91, 0x0e],
        "kmovw %k1, (%rsi)",
        &[Rule::Unknown],
    ),
    (
        &[0xc4, 0xe1, 0xf8, 0x91, 0x0e],
        "kmovq %k1, (%rsi)",
        &[Rule::UndeclaredStore],
    ),
    (
        &[
            0x62, 0xf2, 0x7e, 0x48, 0x39, 0xf8, 0xc4, 0xe1, 0xfb, 0x93, 0xc7,
        ],
        "vpmovd2m %zmm0, %k7; kmovq %k7, %rax",
        &[Rule::SecretInGeneral, Rule::SecretLeft],
    ),
    (
        &[
            0x62, 0xf2, 0x7e, 0x48, 0x39, 0xf8, 0xc5, 0xf8, 0x98, 0xff, 0x74, 0x00,
        ],
        "vpmovd2m %zmm0, %k7; kortestw %k7, %k7; jz to the next instruction",
        &[Rule::SecretBranch, Rule::SecretLeft],
    ),
    (
        &[0x62, 0xd2, 0x7d, 0x49, 0xa0, 0x0c, 0x02],
        "vpscatterdd %zmm1, (%r10, %zmm0){%k1}",
        &[Rule::SecretStored, Rule::SecretAddress],
    ),
    (
        &[0x62, 0xf2, 0x7e, 0x48, 0x39, 0xf8],
        "vpmovd2m %zmm0, %k7",
        &[Rule::SecretLeft],
    ),
    (
        &[
            0x62, 0xf2, 0x7e, 0x48, 0x39, 0xf8, 0x62, 0xd1, 0x7f, 0x0f, 0x7f, 0x02,
        ],
        "vpmovd2m %zmm0, %k7; vmovdqu8 %xmm0, (%r10){%k7}",
        &[Rule::SecretStored, Rule::SecretAddress, Rule::SecretLeft],
    ),
];
