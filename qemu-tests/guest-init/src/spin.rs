// SPDX-License-Identifier: GPL-2.0

//! A known value where the CPU itself stores it: the stack pointer of a program is in the frame of each interrupt that hits it.

use core::arch::asm;

/// Rounds of two instructions: several ticks of the timer in every emulator.
const ROUNDS: u64 = 500_000_000;

/// Counts with `pointer` in %rsp, then goes on with the stack as it was.
pub(crate) fn with_stack_pointer(pointer: u64) {
    // SAFETY: %rsp is the same again at the end. In between nothing uses the stack: the loop does not, an interrupt switches to a stack of
    // the kernel, and PID 1 of a test machine has no handler of a signal that could be called here.
    unsafe {
        asm!(
            "mov {stack}, rsp",
            "mov rsp, {pointer}",
            "2:",
            "dec {rounds}",
            "jnz 2b",
            "mov rsp, {stack}",
            stack = out(reg) _,
            pointer = in(reg) pointer,
            rounds = inout(reg) ROUNDS => _,
            options(nomem),
        );
    }
}
