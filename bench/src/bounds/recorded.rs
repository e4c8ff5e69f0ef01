// SPDX-License-Identifier: GPL-2.0
//! What the baselines took when they were measured: Documentation/security/tresor/performance.rst says on which machines.

use super::core::{Core, GOLDEN_COVE, ZEN3, ZEN4};
use crate::workload::Workload;

/// Encryption, isolated: cycles per byte of the engine, the kernel's of its class (for avx512: its best), and TRESOR's way.
const ZEN4_CYCLES: [(&str, Workload, f64, f64); 9] = [
    ("avx512", Workload::of(1, 512), 0.698, 0.536),
    ("avx512", Workload::of(1, 4096), 0.294, 0.276),
    ("avx512", Workload::of(1, 16384), 0.251, 0.247),
    ("avx512", Workload::of(8, 512), 0.307, 0.528),
    ("avx512", Workload::of(4, 4096), 0.251, 0.276),
    ("avx", Workload::of(1, 4096), 0.711, 0.535),
    ("vaes", Workload::of(1, 4096), 0.411, 0.312),
    ("aesni", Workload::of(1, 4096), 1.023, 0.618),
    ("way", Workload::of(1, 4096), 0.294, 6.735),
];

/// The AVX-512 engine has not been measured there since it was changed for Zen 4.
const GOLDEN_COVE_CYCLES: [(&str, Workload, f64, f64); 3] = [
    ("avx", Workload::of(1, 4096), 0.706, 0.571),
    ("vaes", Workload::of(1, 4096), 0.381, 0.269),
    ("aesni", Workload::of(1, 4096), 1.036, 0.596),
];

const ZEN3_CYCLES: [(&str, Workload, f64, f64); 3] = [
    ("avx", Workload::of(1, 4096), 0.803, 0.602),
    ("vaes", Workload::of(1, 4096), 0.443, 0.328),
    ("aesni", Workload::of(1, 4096), 1.054, 0.677),
];

/// Cycles that the engine of a class, and its baseline, took for a workload.
pub fn cycles(core: &Core, class: &str, workload: Workload) -> Option<(f64, f64)> {
    let table: &[_] = if core.name == GOLDEN_COVE.name {
        &GOLDEN_COVE_CYCLES
    } else if core.name == ZEN4.name {
        &ZEN4_CYCLES
    } else if core.name == ZEN3.name {
        &ZEN3_CYCLES
    } else {
        return None;
    };
    let bytes = workload.total() as f64;
    table
        .iter()
        .find(|(name, of, _, _)| *name == class && *of == workload)
        .map(|(_, _, ours, baseline)| (ours * bytes, baseline * bytes))
}
