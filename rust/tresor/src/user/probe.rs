// SPDX-License-Identifier: GPL-2.0
//! Runs an engine with every register filled, on a stack of its own, and records what it leaves
//! behind: for tests.

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
#[derive(Debug)]
#[repr(C)]
pub struct Probe {
    function: usize,
    arguments: [u64; 6],
    stack_top: *mut u8,
    /// The general registers in the order of their numbers: rax, rcx, rdx, rbx, rsp, rbp, rsi,
    /// rdi, r8 to r15.
    pub general: [u64; 16],
    /// The vector registers xmm0 to xmm15.
    pub vectors: [[u8; 16]; 16],
}

extern "C" {
    fn tresor_user_probe(record: *mut Probe, marker: u64);
}

impl Probe {
    /// Calls `function` with every register that holds no argument filled with `marker`, and
    /// `stack` as its stack.
    ///
    /// # Safety
    ///
    /// `function` must be an engine that this CPU can run, or keep the System V calling convention,
    /// must accept the arguments, and must need no more than `stack`, which must have at least
    /// 64 bytes.
    pub unsafe fn run(
        function: Function,
        arguments: [u64; 6],
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
            general: [0; 16],
            vectors: [[0; 16]; 16],
        };
        // SAFETY: the record is valid for the call; the caller answers for the function, its
        // arguments and its stack.
        unsafe { tresor_user_probe(&mut probe, marker) };
        probe
    }
}
