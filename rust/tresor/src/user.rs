// SPDX-License-Identifier: GPL-2.0
//! The kernel's engines in user space: the same assembly files, with S in a buffer of each thread
//! instead of the debug registers.
//!
//! Meant for tests and for measuring; a program that keeps S in that buffer protects nothing. The
//! buffer starts all zero, which stands for "no S". It belongs to the calling thread, so tests may
//! run side by side.

use core::{fmt, ptr, slice};
use std::is_x86_feature_detected;
use std::vec::Vec;
use zeroize::{Zeroize, Zeroizing};

use crate::handle::{Handle, Variant};
use crate::kdf::{BLOCK, PASS_PHRASE_BUFFER};
use crate::slot::ENGINE_BLOCK;

pub mod probe;

type XtsFn = unsafe extern "C" fn(*const u8, *const u8, *mut u8, usize, *const u8, u64) -> i32;
type UnlockFn = unsafe extern "C" fn(*const u8, u64, *const u8, u64, *const u8) -> i32;

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
    fn tresor_unlock_shani(
        pass: *const u8,
        pass_blocks: u64,
        salt_block: *const u8,
        iterations: u64,
        slot: *const u8,
    ) -> i32;
    fn tresor_unlock_ssse3(
        pass: *const u8,
        pass_blocks: u64,
        salt_block: *const u8,
        iterations: u64,
        slot: *const u8,
    ) -> i32;
    fn tresor_user_secret_of_thread() -> *mut u8;
    fn tresor_user_read_only_of_thread() -> *mut u8;
}

/// Sets the calling thread's S; all zero stands for "no S".
pub fn set_secret(s: &[u8; 32]) {
    // SAFETY: the buffer has 32 bytes, lives as long as the thread, and only this thread has its
    // address, for this call.
    unsafe { ptr::copy_nonoverlapping(s.as_ptr(), tresor_user_secret_of_thread(), s.len()) }
}

/// Returns the calling thread's S.
pub fn secret() -> Zeroizing<[u8; 32]> {
    // SAFETY: as in `set_secret`; any bytes are valid.
    Zeroizing::new(unsafe { tresor_user_secret_of_thread().cast::<[u8; 32]>().read() })
}

/// Wipes the calling thread's S.
pub fn clear_secret() {
    // SAFETY: as in `set_secret`; the reference ends before any engine runs on this thread.
    unsafe { slice::from_raw_parts_mut(tresor_user_secret_of_thread(), 32) }.zeroize();
}

/// Makes the calling thread lose what is stored to its S, like a CPU whose debug registers are not
/// writable; or ends that.
pub fn set_read_only(read_only: bool) {
    // SAFETY: the byte lives as long as the thread, and only this thread has its address, for this
    // call.
    unsafe { tresor_user_read_only_of_thread().write(u8::from(read_only)) }
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

/// Why an unlock engine left no S.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnlockError {
    /// The MAC is not right for the pass phrase; nothing was stored.
    WrongPassPhrase,
    /// S would be all zero; nothing was stored.
    ZeroSecret,
    /// S did not stay where it was stored; it was cleared.
    NotKept,
}

/// An unlock engine that this CPU can run.
#[derive(Clone, Copy, Debug)]
pub struct Unlock {
    name: &'static str,
    entry: UnlockFn,
}

impl Unlock {
    /// Returns the engines that this CPU can run, the fastest first.
    pub fn all() -> Vec<Self> {
        let mut engines = Vec::new();
        if has_aesni() && is_x86_feature_detected!("sha") {
            engines.push(Self {
                name: "shani",
                entry: tresor_unlock_shani,
            });
        }
        if has_aesni() {
            engines.push(Self {
                name: "ssse3",
                entry: tresor_unlock_ssse3,
            });
        }
        engines
    }

    /// The engine's name, as in its symbol.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Returns the engine's function for probes.
    pub fn function(self) -> probe::Function {
        probe::Function::from_address(self.entry as usize)
    }

    /// Computes S from a pass phrase framed by [`crate::kdf::frame_pass_phrase`], which returned
    /// `pass_blocks`, and leaves it in the calling thread's buffer. `slot` is a slot's engine
    /// block.
    ///
    /// # Panics
    ///
    /// If `pass_blocks` is more than `pass` has, or `iterations` is 0.
    pub fn unlock(
        self,
        pass: &[u8; PASS_PHRASE_BUFFER],
        pass_blocks: u64,
        salt_block: &[u8; BLOCK],
        iterations: u64,
        slot: &[u8; ENGINE_BLOCK],
    ) -> Result<(), UnlockError> {
        assert!(pass_blocks <= (PASS_PHRASE_BUFFER / BLOCK) as u64 && iterations > 0);
        // SAFETY: `Self` exists only where the CPU has the instructions; each argument is a
        // reference to as many bytes as the engine reads, as the assertion says for `pass`.
        match unsafe {
            (self.entry)(
                pass.as_ptr(),
                pass_blocks,
                salt_block.as_ptr(),
                iterations,
                slot.as_ptr(),
            )
        } {
            0 => Ok(()),
            1 => Err(UnlockError::WrongPassPhrase),
            2 => Err(UnlockError::ZeroSecret),
            _ => Err(UnlockError::NotKept),
        }
    }
}

fn has_aesni() -> bool {
    is_x86_feature_detected!("aes") && is_x86_feature_detected!("sse4.1")
}

impl fmt::Display for XtsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSecret => "there is no register secret; unlock first",
            Self::BadLength => "source and destination must have the same length, 16 bytes or more",
        })
    }
}

impl fmt::Display for UnlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongPassPhrase => "wrong pass phrase",
            Self::ZeroSecret => "the slot would give an all-zero secret; make a new slot",
            Self::NotKept => "the registers did not keep the secret",
        })
    }
}

impl core::error::Error for XtsError {}
impl core::error::Error for UnlockError {}
