// SPDX-License-Identifier: GPL-2.0

//! The engines of ECB, CBC, CBC with ESSIV and CTR, which two classes of CPUs have.
//!
//! As for XTS, which one to use is decided once, and written into the code that calls it.

use kernel::{ffi::c_int, fpu::FpuSection, macros::paste, prelude::*};

use super::{
    cpu_can_run,
    static_calls::{no_endbr, update},
    Direction,
};
use crate::{
    class::{mode_engines, Class},
    handle::{Handle, KeySize},
};

/// A mode of operation as asm/modes.inc has it.
#[derive(Clone, Copy)]
pub(crate) enum Mode<'a> {
    Ecb,
    Cbc,
    /// CBC whose first chaining value is the IV, encrypted with AES-256 under this handle's key.
    EssivCbc(&'a Handle),
    Ctr,
}

/// Data in memory that need not be Rust's: pages of a request.
#[derive(Clone, Copy)]
pub(crate) struct Blocks {
    /// From here,
    pub(crate) src: *const u8,
    /// to here: the same, or not overlapping.
    pub(crate) dst: *mut u8,
    /// Bytes, a multiple of 16 except for CTR.
    pub(crate) len: usize,
    /// Chaining value of CBC, counter of the first block of CTR; ECB does not read it.
    pub(crate) iv: [u8; 16],
}

/// A routine of an engine; see asm/modes.inc.
///
/// All have the arguments of those that have most; the others do not read the rest.
type Routine = unsafe extern "C" fn(
    handle: *const u8,
    src: *const u8,
    dst: *mut u8,
    len: usize,
    iv: *const u8,
    essiv: *const u8,
) -> c_int;

/// Declares routines, or trampolines of static calls to them.
macro_rules! declare {
    ($($name:ident)*) => {
        extern "C" {
            $(
                fn $name(
                    handle: *const u8,
                    src: *const u8,
                    dst: *mut u8,
                    len: usize,
                    iv: *const u8,
                    essiv: *const u8,
                ) -> c_int;
            )*
        }
    };
}

/// Declares the routines of all classes, and one function that lets the calls go to them.
macro_rules! routines {
    ($($class:ident $size:ident: $($routine:ident),*;)*) => {
        declare! { $($($routine)*)* }
        no_endbr! { $($($routine)*)* }

        /// Lets all calls go to the engines of a class, if it has them. May sleep.
        ///
        /// # Safety
        ///
        /// All CPUs must be of the class.
        unsafe fn call_from_now_on(class: Class) {
            $(
                if class == Class::$class {
                    // SAFETY: By the safety requirement.
                    unsafe { update_size(KeySize::$size, [$($routine),*]) };
                }
            )*
        }
    };
}

mode_engines!(routines);

