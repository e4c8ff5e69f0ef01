// SPDX-License-Identifier: GPL-2.0
//! The XTS engines, one for each class of CPUs.

use core::fmt;
use std::vec::Vec;

use super::{cpu, probe};
use crate::class::{xts_engines, Class};
use crate::handle::{Handle, Variant};

type XtsFn = unsafe extern "C" fn(*const u8, *const u8, *mut u8, usize, *const u8, u64, u64) -> i32;

/// A class's routines: encrypt 128, decrypt 128, encrypt 256, decrypt 256.
type Entries = [XtsFn; 4];

/// Declares the routines of all engines, and makes a table of them.
macro_rules! table {
    ($($class:ident: $($entry:ident),*;)*) => {
        extern "C" {
            $($(
                fn $entry(
                    handle: *const u8,
                    src: *const u8,
                    dst: *mut u8,
                    len: usize,
                    tweak_iv: *const u8,
                    first_block: u64,
                    units: u64,
                ) -> i32;
            )*)*
        }

        static ENGINES: &[(Class, Entries)] = &[$((Class::$class, [$($entry),*])),*];
    };
}

xts_engines!(table);

/// Which way data goes through a cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Plaintext to ciphertext.
    Encrypt,
    /// Ciphertext to plaintext.
    Decrypt,
}

/// The position of a run of blocks: which data unit, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Number of the data unit, little-endian.
    pub tweak_iv: [u8; 16],
    /// Index of the run's first 16-byte block in the data unit.
    pub first_block: u64,
}

/// Data units of one length, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Number of the first data unit, little-endian. Each next one has one more in the first eight
    /// bytes, modulo 2^64.
    pub tweak_iv: [u8; 16],
    /// Bytes of a data unit: a multiple of 16.
    pub len: usize,
}

/// Why an XTS engine did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XtsError {
    /// The thread has no S.
    NoSecret,
    /// Fewer than 16 bytes, source and destination of different lengths, or no whole number of data
    /// units.
    BadLength,
}

/// An XTS engine that this CPU can run.
#[derive(Clone, Copy, Debug)]
pub struct Xts {
    class: Class,
    entries: &'static Entries,
}

/// What all data units of a call share.
#[derive(Clone, Copy)]
struct Call<'a> {
    variant: Variant,
    direction: Direction,
    handle: &'a Handle,
    tweak_iv: &'a [u8; 16],
    first_block: u64,
    /// Bytes of each data unit, or of the run of one's blocks.
    len: usize,
    units: usize,
}

impl Xts {
    /// Returns the engines that this CPU can run, the fastest first, but those that the environment
    /// variable [`DISABLE`](super::DISABLE) names.
    pub fn all() -> Vec<Self> {
        let engine = |class| {
            let (_, entries) = ENGINES.iter().find(|(of, _)| *of == class)?;
            Some(Self { class, entries })
        };
        Class::ALL
            .into_iter()
            .filter(|&class| cpu::can_run(class) && !cpu::is_disabled(class))
            .filter_map(engine)
            .collect()
    }

    /// Returns the fastest of [`Xts::all`].
    pub fn detect() -> Option<Self> {
        Self::all().first().copied()
    }

    /// The engine's class.
    pub const fn class(self) -> Class {
        self.class
    }

