// SPDX-License-Identifier: GPL-2.0

//! The engines of ECB, CBC, CBC with ESSIV and CTR, which two classes of CPUs have.
//!
//! As for XTS, which one to use is decided once, and a call is a chain of comparisons and a direct
//! call.

use kernel::{
    ffi::c_int,
    fpu::FpuSection,
    prelude::*,
    sync::atomic::{ordering, Atomic},
};

use super::{cpu_can_run, Direction};
use crate::{
    class::{mode_engines, Class},
    handle::{Handle, KeySize},
};

/// The class in use, by its number.
static CLASS: Atomic<u32> = Atomic::new(Class::Ssse3 as u32);

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

/// Declares the routines of all classes, and one function that calls them.
///
/// All are declared with the arguments of those that have most; the others do not read the rest.
macro_rules! dispatch {
    ($($class:ident $size:ident:
        $ecb_enc:ident, $ecb_dec:ident, $cbc_enc:ident, $cbc_dec:ident,
        $essiv_enc:ident, $essiv_dec:ident, $ctr:ident;)*) => {
        dispatch!(@declare
            $($ecb_enc $ecb_dec $cbc_enc $cbc_dec $essiv_enc $essiv_dec $ctr)*);

        /// Calls a routine; see asm/modes.inc. A class that has none does nothing and has no S.
        ///
        /// # Safety
        ///
        /// The CPU must be of the class, and `blocks` valid for its length.
        unsafe fn call(
            class: Class,
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
            // SAFETY: By the safety requirement; handles have 80 bytes and `iv` 16, and where
            // `essiv` is read it is one.
            unsafe {
                match (class, size) {
                    $(
                        (Class::$class, KeySize::$size) => match (mode, direction) {
                            (Mode::Ecb, Direction::Encrypt) => {
                                $ecb_enc(handle, src, dst, len, iv, essiv)
                            }
                            (Mode::Ecb, Direction::Decrypt) => {
                                $ecb_dec(handle, src, dst, len, iv, essiv)
                            }
                            (Mode::Cbc, Direction::Encrypt) => {
                                $cbc_enc(handle, src, dst, len, iv, essiv)
                            }
                            (Mode::Cbc, Direction::Decrypt) => {
                                $cbc_dec(handle, src, dst, len, iv, essiv)
                            }
                            (Mode::EssivCbc(_), Direction::Encrypt) => {
                                $essiv_enc(handle, src, dst, len, iv, essiv)
                            }
                            (Mode::EssivCbc(_), Direction::Decrypt) => {
                                $essiv_dec(handle, src, dst, len, iv, essiv)
                            }
                            (Mode::Ctr, _) => $ctr(handle, src, dst, len, iv, essiv),
                        },
                    )*
                    _ => 1,
                }
            }
        }
    };
    (@declare $($name:ident)*) => {
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

mode_engines!(dispatch);

/// Chooses the engines. Fails with `ENODEV`, and says so, if `disabled` leaves none.
///
/// Context: before the ciphers are registered.
pub(super) fn choose(disabled: &[u8]) -> Result {
    let class = Class::OF_MODES
        .into_iter()
        .find(|&class| !class.is_in(disabled) && cpu_can_run(class));
    let Some(class) = class else {
        pr_err!("no engine is left for ecb, cbc and ctr: only xts(tresor) is available\n");
        return Err(ENODEV);
    };
    CLASS.store(class as u32, ordering::Release);
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
    let class = Class::ALL
        .get(CLASS.load(ordering::Relaxed) as usize)
        .copied()
        .unwrap_or(Class::Ssse3);
    // SAFETY: `choose()` stored a class that this machine can run; the rest is guaranteed by the
    // caller, and `_fpu` shows that vector registers may be used.
    unsafe { call(class, (mode, size, direction), handle, blocks) == 0 }
}
