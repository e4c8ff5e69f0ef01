// SPDX-License-Identifier: GPL-2.0
//! What this CPU can run; the build script uses it, too.

use std::env;
use std::is_x86_feature_detected;

use super::class::Class;

/// Environment variable: classes of XTS engines that are left out as if the CPU could not run them,
/// comma-separated, for example `avx512,vaes`. For tests and measurements of the others.
///
/// Unknown names have no effect.
pub const DISABLE: &str = "TRESOR_DISABLE";

/// Whether the CPU has AES-NI, and SSE4.1 for the instruction that sees whether there is an S.
pub(crate) fn has_aesni() -> bool {
    is_x86_feature_detected!("aes") && is_x86_feature_detected!("sse4.1")
}

/// Whether the CPU has SSSE3, which is enough for an engine.
pub(crate) fn has_ssse3() -> bool {
    is_x86_feature_detected!("ssse3")
}

/// Whether the CPU, and the operating system with its registers, can run the engine of a class.
pub(crate) fn can_run(class: Class) -> bool {
    let besides_aesni = match class {
        Class::Avx512 => has_avx512() && has_wide_aes(),
        Class::Avx512vl => has_avx512() && is_x86_feature_detected!("pclmulqdq"),
        Class::Vaes => is_x86_feature_detected!("avx2") && has_wide_aes(),
        Class::Avx => is_x86_feature_detected!("avx"),
        Class::Aesni => true,
        Class::Ssse3 => return has_ssse3(),
    };
    has_aesni() && besides_aesni
}

/// Whether the environment variable [`DISABLE`] names the class.
pub(crate) fn is_disabled(class: Class) -> bool {
    env::var_os(DISABLE).is_some_and(|list| class.is_in(list.as_encoded_bytes()))
}

fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

fn has_wide_aes() -> bool {
    is_x86_feature_detected!("vaes") && is_x86_feature_detected!("vpclmulqdq")
}
