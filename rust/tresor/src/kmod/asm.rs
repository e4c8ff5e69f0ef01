// SPDX-License-Identifier: GPL-2.0

//! The assembly routines, declared once, and safe functions around those that only move S.
//!
//! Each must run in a section in which the kernel may use the FPU; an [`FpuSection`] is the proof.

use kernel::{
    ffi::{c_int, c_void},
    fpu::FpuSection,
};

/// Declares a type of routines, and the routines of that type.
macro_rules! routines {
    ($(#[$doc:meta])* type $type:ident = $args:tt; $($name:ident),* $(,)?) => {
        $(#[$doc])*
        pub(crate) type $type = unsafe extern "C" fn $args -> c_int;
        extern "C" {
            $(pub(crate) fn $name $args -> c_int;)*
        }
    };
}

routines! {
    /// Encrypts or decrypts a run of blocks: see asm/xts-aesni.S.
    type XtsFn = (
        handle: *const c_void,
        src: *const u8,
        dst: *mut u8,
        len: usize,
        tweak_iv: *const u8,
        first_block: u64,
    );
    tresor_xts_aesni_enc_128,
    tresor_xts_aesni_dec_128,
    tresor_xts_aesni_enc_256,
    tresor_xts_aesni_dec_256,
}

routines! {
    /// Makes S from a pass phrase and a slot: see asm/unlock.inc.
    type UnlockFn = (
        pass: *const u8,
        pass_blocks: u64,
        salt_block: *const u8,
        iterations: u64,
        slot: *const u8,
    );
    tresor_unlock_shani,
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
