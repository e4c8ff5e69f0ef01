// SPDX-License-Identifier: GPL-2.0

//! Use of the vector registers in kernel code.
//!
//! Rust code in the kernel is compiled without vector instructions. Assembly that uses them must
//! run inside a section that tells the rest of the kernel that the registers are taken.
//!
//! Only x86 for now: other architectures want a buffer of the caller to save the registers in, or
//! have rules of their own.
//!
//! C header: [`arch/x86/include/asm/fpu/api.h`](srctree/arch/x86/include/asm/fpu/api.h)

use crate::{
    bindings,
    prelude::*,
    types::NotThreadSafe, //
};

/// Proof that the caller runs inside a [`section`].
///
/// A function that wraps vector assembly takes a reference to this, so that it cannot be called
/// anywhere else.
///
/// # Invariants
///
/// Exists only between `kernel_fpu_begin()` and `kernel_fpu_end()`, on the CPU that called both.
pub struct FpuSection {
    _not_send: NotThreadSafe,
}

/// Calls `f` with the vector registers of this CPU at its disposal.
///
/// The registers hold arbitrary values at the start and are lost at the end: what is secret must
/// be wiped by `f` itself. Preemption and softirqs are off meanwhile, so `f` must not sleep and
/// should be short. It must leave hard IRQs as it found them.
///
/// Returns [`EBUSY`] without calling `f` where the registers cannot be used: in most hard IRQs,
/// and inside another section.
///
/// # Examples
///
/// ```
/// use kernel::fpu::{self, FpuSection};
///
/// fn wipe_xmm0(_: &FpuSection) {
///     // SAFETY: Only changes a register that the section has reserved for its user.
///     unsafe { core::arch::asm!("pxor %xmm0, %xmm0", options(att_syntax, nostack, nomem)) };
/// }
///
/// fpu::section(wipe_xmm0)?;
/// # Ok::<(), Error>(())
/// ```
pub fn section<R>(f: impl FnOnce(&FpuSection) -> R) -> Result<R> {
    // SAFETY: May be called in any context. The answer stays true until `kernel_fpu_begin()`
    // below: whatever interrupts or preempts this task in between ends its own sections first, and
    // on every CPU this task can move to in between, no section is open.
    if !unsafe { bindings::irq_fpu_usable() } {
        return Err(EBUSY);
    }

    // SAFETY: The registers are usable, as checked above.
    unsafe { bindings::kernel_fpu_begin() };
    // INVARIANT: The section has begun, and the value is dropped before it ends. It cannot get to
    // another CPU, as it is not `Send` and preemption is off.
    let result = f(&FpuSection {
        _not_send: NotThreadSafe,
    });
    // SAFETY: Ends the section begun above, on the same CPU.
    unsafe { bindings::kernel_fpu_end() };

    Ok(result)
}