    /// The name of the engine's class, as in its symbols.
    pub const fn name(self) -> &'static str {
        self.class.name()
    }

    /// Returns the engine's function for probes.
    pub fn function(self, variant: Variant, direction: Direction) -> probe::Function {
        probe::Function::from_address(self.entry(variant, direction) as usize)
    }

    /// Encrypts or decrypts `src` into `dst`: a whole data unit or a run of its blocks.
    ///
    /// All runs of a data unit but the last must have a multiple of 16 bytes, and the last one 16
    /// or more.
    pub fn crypt(
        self,
        variant: Variant,
        direction: Direction,
        handle: &Handle,
        src: &[u8],
        dst: &mut [u8],
        position: &Position,
    ) -> Result<(), XtsError> {
        let call = Call::of_run(variant, direction, handle, position, src.len())?;
        self.apart(&call, src, dst)
    }

    /// Encrypts or decrypts `data` in place; see [`Xts::crypt`].
    pub fn crypt_in_place(
        self,
        variant: Variant,
        direction: Direction,
        handle: &Handle,
        data: &mut [u8],
        position: &Position,
    ) -> Result<(), XtsError> {
        let call = Call::of_run(variant, direction, handle, position, data.len())?;
        self.in_place(&call, data)
    }

    /// Encrypts or decrypts `src` into `dst`: one data unit or several, whose keys are computed
    /// once.
    pub fn crypt_units(
        self,
        variant: Variant,
        direction: Direction,
        handle: &Handle,
        src: &[u8],
        dst: &mut [u8],
        units: &Units,
    ) -> Result<(), XtsError> {
        let call = Call::of_units(variant, direction, handle, units, src.len())?;
        self.apart(&call, src, dst)
    }

    /// Encrypts or decrypts data units in place; see [`Xts::crypt_units`].
    pub fn crypt_units_in_place(
        self,
        variant: Variant,
        direction: Direction,
        handle: &Handle,
        data: &mut [u8],
        units: &Units,
    ) -> Result<(), XtsError> {
        let call = Call::of_units(variant, direction, handle, units, data.len())?;
        self.in_place(&call, data)
    }

    fn entry(self, variant: Variant, direction: Direction) -> XtsFn {
        let [encrypt_128, decrypt_128, encrypt_256, decrypt_256] = *self.entries;
        match (variant, direction) {
            (Variant::Aes128, Direction::Encrypt) => encrypt_128,
            (Variant::Aes128, Direction::Decrypt) => decrypt_128,
            (Variant::Aes256, Direction::Encrypt) => encrypt_256,
            (Variant::Aes256, Direction::Decrypt) => decrypt_256,
        }
    }

    fn apart(self, call: &Call<'_>, src: &[u8], dst: &mut [u8]) -> Result<(), XtsError> {
        if src.len() != dst.len() {
            return Err(XtsError::BadLength);
        }
        // SAFETY: `call` is of all bytes of `src`, `dst` has as many, and they do not overlap.
        unsafe { self.call(call, src.as_ptr(), dst.as_mut_ptr()) }
    }

    fn in_place(self, call: &Call<'_>, data: &mut [u8]) -> Result<(), XtsError> {
        let dst = data.as_mut_ptr();
        // SAFETY: `call` is of all bytes of `data`; an engine may read and write the same run.
        unsafe { self.call(call, dst.cast_const(), dst) }
    }

    /// # Safety
    ///
    /// `src` must be readable and `dst` writable for `call.units` times `call.len` bytes; they are
    /// the same or do not overlap.
    unsafe fn call(self, call: &Call<'_>, src: *const u8, dst: *mut u8) -> Result<(), XtsError> {
        let entry = self.entry(call.variant, call.direction);
        // SAFETY: `Self` exists only where the CPU has the instructions; the caller answers for
        // `src` and `dst`; a `Call` has lengths that an engine takes; the others are references to
        // as many bytes as the engine reads.
        match unsafe {
            entry(
                call.handle.as_ptr(),
                src,
                dst,
                call.len,
                call.tweak_iv.as_ptr(),
                call.first_block,
                call.units as u64,
            )
        } {
            0 => Ok(()),
            _ => Err(XtsError::NoSecret),
        }
    }
}

impl<'a> Call<'a> {
    /// A call for `len` bytes of one data unit.
    fn of_run(
        variant: Variant,
        direction: Direction,
        handle: &'a Handle,
        position: &'a Position,
        len: usize,
    ) -> Result<Self, XtsError> {
        if len < 16 {
            return Err(XtsError::BadLength);
        }
        Ok(Self {
            variant,
            direction,
            handle,
            tweak_iv: &position.tweak_iv,
            first_block: position.first_block,
            len,
            units: 1,
        })
    }

    /// A call for data units that have `bytes` bytes together.
    fn of_units(
        variant: Variant,
        direction: Direction,
        handle: &'a Handle,
        units: &'a Units,
        bytes: usize,
    ) -> Result<Self, XtsError> {
        let whole = units.len >= 16 && units.len % 16 == 0 && bytes % units.len == 0;
        if !whole || bytes == 0 {
            return Err(XtsError::BadLength);
        }
        Ok(Self {
            variant,
            direction,
            handle,
            tweak_iv: &units.tweak_iv,
            first_block: 0,
            len: units.len,
            units: bytes / units.len,
        })
    }
}

impl fmt::Display for XtsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSecret => "there is no register secret; unlock first",
            Self::BadLength => {
                "source and destination must have the same length, 16 bytes or more, and data \
                 units a multiple of 16 each"
            }
        })
    }
}

impl core::error::Error for XtsError {}
