// SPDX-License-Identifier: GPL-2.0
//! Wrapping and unwrapping in ordinary memory with RustCrypto: the oracle of every test, and
//! recovery on a machine without the driver.
//!
//! Nothing here runs in the kernel. Keys are returned in [`Zeroizing`] and wiped when dropped;
//! callers that handle a person's keys also lock their memory.

use core::fmt;
use std::vec::Vec;

use tresor::reference::{self as tresor_reference, Secret, Sha256};
use zeroize::Zeroizing;

use crate::wrapped::{Kind, Wrapped, ID, ID_TAG, MAC_TAG};

/// Why a handle does not give its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnwrapError {
    /// It is wrapped under another S.
    OtherSecret,
    /// Its MAC is wrong: it was not made by someone who had S.
    Forged,
}

/// The key has not as many bytes as its kind has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey {
    /// How many it must have.
    pub expected: usize,
    /// How many it has.
    pub bytes: usize,
}

/// Returns the public id of S.
pub fn id_of(s: &[u8; 32]) -> [u8; ID] {
    let mut id = [0; ID];
    id.copy_from_slice(&tresor_reference::key_stream(s, &ID_TAG, 0)[..ID]);
    id
}

/// Returns M, the key of all handles' MACs under S.
pub fn mac_key(s: &[u8; 32]) -> Secret {
    tresor_reference::two_blocks(s, &MAC_TAG, 0)
}

/// Returns the MAC of a handle under S, whatever its own is.
pub fn mac(s: &[u8; 32], wrapped: &Wrapped) -> [u8; 16] {
    tresor_reference::cbc_mac(&mac_key(s), &wrapped.digest::<Sha256>())
}

/// Wraps a volume key under S. `iv` must be random for a real handle: never use one twice.
///
/// # Errors
///
/// [`BadKey`] if the key is not as long as its kind has it.
pub fn wrap(s: &[u8; 32], kind: Kind, key: &[u8], iv: [u8; 16]) -> Result<Wrapped, BadKey> {
    if key.len() != kind.key_len() {
        return Err(BadKey {
            expected: kind.key_len(),
            bytes: key.len(),
        });
    }
    let mut mask = Zeroizing::new([0; 64]);
    mask[..key.len()].copy_from_slice(key);
    // Under S and this iv, the key whose mask is the volume key is the mask.
    let stream = Wrapped::new(kind, [0; ID], iv, &mask, [0; 16]);
    mask[..key.len()].copy_from_slice(&key_of(s, &stream));
    Ok(fresh(s, kind, iv, &mask))
}

/// Returns the handle of this iv and mask under S, with its MAC. If both are random, so is the key.
pub fn fresh(s: &[u8; 32], kind: Kind, iv: [u8; 16], mask: &[u8; 64]) -> Wrapped {
    let wrapped = Wrapped::new(kind, id_of(s), iv, mask, [0; 16]);
    wrapped.with_mac(mac(s, &wrapped))
}

/// Whether the handle was made under S.
///
/// # Errors
///
/// See [`UnwrapError`].
pub fn verify(s: &[u8; 32], wrapped: &Wrapped) -> Result<(), UnwrapError> {
    if *wrapped.id() != id_of(s) {
        return Err(UnwrapError::OtherSecret);
    }
    if *wrapped.mac() != mac(s, wrapped) {
        return Err(UnwrapError::Forged);
    }
    Ok(())
}

/// Returns the volume key of a handle under S.
///
/// # Errors
///
/// As [`verify`].
pub fn unwrap(s: &[u8; 32], wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
    verify(s, wrapped)?;
    Ok(key_of(s, wrapped))
}

fn key_of(s: &[u8; 32], wrapped: &Wrapped) -> Zeroizing<Vec<u8>> {
    tresor_reference::key_of(s, wrapped.handle(), wrapped.kind().key_len())
}

impl fmt::Display for UnwrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherSecret => "the handle is wrapped under another register secret",
            Self::Forged => "the handle's MAC is wrong: it is forged or damaged",
        })
    }
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the volume key has {} bytes instead of {}",
            self.bytes, self.expected
        )
    }
}

impl core::error::Error for UnwrapError {}
impl core::error::Error for BadKey {}
