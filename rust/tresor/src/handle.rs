// SPDX-License-Identifier: GPL-2.0
//! Handles: the public bytes from which, with the register secret S, an engine derives a volume key
//! in registers.
//!
//! Volume key `K = mask XOR AES-256_S(iv + 0..)`, where the addition is on the first eight bytes of
//! `iv`, little-endian, modulo 2^64. XTS-AES-256 takes four blocks of it as `K1 || K2`, XTS-AES-128
//! the first two, other modes the first 16, 24 or 32 bytes.

use core::fmt;

use super::kdf::{copy, Sha256};

/// Bytes of a tag.
const TAG: usize = 16;
/// Domain separation: what is hashed before the bytes given to setkey, for XTS,
const DERIVED: &[u8; TAG] = b"tresor-derived-1";
/// and for the modes of plain AES: the same 32 bytes are two different keys.
const DERIVED_AES: &[u8; TAG] = b"tresor-aes-key-1";

/// The XTS cipher of a volume, told by the length of the key that setkey is given.
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

/// The key size of AES in the modes that have one key: ECB, CBC, CTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySize {
    /// 16 bytes.
    Aes128,
    /// 24 bytes.
    Aes192,
    /// 32 bytes.
    Aes256,
}

/// The bytes given to setkey are neither 16 nor 24 nor 32 many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKeySize {
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

impl KeySize {
    /// Returns the key size of `bytes` bytes.
    pub const fn from_key_len(bytes: usize) -> Result<Self, BadKeySize> {
        match bytes {
            16 => Ok(Self::Aes128),
            24 => Ok(Self::Aes192),
            32 => Ok(Self::Aes256),
            _ => Err(BadKeySize { bytes }),
        }
    }

    /// Returns the bytes of the key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
}

impl Handle {
    /// Returns the handle of a derived key of XTS: any 32 or 64 bytes are one, so no setkey can
    /// destroy anything.
    pub fn derived<H: Sha256>(key_bytes: &[u8]) -> Result<Self, BadLength> {
        Ok(match Variant::from_key_len(key_bytes.len())? {
            Variant::Aes128 => Self::tagged::<H, { TAG + 32 }>(DERIVED, key_bytes),
            Variant::Aes256 => Self::tagged::<H, { TAG + 64 }>(DERIVED, key_bytes),
        })
    }

    /// Returns the handle of a derived key of plain AES, for ECB, CBC and CTR: any 16, 24 or 32
    /// bytes are one.
    pub fn derived_aes<H: Sha256>(key_bytes: &[u8]) -> Result<Self, BadKeySize> {
        Ok(match KeySize::from_key_len(key_bytes.len())? {
            KeySize::Aes128 => Self::tagged::<H, { TAG + 16 }>(DERIVED_AES, key_bytes),
            KeySize::Aes192 => Self::tagged::<H, { TAG + 24 }>(DERIVED_AES, key_bytes),
            KeySize::Aes256 => Self::tagged::<H, { TAG + 32 }>(DERIVED_AES, key_bytes),
        })
    }

    /// Returns the handle of the AES-256 key that encrypts the numbers of sectors by ESSIV, for the
    /// bytes that setkey of the data's mode is given.
    ///
    /// It is [`derived_aes`](Self::derived_aes) of their SHA-256, as ESSIV has it.
    pub fn derived_essiv<H: Sha256>(key_bytes: &[u8]) -> Self {
        Self::tagged::<H, { TAG + 32 }>(DERIVED_AES, &H::digest(key_bytes))
    }

    /// The handle whose `iv` begins the digest of `tag` and `key_bytes`, together `LEN` bytes.
    fn tagged<H: Sha256, const LEN: usize>(tag: &[u8; TAG], key_bytes: &[u8]) -> Self {
        let mut message = [0; LEN];
        copy(&mut message, tag.iter().chain(key_bytes));
        let mut iv = [0; 16];
        copy(&mut iv, &H::digest(&message));
        Self { iv, mask: [0; 64] }
    }

    /// Returns the address of the 80 bytes, for an engine.
    pub const fn as_ptr(&self) -> *const u8 {
        core::ptr::from_ref(self).cast()
    }
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

impl fmt::Display for BadKeySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the key has {} bytes; give 16 (AES-128), 24 (AES-192) or 32 (AES-256)",
            self.bytes
        )
    }
}

impl core::error::Error for BadLength {}
impl core::error::Error for BadKeySize {}
