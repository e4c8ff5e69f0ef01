// SPDX-License-Identifier: GPL-2.0
//! What the baselines took when they were measured: Documentation/security/tresor/performance.rst says on which machines.

use super::core::{Core, ZEN4};
use crate::workload::Workload;

/// Encryption, isolated: cycles per byte of the engine, the kernel's of its class (for avx512: its best), and TRESOR's way.
const ZEN4_CYCLES: [(&str, Workload, f64, f64); 9] = [
    ("avx512", Workload::of(1, 512), 0.698, 0.541),
    ("avx512", Workload::of(1, 4096), 0.294, 0.278),
    ("avx512", Workload::of(1, 16384), 0.252, 0.249),
    ("avx512", Workload::of(8, 512), 0.310, 0.530),
    ("avx512", Workload::of(4, 4096), 0.251, 0.275),
    ("avx", Workload::of(1, 4096), 0.610, 0.537),
    ("vaes", Workload::of(1, 4096), 0.405, 0.314),
    ("aesni", Workload::of(1, 4096), 1.021, 0.629),
    ("way", Workload::of(1, 4096), 0.294, 6.835),
];

/// Cycles that the engine of a class, and its baseline, took for a workload. On other cores no engine has been measured since it
/// was changed.
pub fn cycles(core: &Core, class: &str, workload: Workload) -> Option<(f64, f64)> {
    if core.name != ZEN4.name {
        return None;
    }
    let bytes = workload.total() as f64;
    ZEN4_CYCLES
        .iter()
        .find(|(name, of, _, _)| *name == class && *of == workload)
        .map(|(_, _, ours, baseline)| (ours * bytes, baseline * bytes))
}
