// SPDX-License-Identifier: GPL-2.0

//! The assembly routines, declared once, and safe functions around those that only move S.
//!
//! Each but [`clear_s`] must run in a section in which the kernel may use the FPU; an
//! [`FpuSection`] is the proof.
//!
//! They are called by name, never through a pointer: no entry of theirs is a target of indirect
//! calls.

use kernel::{
    ffi::c_int,
    fpu::FpuSection, //
};

extern "C" {
    /// See asm/unlock.inc.
    pub(crate) fn tresor_unlock_shani(
        pass: *const u8,
        pass_blocks: u64,
        salt_block: *const u8,
        iterations: u64,
        slot: *const u8,
    ) -> c_int;
    /// See asm/unlock.inc.
    pub(crate) fn tresor_unlock_ssse3(
        pass: *const u8,
        pass_blocks: u64,
        salt_block: *const u8,
        iterations: u64,
        slot: *const u8,
    ) -> c_int;
    /// See asm/unlock.inc.
    pub(crate) fn tresor_unlock_ssse3_noaes(
        pass: *const u8,
        pass_blocks: u64,
        salt_block: *const u8,
        iterations: u64,
        slot: *const u8,
    ) -> c_int;
}

extern "C" {
    #[cfg(CONFIG_CRYPTO_SELFTESTS)]
    fn tresor_set_public_s(s: *const u8);
    fn tresor_clear_s();
}

/// Gives this CPU a public S, for self tests.
#[cfg(CONFIG_CRYPTO_SELFTESTS)]
pub(crate) fn set_public_s(_fpu: &FpuSection, s: &[u8; 32]) {
    // SAFETY: The routine reads 32 bytes from `s` and otherwise uses only registers; `_fpu` shows
    // that it may.
    unsafe { tresor_set_public_s(s.as_ptr()) }
}

/// Takes S, whichever it is, from this CPU.
///
/// Context: any, NMI included.
pub(crate) fn clear_s() {
    // SAFETY: The routine writes zeros to the registers that are the home of S, and uses no other
    // but %rax. It may be called anywhere.
    unsafe { tresor_clear_s() }
}
