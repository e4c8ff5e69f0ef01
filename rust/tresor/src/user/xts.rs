// SPDX-License-Identifier: GPL-2.0
//! The XTS engine: AES-NI, without AVX.

use core::fmt;

use super::{has_aesni, probe};
use crate::handle::{Handle, Variant};

type XtsFn = unsafe extern "C" fn(*const u8, *const u8, *mut u8, usize, *const u8, u64) -> i32;

extern "C" {
    fn tresor_xts_aesni_enc_128(
        h: *const u8,
        src: *const u8,
        dst: *mut u8,
        len: usize,
        tweak_iv: *const u8,
        first: u64,
    ) -> i32;
    fn tresor_xts_aesni_dec_128(
        h: *const u8,
        src: *const u8,
        dst: *mut u8,
        len: usize,
        tweak_iv: *const u8,
        first: u64,
    ) -> i32;
    fn tresor_xts_aesni_enc_256(
        h: *const u8,
        src: *const u8,
        dst: *mut u8,
        len: usize,
        tweak_iv: *const u8,
        first: u64,
    ) -> i32;
    fn tresor_xts_aesni_dec_256(
        h: *const u8,
        src: *const u8,
        dst: *mut u8,
        len: usize,
        tweak_iv: *const u8,
        first: u64,
    ) -> i32;
}

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

/// Why an XTS engine did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XtsError {
    /// The thread has no S.
    NoSecret,
    /// Fewer than 16 bytes, or source and destination of different lengths.
    BadLength,
}

/// An XTS engine that this CPU can run.
#[derive(Clone, Copy, Debug)]
pub struct Xts(());

impl Xts {
    /// Returns the engine if the CPU has AES-NI and SSE4.1.
    pub fn detect() -> Option<Self> {
        has_aesni().then_some(Self(()))
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
        if src.len() != dst.len() {
            return Err(XtsError::BadLength);
        }
        // SAFETY: both are slices of this length, and they do not overlap.
        unsafe {
            self.call(
                variant,
                direction,
                handle,
                src.as_ptr(),
                dst.as_mut_ptr(),
                src.len(),
                position,
            )
        }
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
        let dst = data.as_mut_ptr();
        // SAFETY: the engine may read and write the same run of this length.
        unsafe {
            self.call(
                variant,
                direction,
                handle,
                dst.cast_const(),
                dst,
                data.len(),
                position,
            )
        }
    }

    fn entry(self, variant: Variant, direction: Direction) -> XtsFn {
        match (variant, direction) {
            (Variant::Aes128, Direction::Encrypt) => tresor_xts_aesni_enc_128,
            (Variant::Aes128, Direction::Decrypt) => tresor_xts_aesni_dec_128,
            (Variant::Aes256, Direction::Encrypt) => tresor_xts_aesni_enc_256,
            (Variant::Aes256, Direction::Decrypt) => tresor_xts_aesni_dec_256,
        }
    }

    /// # Safety
    ///
    /// `src` must be readable and `dst` writable for `len` bytes; they are the same or do not
    /// overlap.
    #[allow(clippy::too_many_arguments)] // the engine's own
    unsafe fn call(
        self,
        variant: Variant,
        direction: Direction,
        handle: &Handle,
        src: *const u8,
        dst: *mut u8,
        len: usize,
        position: &Position,
    ) -> Result<(), XtsError> {
        if len < 16 {
            return Err(XtsError::BadLength);
        }
        let entry = self.entry(variant, direction);
        // SAFETY: `Self` exists only where the CPU has the instructions; the caller answers for
        // `src`, `dst` and `len`; the others are references to as many bytes as the engine
        // reads.
        match unsafe {
            entry(
                handle.as_ptr(),
                src,
                dst,
                len,
                position.tweak_iv.as_ptr(),
                position.first_block,
            )
        } {
            0 => Ok(()),
            _ => Err(XtsError::NoSecret),
        }
    }
}

impl fmt::Display for XtsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSecret => "there is no register secret; unlock first",
            Self::BadLength => "source and destination must have the same length, 16 bytes or more",
        })
    }
}

impl core::error::Error for XtsError {}
