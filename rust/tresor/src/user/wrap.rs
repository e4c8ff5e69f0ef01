// SPDX-License-Identifier: GPL-2.0
//! What wrapped handles need of S: its id, key stream for a mask, and MACs.

use core::fmt;
use std::vec::Vec;

use super::{cpu, probe, Class};

/// Each reads of its arguments what its head in `asm/wrap.inc` names.
type WrapFn = unsafe extern "C" fn(*const u8, *const u8, *mut u8) -> i32;

extern "C" {
    fn tresor_wrap_id_aesni(_: *const u8, _: *const u8, id: *mut u8) -> i32;
    fn tresor_wrap_mask_aesni(key: *const u8, at: *const u8, mask: *mut u8) -> i32;
    fn tresor_wrap_mac_aesni(digest: *const u8, _: *const u8, mac: *mut u8) -> i32;
    fn tresor_wrap_verify_aesni(digest_and_mac: *const u8, _: *const u8, _: *mut u8) -> i32;
    fn tresor_wrap_id_ssse3(_: *const u8, _: *const u8, id: *mut u8) -> i32;
    fn tresor_wrap_mask_ssse3(key: *const u8, at: *const u8, mask: *mut u8) -> i32;
    fn tresor_wrap_mac_ssse3(digest: *const u8, _: *const u8, mac: *mut u8) -> i32;
    fn tresor_wrap_verify_ssse3(digest_and_mac: *const u8, _: *const u8, _: *mut u8) -> i32;
}

/// One of the four functions of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// The id of S.
    Id,
    /// A key XORed with key stream.
    Mask,
    /// The MAC of a digest.
    Mac,
    /// Whether a MAC is right.
    Verify,
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrapError {
    /// The thread has no S.
    NoSecret,
    /// It is not the MAC of this digest.
    OtherMac,
}

/// The functions of one class that this CPU can run.
#[derive(Clone, Copy, Debug)]
pub struct Wrap {
    class: Class,
    /// In the order of [`Wrapping`].
    functions: [WrapFn; 4],
}

impl Wrapping {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Id, Self::Mask, Self::Mac, Self::Verify];

    /// Its name in symbols.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Mask => "mask",
            Self::Mac => "mac",
            Self::Verify => "verify",
        }
    }
}

impl Wrap {
    /// Returns the classes that this CPU can run, the fastest first, but those that the environment
    /// variable [`DISABLE`](super::DISABLE) names.
    pub fn all() -> Vec<Self> {
        let aesni: [WrapFn; 4] = [
            tresor_wrap_id_aesni,
            tresor_wrap_mask_aesni,
            tresor_wrap_mac_aesni,
            tresor_wrap_verify_aesni,
        ];
        let ssse3: [WrapFn; 4] = [
            tresor_wrap_id_ssse3,
            tresor_wrap_mask_ssse3,
            tresor_wrap_mac_ssse3,
            tresor_wrap_verify_ssse3,
        ];
        [(Class::Aesni, aesni), (Class::Ssse3, ssse3)]
            .into_iter()
            .filter(|&(class, _)| cpu::can_run(class) && !cpu::is_disabled(class))
            .map(|(class, functions)| Self { class, functions })
            .collect()
    }

    /// The class.
    pub const fn class(self) -> Class {
        self.class
    }

    /// Returns a function for probes.
    pub fn function(self, which: Wrapping) -> probe::Function {
        probe::Function::from_address(self.functions[which as usize] as usize)
    }

    /// Returns the id of S.
    ///
    /// # Errors
    ///
    /// [`WrapError::NoSecret`].
    pub fn id(self) -> Result<[u8; 8], WrapError> {
        let mut block = [0; 16];
        self.call(Wrapping::Id, &[], &[], &mut block)?;
        let mut id = [0; 8];
        id.copy_from_slice(&block[..8]);
        Ok(id)
    }

    /// Returns `key` XOR key stream at `iv` where `key_bytes` is 0xff, and zero where it is zero.
    ///
    /// # Errors
    ///
    /// [`WrapError::NoSecret`].
    pub fn mask(
        self,
        key: &[u8; 64],
        iv: &[u8; 16],
        key_bytes: &[u8; 64],
    ) -> Result<[u8; 64], WrapError> {
        let mut place = [0; 80];
        place[..16].copy_from_slice(iv);
        place[16..].copy_from_slice(key_bytes);
        let mut mask = [0; 64];
        self.call(Wrapping::Mask, key, &place, &mut mask)?;
        Ok(mask)
    }

    /// Returns the MAC of a handle's digest.
    ///
    /// # Errors
    ///
    /// [`WrapError::NoSecret`].
    pub fn mac(self, digest: &[u8; 32]) -> Result<[u8; 16], WrapError> {
        let mut mac = [0; 16];
        self.call(Wrapping::Mac, digest, &[], &mut mac)?;
        Ok(mac)
    }

    /// Whether `mac` is the MAC of a handle's digest.
    ///
    /// # Errors
    ///
    /// [`WrapError::OtherMac`] if not, [`WrapError::NoSecret`].
    pub fn verify(self, digest: &[u8; 32], mac: &[u8; 16]) -> Result<(), WrapError> {
        let mut block = [0; 48];
        block[..32].copy_from_slice(digest);
        block[32..].copy_from_slice(mac);
        self.call(Wrapping::Verify, &block, &[], &mut [])
    }

    fn call(
        self,
        which: Wrapping,
        first: &[u8],
        second: &[u8],
        to: &mut [u8],
    ) -> Result<(), WrapError> {
        // SAFETY: `Self` exists only where the CPU has the instructions; the callers above give
        // each function as many bytes as it reads and writes.
        match unsafe {
            self.functions[which as usize](first.as_ptr(), second.as_ptr(), to.as_mut_ptr())
        } {
            0 => Ok(()),
            1 => Err(WrapError::NoSecret),
            _ => Err(WrapError::OtherMac),
        }
    }
}

impl fmt::Display for WrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSecret => "there is no register secret; unlock first",
            Self::OtherMac => "the MAC is wrong",
        })
    }
}

impl core::error::Error for WrapError {}
