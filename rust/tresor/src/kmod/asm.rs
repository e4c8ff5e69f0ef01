// SPDX-License-Identifier: GPL-2.0

//! The assembly routines, declared once, and safe functions around those that only move S.
//!
//! Each must run in a section in which the kernel may use the FPU; an [`FpuSection`] is the proof.
//!
//! They are called by name, never through a pointer: no entry of theirs is a target of indirect
//! calls.

use kernel::{
    ffi::c_int,
    fpu::FpuSection, //
};

/// Declares routines that take the same arguments.
macro_rules! routines {
    ($args:tt; $($(#[$doc:meta])* $name:ident),* $(,)?) => {
        extern "C" {
            $($(#[$doc])* pub(crate) fn $name $args -> c_int;)*
        }
    };
}

routines! {
    (
        handle: *const u8,
        src: *const u8,
        dst: *mut u8,
        len: usize,
        tweak_iv: *const u8,
        first_block: u64,
    );
    /// See asm/xts-aesni.S.
    tresor_xts_aesni_enc_128,
    /// See asm/xts-aesni.S.
    tresor_xts_aesni_dec_128,
    /// See asm/xts-aesni.S.
    tresor_xts_aesni_enc_256,
    /// See asm/xts-aesni.S.
    tresor_xts_aesni_dec_256,
}

routines! {
    (
        pass: *const u8,
        pass_blocks: u64,
        salt_block: *const u8,
        iterations: u64,
        slot: *const u8,
    );
    /// See asm/unlock.inc.
    tresor_unlock_shani,
    /// See asm/unlock.inc.
    tresor_unlock_ssse3,
}

#[cfg(CONFIG_CRYPTO_SELFTESTS)]
extern "C" {
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

/// Takes the public S from this CPU.
#[cfg(CONFIG_CRYPTO_SELFTESTS)]
pub(crate) fn clear_s(_fpu: &FpuSection) {
    // SAFETY: The routine uses only registers, and `_fpu` shows that it may.
    unsafe { tresor_clear_s() }
}
