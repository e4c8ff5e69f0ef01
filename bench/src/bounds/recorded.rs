// SPDX-License-Identifier: GPL-2.0
//! What engines took when they were measured: the first table of Documentation/security/tresor/performance.rst, which is the one place
//! for these figures.

use super::core::{Core, ZEN4};
use crate::workload::Workload;

const PAGE: &str = include_str!("../../../Documentation/security/tresor/performance.rst");

/// The table's first line: encryption, every request isolated, on Zen 4.
const HEAD: &str = "Encryption, cycles/byte  512 B    4096 B   16 KiB   8 x 512  4 x 4096";
const COLUMNS: [Workload; 5] = [
    Workload::of(1, 512),
    Workload::of(1, 4096),
    Workload::of(1, 16384),
    Workload::of(8, 512),
    Workload::of(4, 4096),
];

/// The rows of an engine and of what it is compared with: the kernel's of its class (for avx512: its best), or TRESOR's way.
const ROWS: [(&str, &str, &str); 5] = [
    ("avx512", "tresor-avx512", "kernel-vaes-avx512"),
    ("vaes", "tresor-vaes", "kernel-vaes-avx2"),
    ("avx", "tresor-avx", "kernel-aesni-avx"),
    ("aesni", "tresor-aesni", "kernel-aesni"),
    ("way", "tresor-avx512", "TRESOR's way"),
];

/// Cycles that the engine of a class, and its baseline, took for a workload. On other cores no engine has been measured since it
/// was changed.
pub fn cycles(core: &Core, class: &str, workload: Workload) -> Option<(f64, f64)> {
    if core.name != ZEN4.name {
        return None;
    }
    let (_, ours, baseline) = ROWS.iter().find(|(name, ..)| *name == class)?;
    let bytes = workload.total() as f64;
    Some((
        figure(ours, workload)? * bytes,
        figure(baseline, workload)? * bytes,
    ))
}

/// Cycles per byte of a row.
fn figure(row: &str, workload: Workload) -> Option<f64> {
    let column = COLUMNS.iter().position(|of| *of == workload)?;
    let table = PAGE.lines().skip_while(|line| *line != HEAD);
    let figures = table
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(row)?.strip_prefix("  "))?;
    figures.split_whitespace().nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_figure() {
        for (class, ..) in ROWS {
            for workload in COLUMNS {
                let (ours, baseline) = cycles(&ZEN4, class, workload).expect(class);
                assert!(ours > 0.0 && baseline > 0.0, "{class}");
            }
        }
        assert_eq!(figure("tresor-none", COLUMNS[0]), None);
        assert_eq!(figure("tresor-avx", Workload::of(3, 512)), None);
    }
}
