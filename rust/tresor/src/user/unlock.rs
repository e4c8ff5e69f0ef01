// SPDX-License-Identifier: GPL-2.0
//! The unlock engines: from a pass phrase to S.

use core::fmt;
use std::is_x86_feature_detected;
use std::vec::Vec;

use super::cpu::{has_aesni, has_ssse3};
use super::probe;
use crate::kdf::{BLOCK, PASS_PHRASE_BUFFER};
use crate::slot::ENGINE_BLOCK;

type UnlockFn = unsafe extern "C" fn(*const u8, u64, *const u8, u64, *const u8) -> i32;

extern "C" {
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
    fn tresor_unlock_ssse3_noaes(
        pass: *const u8,
        pass_blocks: u64,
        salt_block: *const u8,
        iterations: u64,
        slot: *const u8,
    ) -> i32;
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
        if has_ssse3() {
            engines.push(Self {
                name: "ssse3_noaes",
                entry: tresor_unlock_ssse3_noaes,
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

impl fmt::Display for UnlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongPassPhrase => "wrong pass phrase",
            Self::ZeroSecret => "the slot would give an all-zero secret; make a new slot",
            Self::NotKept => "the registers did not keep the secret",
        })
    }
}

impl core::error::Error for UnlockError {}
