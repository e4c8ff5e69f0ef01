// SPDX-License-Identifier: GPL-2.0
//! What each engine declares: its destination, its decisions, its stores, its instructions.

use iced_x86::CpuidFeature::{self, *};
use iced_x86::{EncodingKind, Register};

use crate::common::audit::Policy;
use crate::common::object::Function;
use crate::common::wipe::Registers;

/// An XTS engine: the name of its class, how many stores each of its functions has, and its policy.
pub(crate) type Xts = (&'static str, usize, Policy);

const SSSE3_FEATURES: &[CpuidFeature] = &[SSE, SSE2, SSSE3];
const SSE_FEATURES: &[CpuidFeature] = &[SSE, SSE2, SSSE3, SSE4_1, AES];
const SHA_FEATURES: &[CpuidFeature] = &[SSE, SSE2, SSSE3, SSE4_1, AES, SHA];

/// One decision: no S.
pub(crate) const XTS: &[Xts] = &[
    (
        "avx512",
        // Four blocks each: eight of the bulk, the rest by four, one, and a part of one; twice four
        // of a data unit of 512 bytes. Two of ciphertext stealing.
        8 + 4 + 1 + 1 + 2 * 4 + 2,
        Policy {
            destination: Some(Register::R10),
            declassified: 1,
            features: &[
                AVX, AVX2, AVX512F, AVX512BW, AVX512DQ, AVX512VL, AES, VAES, VPCLMULQDQ,
            ],
            encodings: &[EncodingKind::VEX, EncodingKind::EVEX],
            wiped: Registers::AVX512,
        },
    ),
    (
        "avx512vl",
        // Eight blocks of the bulk; one, in a loop; two of ciphertext stealing.
        8 + 1 + 2,
        Policy {
            destination: Some(Register::R10),
            declassified: 1,
            features: &[
                AVX, AVX2, AVX512F, AVX512BW, AVX512DQ, AVX512VL, AES, PCLMULQDQ,
            ],
            encodings: &[EncodingKind::VEX, EncodingKind::EVEX],
            wiped: Registers::AVX512,
        },
    ),
    (
        "vaes",
        // Pairs of blocks: three of the bulk, which there is for one data unit and for several; the
        // rest by two and one. One block; two of ciphertext stealing.
        2 * 3 + 2 + 1 + 1 + 2,
        Policy {
            destination: Some(Register::R10),
            declassified: 1,
            features: &[AVX, AVX2, AES, VAES, VPCLMULQDQ],
            encodings: &[EncodingKind::VEX],
            wiped: Registers::AVX,
        },
    ),
    (
        "avx",
        // Four blocks of the bulk, one of the single step, two of ciphertext stealing.
        4 + 1 + 2,
        Policy {
            destination: Some(Register::R10),
            declassified: 1,
            features: &[AVX, AES],
            encodings: &[EncodingKind::VEX],
            wiped: Registers::AVX,
        },
    ),
    (
        "aesni",
        // Eight blocks of the bulk, the rest by four, two and one, two of ciphertext stealing.
        8 + 4 + 2 + 1 + 2,
        Policy {
            destination: Some(Register::R10),
            declassified: 1,
            features: SSE_FEATURES,
            encodings: &[EncodingKind::Legacy],
            wiped: Registers::SSE,
        },
    ),
    (
        "ssse3",
        // Four blocks of the bulk, one of the single step, two of ciphertext stealing.
        4 + 1 + 2,
        Policy {
            destination: Some(Register::R10),
            declassified: 1,
            features: SSSE3_FEATURES,
            encodings: &[EncodingKind::Legacy],
            wiped: Registers::SSE,
        },
    ),
];

/// Unlocking: three decisions (wrong MAC, zero S, S not kept); nothing goes to memory.
const fn unlock(features: &'static [CpuidFeature]) -> Policy {
    Policy {
        destination: None,
        declassified: 3,
        features,
        encodings: &[EncodingKind::Legacy],
        wiped: Registers::SSE,
    }
}

/// The unlock engines and their policies.
pub(crate) const UNLOCK: [(&str, &Policy); 3] = [
    ("tresor_unlock_shani", &unlock(SHA_FEATURES)),
    ("tresor_unlock_ssse3", &unlock(SSE_FEATURES)),
    ("tresor_unlock_ssse3_noaes", &unlock(SSSE3_FEATURES)),
];

/// What the self tests of the kernel need: no decision, nothing to memory.
const SELF_TEST: Policy = Policy {
    declassified: 0,
    ..unlock(SSSE3_FEATURES)
};

/// The policy of a function, and how many stores it has.
pub(crate) fn policy(function: &Function) -> (&'static Policy, usize) {
    let unlock = UNLOCK.iter().find(|(name, _)| *name == function.name);
    if let Some((_, policy)) = unlock {
        return (policy, 0);
    }
    match function.name.as_str() {
        "tresor_clear_s" | "tresor_set_public_s" => (&SELF_TEST, 0),
        name => {
            let class = name
                .strip_prefix("tresor_xts_")
                .and_then(|rest| rest.split('_').next());
            let engine = XTS.iter().find(|(name, ..)| Some(*name) == class);
            let (_, stores, policy) =
                engine.unwrap_or_else(|| panic!("{name} has no policy; add it to XTS"));
            (policy, *stores)
        }
    }
}
