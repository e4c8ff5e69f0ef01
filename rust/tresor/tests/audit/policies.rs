// SPDX-License-Identifier: GPL-2.0
//! What each engine is: its instructions, and how much it declares to let out.

use iced_x86::CpuidFeature::{self, *};
use iced_x86::EncodingKind;
use taint::Function;

/// What an engine may do.
pub(crate) struct Policy {
    /// How many declarations of verdicts it has: decisions that its head tells of.
    pub(crate) verdicts: usize,
    /// Of which instruction sets its instructions are, beside those of `GENERAL`.
    pub(crate) features: &'static [CpuidFeature],
    /// How instructions on vector registers are encoded. SSE beside AVX is slow, or leaves upper
    /// halves as they are.
    pub(crate) encodings: &'static [EncodingKind],
}

/// An XTS engine: the name of its class, how many stores each of its functions has, and its policy.
pub(crate) type Xts = (&'static str, usize, Policy);

const SSSE3_FEATURES: &[CpuidFeature] = &[SSE, SSE2, SSSE3];
const SSE_FEATURES: &[CpuidFeature] = &[SSE, SSE2, SSSE3, SSE4_1, AES];
const SHA_FEATURES: &[CpuidFeature] = &[SSE, SSE2, SSSE3, SSE4_1, AES, SHA];

/// One decision: no S.
pub(crate) const XTS: &[Xts] = &[
    (
        "avx512",
        // Four blocks each: twice four of the bulk, the second of the last 512 bytes apart; the rest by
        // four, one, and a part of one; of several data units twice four alike. Two of ciphertext stealing.
        3 * 4 + 4 + 1 + 1 + 3 * 4 + 2,
        Policy {
            verdicts: 1,
            features: &[
                AVX, AVX2, AVX512F, AVX512BW, AVX512DQ, AVX512VL, AES, VAES, VPCLMULQDQ,
            ],
            encodings: &[EncodingKind::VEX, EncodingKind::EVEX],
        },
    ),
    (
        "avx512vl",
        // Eight blocks of the bulk; one, in a loop; two of ciphertext stealing.
        8 + 1 + 2,
        Policy {
            verdicts: 1,
            features: &[
                AVX, AVX2, AVX512F, AVX512BW, AVX512DQ, AVX512VL, AES, PCLMULQDQ,
            ],
            encodings: &[EncodingKind::VEX, EncodingKind::EVEX],
        },
    ),
    (
        "vaes",
        // Pairs of blocks: three of the bulk, which there is for one data unit and for several; the
        // rest by two and one. One block; two of ciphertext stealing.
        2 * 3 + 2 + 1 + 1 + 2,
        Policy {
            verdicts: 1,
            features: &[AVX, AVX2, AES, VAES, VPCLMULQDQ],
            encodings: &[EncodingKind::VEX],
        },
    ),
    (
        "avx",
        // Four blocks of the bulk where others follow and four where none do, one of the single step, two of
        // ciphertext stealing.
        4 + 4 + 1 + 2,
        Policy {
            verdicts: 1,
            features: &[AVX, AES],
            encodings: &[EncodingKind::VEX],
        },
    ),
    (
        "aesni",
        // Eight blocks of the bulk, the rest by four, two and one, two of ciphertext stealing.
        8 + 4 + 2 + 1 + 2,
        Policy {
            verdicts: 1,
            features: SSE_FEATURES,
            encodings: &[EncodingKind::Legacy],
        },
    ),
    (
        "ssse3",
        // Four blocks of the bulk, one of the single step, two of ciphertext stealing.
        4 + 1 + 2,
        Policy {
            verdicts: 1,
            features: SSSE3_FEATURES,
            encodings: &[EncodingKind::Legacy],
        },
    ),
];

/// The classes that have the other modes, too, and how many blocks are in flight.
pub(crate) const MODES: [(&str, usize); 2] = [("aesni", 8), ("ssse3", 4)];

/// Unlocking: three decisions (wrong MAC, zero S, S not kept); nothing goes to memory.
const fn unlock(features: &'static [CpuidFeature]) -> Policy {
    Policy {
        verdicts: 3,
        features,
        encodings: &[EncodingKind::Legacy],
    }
}

/// The unlock engines and their policies.
pub(crate) const UNLOCK: [(&str, &Policy); 3] = [
    ("tresor_unlock_shani", &unlock(SHA_FEATURES)),
    ("tresor_unlock_ssse3", &unlock(SSE_FEATURES)),
    ("tresor_unlock_ssse3_noaes", &unlock(SSSE3_FEATURES)),
];

/// Wrapped handles: each function of a class, the stores that it has and its decisions. All see
/// whether S is zero; `verify` also tells whether the MAC is right.
pub(crate) const WRAP: [(&str, usize, usize); 4] = [
    ("id", 1, 1),
    ("mask", 4, 1),
    ("mac", 1, 1),
    ("verify", 0, 2),
];

/// The policies of wrapped handles, by decisions; the classes are those of the modes.
const WRAP_AESNI: [Policy; 2] = [wrap(SSE_FEATURES, 1), wrap(SSE_FEATURES, 2)];
const WRAP_SSSE3: [Policy; 2] = [wrap(SSSE3_FEATURES, 1), wrap(SSSE3_FEATURES, 2)];

const fn wrap(features: &'static [CpuidFeature], verdicts: usize) -> Policy {
    Policy {
        verdicts,
        ..unlock(features)
    }
}

/// What the self tests of the kernel need: no decision, nothing to memory.
const SELF_TEST: Policy = Policy {
    verdicts: 0,
    ..unlock(SSSE3_FEATURES)
};

/// The policy of a function, and how many stores it has.
pub(crate) fn policy(function: &Function) -> (&'static Policy, usize) {
    let unlock = UNLOCK.iter().find(|(name, _)| *name == function.name);
    if let Some((_, policy)) = unlock {
        return (policy, 0);
    }
    match function.name.as_str() {
        "tresor_set_public_s" => (&SELF_TEST, 0),
        name if name.starts_with("tresor_wrap_") => {
            let own = |(of, ..): &&(&str, usize, usize)| name.contains(&format!("_{of}_"));
            let (_, stores, verdicts) = WRAP.iter().find(own).expect("a function of WRAP");
            let policies = match name.ends_with("_aesni") {
                true => &WRAP_AESNI,
                false => &WRAP_SSSE3,
            };
            (&policies[verdicts - 1], *stores)
        }
        name if name.starts_with("tresor_xts_") => {
            let class = name.split('_').nth(2).unwrap_or_default();
            xts(name, class)
        }
        name => mode(name),
    }
}

/// The policy of a class, and how many stores each of its XTS functions has.
fn xts(name: &str, class: &str) -> (&'static Policy, usize) {
    let engine = XTS.iter().find(|(of, ..)| *of == class);
    let (_, stores, policy) =
        engine.unwrap_or_else(|| panic!("{name} has no policy; add it to XTS"));
    (policy, *stores)
}

/// As for XTS, but for the stores: the blocks of the bulk and the single one, the bytes of CTR's
/// last one; encryption by CBC has no bulk.
fn mode(name: &str) -> (&'static Policy, usize) {
    let class = MODES
        .iter()
        .find(|(class, _)| name.contains(&format!("_{class}_")));
    let (class, bulk) = class.unwrap_or_else(|| panic!("{name} has no policy; add it to MODES"));
    let (policy, _) = xts(name, class);
    let stores = match name {
        name if name.contains("_cbc_") && name.contains("_enc_") => 1,
        name if name.contains("_ctr_") => bulk + 1 + 1,
        _ => bulk + 1,
    };
    (policy, stores)
}
