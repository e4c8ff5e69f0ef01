// SPDX-License-Identifier: GPL-2.0
//! Runs an engine with every register filled, on a stack of its own, and records what it leaves
//! behind: for tests.

use std::is_x86_feature_detected;

/// An engine's entry.
#[derive(Clone, Copy, Debug)]
pub struct Function(usize);

impl Function {
    /// Makes a function of the address of one; [`Probe::run`] calls it.
    pub const fn from_address(address: usize) -> Self {
        Self(address)
    }

    /// The address.
    pub const fn address(self) -> usize {
        self.0
    }
}

/// A call and what is in the registers after it.
///
/// The assembly knows the offsets of the fields.
#[derive(Debug)]
#[repr(C)]
pub struct Probe {
    function: usize,
    arguments: [u64; 7],
    stack_top: *mut u8,
    /// Bytes of this CPU's vector registers: 16, 32 or 64. All are filled before the call.
    pub width: u64,
    /// The general registers in the order of their numbers: rax, rcx, rdx, rbx, rsp, rbp, rsi,
    /// rdi, r8 to r15.
    pub general: [u64; 16],
    /// The vector registers, from xmm0, ymm0 or zmm0 on; what this CPU does not have is zero.
    pub vectors: [[u8; 64]; 32],
    /// The mask registers k0 to k7; zero if this CPU has none.
    pub masks: [u64; 8],
}

extern "C" {
    fn tresor_user_probe(record: *mut Probe, marker: u64);
}

impl Probe {
    /// Calls `function` with every register that holds no argument filled with `marker`, and
    /// `stack` as its stack. The seventh argument goes to the stack.
    ///
    /// # Safety
    ///
    /// `function` must be an engine that this CPU can run, or keep the System V calling convention
    /// and expect anything in the upper halves of vector registers. It must accept the arguments,
    /// and must need no more than `stack`, which must have at least 128 bytes.
    pub unsafe fn run(
        function: Function,
        arguments: [u64; 7],
        marker: u64,
        stack: &mut [u8],
    ) -> Self {
        let end = stack.as_mut_ptr_range().end;
        // A call needs %rsp to be a multiple of 16.
        let stack_top = end.wrapping_sub(end.addr() % 16);
        let mut probe = Self {
            function: function.0,
            arguments,
            stack_top,
            width: width(),
            general: [0; 16],
            vectors: [[0; 64]; 32],
            masks: [0; 8],
        };
        // SAFETY: the record is valid for the call, and its width is what the CPU has; the caller
        // answers for the function, its arguments and its stack.
        unsafe { tresor_user_probe(&mut probe, marker) };
        probe
    }
}

/// Bytes of a vector register that the CPU and the operating system have.
fn width() -> u64 {
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
        64
    } else if is_x86_feature_detected!("avx") {
        32
    } else {
        16
    }
}
