// SPDX-License-Identifier: GPL-2.0
//! Handles: the public bytes from which, with the register secret S, an engine derives a volume key
//! in registers.
//!
//! Volume key `K1 || K2 = mask XOR AES-256_S(iv + 0..)`, where the addition is on the first eight
//! bytes of `iv`, little-endian, modulo 2^64. XTS-AES-256 takes four blocks of it, XTS-AES-128 the
//! first two.

use core::fmt;

use super::kdf::{copy, Sha256};

/// Domain separation: what is hashed before the bytes given to setkey.
const DERIVED: &[u8; 16] = b"tresor-derived-1";

/// The cipher of a volume, told by the length of the key that setkey is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// XTS-AES-128: two keys of 16 bytes.
    Aes128,
    /// XTS-AES-256: two keys of 32 bytes.
    Aes256,
}

/// The bytes given to setkey are neither 32 nor 64 many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLength {
    /// How many there are.
    pub bytes: usize,
}

/// A handle as the engines read it.
///
/// It is public: it may be in RAM, and be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Handle {
    /// Start of the key stream.
    pub iv: [u8; 16],
    /// What the key stream is XORed with: zero for a derived key.
    pub mask: [u8; 64],
}

impl Variant {
    /// Returns the variant whose `K1 || K2` has `bytes` bytes.
    pub const fn from_key_len(bytes: usize) -> Result<Self, BadLength> {
        match bytes {
            32 => Ok(Self::Aes128),
            64 => Ok(Self::Aes256),
            _ => Err(BadLength { bytes }),
        }
    }

    /// Returns the bytes of `K1 || K2`.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 32,
            Self::Aes256 => 64,
        }
    }
}

impl Handle {
    /// Returns the handle of a derived key: any 32 or 64 bytes are one, so no setkey can destroy
    /// anything.
    pub fn derived<H: Sha256>(key_bytes: &[u8]) -> Result<Self, BadLength> {
        let digest = match Variant::from_key_len(key_bytes.len())? {
            Variant::Aes128 => {
                tagged_digest::<H, { DERIVED.len() + Variant::Aes128.key_len() }>(key_bytes)
            }
            Variant::Aes256 => {
                tagged_digest::<H, { DERIVED.len() + Variant::Aes256.key_len() }>(key_bytes)
            }
        };
        let mut iv = [0; 16];
        copy(&mut iv, &digest);
        Ok(Self { iv, mask: [0; 64] })
    }

    /// Returns the address of the 80 bytes, for an engine.
    pub const fn as_ptr(&self) -> *const u8 {
        core::ptr::from_ref(self).cast()
    }
}

/// Hashes [`DERIVED`] and `key_bytes`, together `LEN` bytes.
fn tagged_digest<H: Sha256, const LEN: usize>(key_bytes: &[u8]) -> [u8; 32] {
    let mut message = [0; LEN];
    copy(&mut message, DERIVED.iter().chain(key_bytes));
    H::digest(&message)
}

impl fmt::Display for BadLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the key has {} bytes; give 32 (XTS-AES-128) or 64 (XTS-AES-256)",
            self.bytes
        )
    }
}

impl core::error::Error for BadLength {}
