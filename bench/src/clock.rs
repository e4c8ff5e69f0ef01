// SPDX-License-Identifier: GPL-2.0
//! The time stamp counter, and how it compares to seconds and to cycles of the core.
//!
//! The counter runs at one speed, the core at another that changes. Cycles are what engines are compared by across machines, so every
//! figure is in cycles of the core: ticks times the cycles per tick in the same rounds.

use std::arch::asm;
use std::arch::x86_64::{_mm_lfence, _rdtsc};
use std::time::{Duration, Instant};

/// Waits until all instructions before have finished; none after begins earlier.
///
/// On AMD's processors the kernel makes it do so (`MSR_AMD64_DE_CFG`), on Intel's it always does.
#[inline(always)]
pub fn fence() {
    // SAFETY: every x86-64 CPU has SSE2.
    unsafe { _mm_lfence() }
}

/// Reads the time stamp counter when everything before has finished, and before anything after begins.
#[inline(always)]
pub fn ticks() -> u64 {
    fence();
    // SAFETY: user space may read the counter: Linux forbids it only on request (`PR_SET_TSC`).
    let now = unsafe { _rdtsc() };
    fence();
    now
}

/// Ticks of the counter per second, measured in a tenth of a second.
pub fn ticks_per_second() -> f64 {
    let (start, from) = (Instant::now(), ticks());
    while start.elapsed() < Duration::from_millis(100) {
        std::hint::spin_loop();
    }
    (ticks() - from) as f64 / start.elapsed().as_secs_f64()
}

/// Cycles of the core that [`dependent_chain`] takes.
pub const CHAIN_CYCLES: u64 = 20_000;

/// Takes [`CHAIN_CYCLES`] and returns the ticks of the counter meanwhile: each `xor` waits for the one before, and takes one cycle on every
/// x86-64 CPU. User space cannot count cycles of the core directly.
pub fn dependent_chain() -> u64 {
    const LENGTH: u64 = 50;
    let from = ticks();
    // SAFETY: registers only.
    unsafe {
        asm!(
            "2:",
            ".rept {length}",
            "xor {a}, {b}",
            ".endr",
            "dec {rounds}",
            "jnz 2b",
            length = const LENGTH,
            a = inout(reg) 1_u64 => _,
            b = in(reg) 2_u64,
            rounds = inout(reg) CHAIN_CYCLES / LENGTH => _,
            options(nomem, nostack),
        );
    }
    ticks() - from
}
