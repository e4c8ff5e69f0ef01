// SPDX-License-Identifier: GPL-2.0
//! The format of wrapped handles, version 1: 128 public bytes that carry a volume key under S.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `amn1`: magic and version |
//! | 4 | number of the [`Kind`] |
//! | 5..8 | zero |
//! | 8..16 | id of S: the first 8 bytes of AES-256_S([`ID_TAG`]) |
//! | 16..32 | iv, random |
//! | 32..96 | mask: volume key XOR key stream; zero after the key's length |
//! | 96..112 | MAC |
//! | 112..116 | CHECK: the first 4 bytes of SHA-256(bytes 0..112) |
//! | 116..128 | zero |
//!
//! * Key stream = AES-256_S(iv + 0..3), as for every [`Handle`]: additions are on the first eight
//!   bytes, little-endian, modulo 2^64.
//! * M = AES-256_S([`MAC_TAG`] + 0..1), a key of 32 bytes.
//! * D = SHA-256(bytes 0..96); MAC = AES-256_M(AES-256_M(D[0..16]) XOR D[16..32]), the CBC-MAC of
//!   two blocks, as a slot has it. It tells a forged handle from a good one (encrypt-then-MAC).
//! * The id tells a handle of another S, CHECK a damaged one; both without any secret.
//!
//! Why M does not depend on the handle, as it does for a slot (`AES-256_S(iv + 4..5)`): the iv of
//! a handle that is to be verified comes from whoever made it. Someone who knows the volume key
//! of one handle (it may be that of a former stock volume) knows four blocks of the key stream,
//! those at `iv + 0..3`. For a handle whose iv is by 4 less, they would be M, and it could be
//! forged with any mask: chosen differences between keys, or a key of which one half is known.
//! With M at a place of its own, key stream is only ever used at an iv that this S has
//! authenticated, that the kernel has drawn at random, or that is a hash (a derived handle). To
//! meet M, or another handle, such an iv would have to hit one of a few values of 128 bits.
//!
//! The handles of the self tests are made with a public S. They have its id and its MAC, so no
//! other S takes them.
//!
//! There is one encoding of each handle: [`Wrapped::parse`] refuses any other.

use core::fmt;

use super::handle::{Handle, KeySize, Variant};
use super::kdf::{copy, Sha256};

mod error;

pub use error::WrappedError;

/// Bytes of a wrapped handle; what `cryptsetup --key-size` is given is eight times as much.
pub const SIZE: usize = 128;
/// Bytes of the id of S.
pub const ID: usize = 8;
/// The block whose encryption under S begins with the id of S.
pub const ID_TAG: [u8; 16] = *b"tresor-id-of-S-1";
/// The block at which the MAC key M begins in S's key stream.
pub const MAC_TAG: [u8; 16] = *b"tresor-mac-key-1";

const MAGIC: [u8; 4] = *b"amn1";
/// What all versions begin with.
const FAMILY: &[u8] = b"amn";
/// Where the MAC is, and so the end of what it authenticates.
const MAC_AT: usize = 96;
/// Where CHECK is, and so the end of what it covers.
const CHECK_AT: usize = 112;
const CHECK: usize = 4;

/// The cipher that a wrapped key is for, and the bytes of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// XTS-AES-128: 32 bytes.
    XtsAes128 = 1,
    /// XTS-AES-256: 64 bytes.
    XtsAes256 = 2,
    /// AES-128 in CBC: 16 bytes.
    Aes128 = 3,
    /// AES-192 in CBC: 24 bytes.
    Aes192 = 4,
    /// AES-256 in CBC: 32 bytes.
    Aes256 = 5,
}

/// A wrapped handle whose parts are well-formed. Whether its MAC is right only S can tell.
///
/// It is public: it may be in RAM and on disk, and be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapped {
    kind: Kind,
    id: [u8; ID],
    handle: Handle,
    mac: [u8; 16],
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::XtsAes128,
        Self::XtsAes256,
        Self::Aes128,
        Self::Aes192,
        Self::Aes256,
    ];

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == number)
    }

    /// Returns the bytes of the volume key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::XtsAes128 => Variant::Aes128.key_len(),
            Self::XtsAes256 => Variant::Aes256.key_len(),
            Self::Aes128 => KeySize::Aes128.key_len(),
            Self::Aes192 => KeySize::Aes192.key_len(),
            Self::Aes256 => KeySize::Aes256.key_len(),
        }
    }

    /// Returns the XTS cipher, if it is one.
    pub const fn xts(self) -> Option<Variant> {
        match self {
            Self::XtsAes128 => Some(Variant::Aes128),
            Self::XtsAes256 => Some(Variant::Aes256),
            _ => None,
        }
    }

    /// Returns the key size of AES in CBC, if it is for that.
    pub const fn cbc(self) -> Option<KeySize> {
        match self {
            Self::Aes128 => Some(KeySize::Aes128),
            Self::Aes192 => Some(KeySize::Aes192),
            Self::Aes256 => Some(KeySize::Aes256),
            _ => None,
        }
    }

    /// Returns what the engine that makes a mask reads: the iv, and [`key_bytes`](Self::key_bytes).
    pub fn mask_block(self, iv: &[u8; 16]) -> [u8; 80] {
        let mut block = [0; 80];
        copy(&mut block, iv.iter().chain(&self.key_bytes()));
        block
    }

    /// Returns 64 bytes, of which those of the key are 0xff and the others zero: what the mask may
    /// have.
    pub fn key_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes
            .iter_mut()
            .take(self.key_len())
            .for_each(|b| *b = 0xff);
        bytes
    }
}

