// SPDX-License-Identifier: GPL-2.0
//! The engines of ECB, CBC, CTR and CBC with ESSIV.

use core::ptr;
use std::vec::Vec;

use super::{cpu, probe, Direction};
use crate::class::{mode_engines, Class};
use crate::handle::{Handle, KeySize};

/// The last argument is the handle of ESSIV's key: other modes do not read it.
type ModeFn =
    unsafe extern "C" fn(*const u8, *const u8, *mut u8, usize, *const u8, *const u8) -> i32;

/// A mode of operation (NIST SP 800-38A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Electronic codebook; the initialisation vector is ignored.
    Ecb,
    /// Cipher block chaining.
    Cbc,
    /// Counter mode with a 128-bit big-endian counter; both directions are the same.
    Ctr,
}

/// Why an engine did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeError {
    /// The thread has no S.
    NoSecret,
    /// Not a multiple of 16 bytes (except for CTR), or source and destination of different lengths.
    BadLength,
}

/// The routines of a class and a key size, by direction where there are two.
#[derive(Debug)]
struct Functions {
    ecb: [ModeFn; 2],
    cbc: [ModeFn; 2],
    essiv_cbc: [ModeFn; 2],
    ctr: ModeFn,
}

/// Declares the routines of all classes, and one function that finds those of one.
macro_rules! table {
    ($($class:ident $size:ident:
        $ecb_enc:ident, $ecb_dec:ident, $cbc_enc:ident, $cbc_dec:ident,
        $essiv_enc:ident, $essiv_dec:ident, $ctr:ident;)*) => {
        table!(@declare
            $($ecb_enc $ecb_dec $cbc_enc $cbc_dec $essiv_enc $essiv_dec $ctr)*);

        /// Returns the routines of a class, if it has any.
        fn functions(class: Class, size: KeySize) -> Option<&'static Functions> {
            match (class, size) {
                $(
                    (Class::$class, KeySize::$size) => Some(&Functions {
                        ecb: [$ecb_enc, $ecb_dec],
                        cbc: [$cbc_enc, $cbc_dec],
                        essiv_cbc: [$essiv_enc, $essiv_dec],
                        ctr: $ctr,
                    }),
                )*
                _ => None,
            }
        }
    };
    (@declare $($function:ident)*) => {
        extern "C" {
            $(
                fn $function(
                    handle: *const u8,
                    src: *const u8,
                    dst: *mut u8,
                    len: usize,
                    iv: *const u8,
                    essiv_handle: *const u8,
                ) -> i32;
            )*
        }
    };
}

mode_engines!(table);

/// The engines of the modes that this CPU can run, of one class.
#[derive(Clone, Copy, Debug)]
pub struct Modes {
    class: Class,
    /// By key size.
    functions: [&'static Functions; 3],
}

impl Modes {
    /// Returns the classes that this CPU can run, the fastest first, but those that the environment
    /// variable [`DISABLE`](super::DISABLE) names.
    pub fn all() -> Vec<Self> {
        Class::OF_MODES
            .into_iter()
            .filter(|&class| cpu::can_run(class) && !cpu::is_disabled(class))
            .filter_map(|class| {
                let functions = [
                    functions(class, KeySize::Aes128)?,
                    functions(class, KeySize::Aes192)?,
                    functions(class, KeySize::Aes256)?,
                ];
                Some(Self { class, functions })
            })
            .collect()
    }

    /// The class.
    pub const fn class(self) -> Class {
        self.class
    }

    /// Returns a mode's function for probes.
    pub fn function(self, mode: Mode, size: KeySize, direction: Direction) -> probe::Function {
        probe::Function::from_address(self.entry(mode, size, direction) as usize)
    }

    /// Returns the function of CBC with ESSIV for probes.
    pub fn essiv_function(self, size: KeySize, direction: Direction) -> probe::Function {
        probe::Function::from_address(self.essiv_entry(size, direction) as usize)
    }

    /// Encrypts or decrypts `src` into `dst`.
    pub fn crypt(
        self,
        (mode, size, direction): (Mode, KeySize, Direction),
        handle: &Handle,
        src: &[u8],
        dst: &mut [u8],
        iv: &[u8; 16],
    ) -> Result<(), ModeError> {
        check_length(mode, src, dst)?;
        let entry = self.entry(mode, size, direction);
        // SAFETY: `Self` exists only where the CPU has the instructions; both are slices of this
        // length, which the mode can do, and they do not overlap; the others are references to as
        // many bytes as the engine reads.
        status(unsafe {
            entry(
                handle.as_ptr(),
                src.as_ptr(),
                dst.as_mut_ptr(),
                src.len(),
                iv.as_ptr(),
                ptr::null(),
            )
        })
    }

    /// Encrypts or decrypts `data` in place.
    pub fn crypt_in_place(
        self,
        (mode, size, direction): (Mode, KeySize, Direction),
        handle: &Handle,
        data: &mut [u8],
        iv: &[u8; 16],
    ) -> Result<(), ModeError> {
        check_length(mode, data, data)?;
        let entry = self.entry(mode, size, direction);
        let dst = data.as_mut_ptr();
        // SAFETY: as in `crypt`, but the engine reads and writes the same run.
        status(unsafe {
            entry(
                handle.as_ptr(),
                dst.cast_const(),
                dst,
                data.len(),
                iv.as_ptr(),
                ptr::null(),
            )
        })
    }

    /// Encrypts or decrypts `data` in place by CBC, whose initialisation vector is `iv` encrypted
    /// with AES-256 under the key of `essiv`.
    pub fn essiv_in_place(
        self,
        (size, direction): (KeySize, Direction),
        handle: &Handle,
        essiv: &Handle,
        data: &mut [u8],
        iv: &[u8; 16],
    ) -> Result<(), ModeError> {
        check_length(Mode::Cbc, data, data)?;
        let entry = self.essiv_entry(size, direction);
        let dst = data.as_mut_ptr();
        // SAFETY: as in `crypt_in_place`.
        status(unsafe {
            entry(
                handle.as_ptr(),
                dst.cast_const(),
                dst,
                data.len(),
                iv.as_ptr(),
                essiv.as_ptr(),
            )
        })
    }

    fn entry(self, mode: Mode, size: KeySize, direction: Direction) -> ModeFn {
        let functions = self.functions[size as usize];
        match mode {
            Mode::Ecb => functions.ecb[direction as usize],
            Mode::Cbc => functions.cbc[direction as usize],
            Mode::Ctr => functions.ctr,
        }
    }

    fn essiv_entry(self, size: KeySize, direction: Direction) -> ModeFn {
        self.functions[size as usize].essiv_cbc[direction as usize]
    }
}

fn check_length(mode: Mode, src: &[u8], dst: &[u8]) -> Result<(), ModeError> {
    let whole = mode == Mode::Ctr || src.len() % 16 == 0;
    (whole && src.len() == dst.len())
        .then_some(())
        .ok_or(ModeError::BadLength)
}

fn status(status: i32) -> Result<(), ModeError> {
    match status {
        0 => Ok(()),
        _ => Err(ModeError::NoSecret),
    }
}

impl core::fmt::Display for ModeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoSecret => "there is no register secret; unlock first",
            Self::BadLength => {
                "source and destination must have the same length, for ECB and CBC a multiple of 16"
            }
        })
    }
}

impl core::error::Error for ModeError {}
