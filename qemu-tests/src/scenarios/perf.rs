// SPDX-License-Identifier: GPL-2.0

//! Precise events of perf (PEBS) would store registers of the kernel: they are refused, and others are not.
//!
//! QEMU's TCG has no performance counters, so whatever is not refused ends in `ENOENT`: the refusal comes before that.

use anyhow::{ensure, Result};

use super::lab::Lab;

/// Bits of the flags in `struct perf_event_attr` (include/uapi/linux/perf_event.h).
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HOST: u64 = 1 << 19;
/// `precise_ip` 1.
const PRECISE: u64 = 1 << 15;

const EOPNOTSUPP: i32 = 95;
const ENOENT: i32 = 2;

pub(super) fn precise_events_are_refused(lab: &mut Lab<'_>) -> Result<()> {
    let config = lab.config_without_slot();
    let mut machine = lab.start(&config)?;
    let mut guest = machine.guest()?;
    for level in 1..=3 {
        let precise = level * PRECISE;
        for (flags, expected) in [
            (precise, EOPNOTSUPP),
            (precise | EXCLUDE_KERNEL, ENOENT),
            (precise | EXCLUDE_HOST, ENOENT),
            (0, ENOENT),
        ] {
            let errno = guest.open_perf_event(flags)?;
            ensure!(
                errno == expected,
                "a perf event with the flags {flags:#x} gave error {errno} instead of {expected}"
            );
        }
    }
    Ok(())
}