impl Wrapped {
    /// Makes a handle of its parts. What `mask` has after the key's length is left out.
    ///
    /// `mac` is made from [`digest`](Self::digest), which does not depend on it: see
    /// [`with_mac`](Self::with_mac).
    pub fn new(kind: Kind, id: [u8; ID], iv: [u8; 16], mask: &[u8; 64], mac: [u8; 16]) -> Self {
        let mut handle = Handle { iv, mask: [0; 64] };
        copy(&mut handle.mask, mask.iter().take(kind.key_len()));
        Self {
            kind,
            id,
            handle,
            mac,
        }
    }

    /// Returns the same handle with this MAC.
    #[must_use]
    pub const fn with_mac(mut self, mac: [u8; 16]) -> Self {
        self.mac = mac;
        self
    }

    /// Reads a wrapped handle.
    ///
    /// # Errors
    ///
    /// See [`WrappedError`]; never [`WrongKind`](WrappedError::WrongKind).
    pub fn parse<H: Sha256>(bytes: &[u8]) -> Result<Self, WrappedError> {
        let bytes: &[u8; SIZE] = bytes
            .try_into()
            .map_err(|_| WrappedError::BadLength { bytes: bytes.len() })?;
        if !bytes.starts_with(FAMILY) {
            return Err(WrappedError::NotWrapped);
        }
        if !bytes.starts_with(&MAGIC) {
            return Err(WrappedError::UnknownVersion);
        }
        if array::<CHECK>(bytes, CHECK_AT) != check::<H>(bytes) {
            return Err(WrappedError::Damaged);
        }
        let [number] = array(bytes, 4);
        let kind = Kind::from_number(number).ok_or(WrappedError::UnknownKind)?;
        let wrapped = Self::new(
            kind,
            array(bytes, 8),
            array(bytes, 16),
            &array(bytes, 32),
            array(bytes, MAC_AT),
        );
        // Whatever is not in a field is zero.
        if wrapped.encode::<H>() == *bytes {
            Ok(wrapped)
        } else {
            Err(WrappedError::NotZero)
        }
    }

    /// Returns its 128 bytes.
    pub fn encode<H: Sha256>(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        self.write(&mut bytes);
        let check = check::<H>(&bytes);
        copy(bytes.iter_mut().skip(CHECK_AT), &check);
        bytes
    }

    /// Returns the digest that the MAC is made of.
    pub fn digest<H: Sha256>(&self) -> [u8; 32] {
        let mut bytes = [0; SIZE];
        self.write(&mut bytes);
        H::digest(bytes.get(..MAC_AT).unwrap_or(&bytes))
    }

    /// Returns what the engine that verifies the MAC reads: digest and MAC.
    pub fn verify_block<H: Sha256>(&self) -> [u8; 48] {
        let mut block = [0; 48];
        copy(&mut block, self.digest::<H>().iter().chain(&self.mac));
        block
    }

    /// Returns what the engines take: iv and mask.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What the key is for.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Id of the S that it is wrapped under.
    pub const fn id(&self) -> &[u8; ID] {
        &self.id
    }

    /// Message authentication code.
    pub const fn mac(&self) -> &[u8; 16] {
        &self.mac
    }

    /// Writes all fields but CHECK.
    fn write(&self, to: &mut [u8; SIZE]) {
        let kind = [self.kind as u8, 0, 0, 0];
        let fields = MAGIC
            .iter()
            .chain(&kind)
            .chain(&self.id)
            .chain(&self.handle.iv)
            .chain(&self.handle.mask)
            .chain(&self.mac);
        copy(to, fields);
    }
}

fn check<H: Sha256>(bytes: &[u8; SIZE]) -> [u8; CHECK] {
    array(&H::digest(bytes.get(..CHECK_AT).unwrap_or(bytes)), 0)
}

/// The bytes from a place on; zeros beyond the end, which the callers do not ask for.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    copy(&mut array, bytes.iter().skip(at));
    array
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XtsAes128 => "XTS-AES-128",
            Self::XtsAes256 => "XTS-AES-256",
            Self::Aes128 => "AES-128 for CBC",
            Self::Aes192 => "AES-192 for CBC",
            Self::Aes256 => "AES-256 for CBC",
        })
    }
}
