// SPDX-License-Identifier: GPL-2.0
//! The time stamp counter, and how it compares to seconds and to cycles of the core.

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

/// How the counter runs on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Calibration {
    /// Ticks of the counter per second.
    pub ticks_per_second: f64,
    /// Cycles of the core per tick, in its fastest moment.
    pub cycles_per_tick: f64,
}

impl Calibration {
    /// Measures both; takes a fifth of a second.
    pub fn measure() -> Self {
        let (start, from) = (Instant::now(), ticks());
        let mut cycles_per_tick = 0.0_f64;
        while start.elapsed() < Duration::from_millis(200) {
            let from = ticks();
            let cycles = dependent_chain();
            let ticks = ticks() - from;
            cycles_per_tick = cycles_per_tick.max(cycles as f64 / ticks as f64);
        }
        let ticks_per_second = (ticks() - from) as f64 / start.elapsed().as_secs_f64();
        Self {
            ticks_per_second,
            cycles_per_tick,
        }
    }
}

/// Takes the returned number of cycles: each `xor` waits for the one before, and takes one cycle on every x86-64 CPU.
fn dependent_chain() -> u64 {
    const ROUNDS: u64 = 1000;
    const LENGTH: u64 = 50;
    // SAFETY: registers only.
    unsafe {
        asm!(
            "2:",
            ".rept 50",
            "xor {a}, {b}",
            ".endr",
            "dec {rounds}",
            "jnz 2b",
            a = inout(reg) 1_u64 => _,
            b = in(reg) 2_u64,
            rounds = inout(reg) ROUNDS => _,
            options(nomem, nostack),
        );
    }
    ROUNDS * LENGTH
}