/// Declares the static calls for each key size, and functions that make and update them.
macro_rules! static_calls {
    ($($size:ident $bits:literal),*) => { paste! {
        declare! {
            $(
                [<__SCT__tresor_ecb_enc_ $bits>] [<__SCT__tresor_ecb_dec_ $bits>]
                [<__SCT__tresor_cbc_enc_ $bits>] [<__SCT__tresor_cbc_dec_ $bits>]
                [<__SCT__tresor_essiv_cbc_enc_ $bits>] [<__SCT__tresor_essiv_cbc_dec_ $bits>]
                [<__SCT__tresor_ctr_ $bits>]
            )*
        }

        /// Lets the calls for a key size go to these routines, in the order of `mode_engines`. May
        /// sleep.
        ///
        /// # Safety
        ///
        /// All CPUs must be of the routines' class.
        unsafe fn update_size(size: KeySize, routines: [Routine; 7]) {
            let [ecb_enc, ecb_dec, cbc_enc, cbc_dec, essiv_enc, essiv_dec, ctr] = routines;
            // SAFETY: The calls are only made by `call()`, which demands of its callers what the
            // routines do; that CPUs can run them is required here.
            unsafe {
                match size {
                    $(
                        KeySize::$size => {
                            update!(Routine: [<tresor_ecb_enc_ $bits>], ecb_enc);
                            update!(Routine: [<tresor_ecb_dec_ $bits>], ecb_dec);
                            update!(Routine: [<tresor_cbc_enc_ $bits>], cbc_enc);
                            update!(Routine: [<tresor_cbc_dec_ $bits>], cbc_dec);
                            update!(Routine: [<tresor_essiv_cbc_enc_ $bits>], essiv_enc);
                            update!(Routine: [<tresor_essiv_cbc_dec_ $bits>], essiv_dec);
                            update!(Routine: [<tresor_ctr_ $bits>], ctr);
                        }
                    )*
                }
            }
        }

        /// Calls the routine that was chosen; see asm/modes.inc. Where none was, it does nothing,
        /// and says that there is no S.
        ///
        /// # Safety
        ///
        /// Vector registers may be used, and `blocks` is valid for its length.
        unsafe fn call(
            (mode, size, direction): (Mode<'_>, KeySize, Direction),
            handle: &Handle,
            blocks: &Blocks,
        ) -> c_int {
            let Blocks { src, dst, len, iv } = *blocks;
            let (handle, iv) = (handle.as_ptr(), iv.as_ptr());
            let essiv = match mode {
                Mode::EssivCbc(essiv) => essiv.as_ptr(),
                _ => core::ptr::null(),
            };
            // SAFETY: By the safety requirement, and `choose()` takes routines that this machine
            // can run; handles have 80 bytes and `iv` 16, and where `essiv` is read it is one.
            unsafe {
                match size {
                    $(
                        KeySize::$size => match (mode, direction) {
                            (Mode::Ecb, Direction::Encrypt) => {
                                [<__SCT__tresor_ecb_enc_ $bits>](handle, src, dst, len, iv, essiv)
                            }
                            (Mode::Ecb, Direction::Decrypt) => {
                                [<__SCT__tresor_ecb_dec_ $bits>](handle, src, dst, len, iv, essiv)
                            }
                            (Mode::Cbc, Direction::Encrypt) => {
                                [<__SCT__tresor_cbc_enc_ $bits>](handle, src, dst, len, iv, essiv)
                            }
                            (Mode::Cbc, Direction::Decrypt) => {
                                [<__SCT__tresor_cbc_dec_ $bits>](handle, src, dst, len, iv, essiv)
                            }
                            (Mode::EssivCbc(_), Direction::Encrypt) => {
                                [<__SCT__tresor_essiv_cbc_enc_ $bits>](
                                    handle, src, dst, len, iv, essiv,
                                )
                            }
                            (Mode::EssivCbc(_), Direction::Decrypt) => {
                                [<__SCT__tresor_essiv_cbc_dec_ $bits>](
                                    handle, src, dst, len, iv, essiv,
                                )
                            }
                            (Mode::Ctr, _) => {
                                [<__SCT__tresor_ctr_ $bits>](handle, src, dst, len, iv, essiv)
                            }
                        },
                    )*
                }
            }
        }
    } };
}

static_calls!(Aes128 128, Aes192 192, Aes256 256);

/// Chooses the engines. Fails with `ENODEV`, and says so, if `disabled` leaves none.
///
/// Context: before the ciphers are registered; may sleep.
pub(super) fn choose(disabled: &[u8]) -> Result {
    let class = Class::OF_MODES
        .into_iter()
        .find(|&class| !class.is_in(disabled) && cpu_can_run(class));
    let Some(class) = class else {
        pr_err!("no engine is left for ecb, cbc and ctr: only xts(tresor) is available\n");
        return Err(ENODEV);
    };
    // SAFETY: `cpu_can_run()` says so.
    unsafe { call_from_now_on(class) };
    pr_info!("engine of ecb, cbc and ctr: {}\n", class.name());
    Ok(())
}

/// Encrypts or decrypts by `mode` with a key derived from `handle` and S. False if this CPU has no
/// S: then nothing was written.
///
/// # Safety
///
/// `blocks.src` must be valid for reads and `blocks.dst` for writes of `blocks.len` bytes, and
/// `blocks` as its fields say.
pub(crate) unsafe fn crypt(
    _fpu: &FpuSection,
    (mode, size, direction): (Mode<'_>, KeySize, Direction),
    handle: &Handle,
    blocks: &Blocks,
) -> bool {
    // SAFETY: Guaranteed by the caller, and `_fpu` shows that vector registers may be used.
    unsafe { call((mode, size, direction), handle, blocks) == 0 }
}
