// SPDX-License-Identifier: GPL-2.0
//! What the engines compute, computed in ordinary memory with RustCrypto: the oracle of every test,
//! and the MAC of a new slot.
//!
//! Nothing here runs in the kernel. Secrets are returned in [`Zeroizing`] and wiped when dropped;
//! callers that handle a person's pass phrase also lock their memory.

use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockEncrypt, KeyInit};
use aes::Aes256;
use sha2::Digest;
use std::vec::Vec;
use zeroize::Zeroizing;

use crate::handle::{Handle, Variant};
use crate::kdf;
use crate::slot::Slot;

mod xts;

pub use xts::{decrypt, encrypt, BadDataUnit};

/// SHA-256 from RustCrypto.
#[derive(Clone, Copy, Debug)]
pub struct Sha256;

impl kdf::Sha256 for Sha256 {
    fn digest(data: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(data).into()
    }
}

/// 256 secret bits: P, S or M.
pub type Secret = Zeroizing<[u8; 32]>;

/// Returns P, the key that PBKDF2-HMAC-SHA256 makes of a pass phrase.
pub fn pass_phrase_key(pass_phrase: &[u8], salt: &[u8], iterations: u32) -> Secret {
    let mut p = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(pass_phrase, salt, iterations, &mut *p);
    p
}

/// Returns block `iv + index` of the key stream of a slot or a handle under `key`.
pub fn key_stream(key: &[u8; 32], iv: &[u8; 16], index: u64) -> Zeroizing<[u8; 16]> {
    let mut block = Zeroizing::new(*iv);
    if let Some(counter) = block.first_chunk_mut::<8>() {
        *counter = u64::from_le_bytes(*counter)
            .wrapping_add(index)
            .to_le_bytes();
    }
    Aes256::new(key.into()).encrypt_block(GenericArray::from_mut_slice(&mut *block));
    block
}

/// Returns the register secret S of a slot under P. It is not checked: see [`unlock`].
pub fn register_secret(slot: &Slot, p: &[u8; 32]) -> Secret {
    let mut s = two_blocks(p, slot.iv(), 0);
    xor(&mut *s, slot.mask());
    s
}

/// Returns M, the key of a slot's MAC, under P.
pub fn mac_key(slot: &Slot, p: &[u8; 32]) -> Secret {
    two_blocks(p, slot.iv(), 2)
}

/// Returns the MAC of a slot's body under P.
pub fn mac(slot: &Slot, p: &[u8; 32]) -> [u8; 16] {
    let cipher = Aes256::new(GenericArray::from_slice(&*mac_key(slot, p)));
    let mut state = [0; 16];
    for block in slot.body_digest::<Sha256>().chunks_exact(16) {
        xor(&mut state, block);
        cipher.encrypt_block(GenericArray::from_mut_slice(&mut state));
    }
    state
}

/// Returns the slot of these parts with its MAC, or `None` if there are too few iterations.
///
/// Needs P only: S is never computed. The parts must be random for a real slot.
pub fn new_slot(
    pass_phrase: &[u8],
    iterations: u32,
    salt: [u8; 16],
    iv: [u8; 16],
    mask: [u8; 32],
) -> Option<Slot> {
    let slot = Slot::new::<Sha256>(iterations, salt, iv, mask, [0; 16])?;
    let mac = mac(&slot, &pass_phrase_key(pass_phrase, &salt, iterations));
    Slot::new::<Sha256>(iterations, salt, iv, mask, mac)
}

/// Returns whether the slot's MAC is right for this pass phrase.
pub fn verify(slot: &Slot, pass_phrase: &[u8]) -> bool {
    mac(
        slot,
        &pass_phrase_key(pass_phrase, slot.salt(), slot.iterations()),
    ) == *slot.mac()
}

/// Why a slot gives no S.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnlockError {
    /// The MAC is not right for this pass phrase.
    WrongPassPhrase,
    /// S would be all zero, which stands for "no S".
    ZeroSecret,
}

/// Returns the register secret S of a slot, as the unlock engines leave it in the registers.
pub fn unlock(slot: &Slot, pass_phrase: &[u8]) -> Result<Secret, UnlockError> {
    let p = pass_phrase_key(pass_phrase, slot.salt(), slot.iterations());
    if mac(slot, &p) != *slot.mac() {
        return Err(UnlockError::WrongPassPhrase);
    }
    let s = register_secret(slot, &p);
    if *s == [0; 32] {
        return Err(UnlockError::ZeroSecret);
    }
    Ok(s)
}

/// Returns the volume key `K1 || K2` of a handle under S: 32 bytes for XTS-AES-128, 64 for
/// XTS-AES-256.
pub fn volume_key(s: &[u8; 32], handle: &Handle, variant: Variant) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(handle.mask[..variant.key_len()].to_vec());
    for (index, block) in (0..).zip(key.chunks_exact_mut(16)) {
        xor(block, &*key_stream(s, &handle.iv, index));
    }
    key
}

/// Returns two successive blocks of the key stream.
fn two_blocks(key: &[u8; 32], iv: &[u8; 16], index: u64) -> Secret {
    let mut blocks = Zeroizing::new([0; 32]);
    let (first, second) = blocks.split_at_mut(16);
    first.copy_from_slice(&*key_stream(key, iv, index));
    second.copy_from_slice(&*key_stream(key, iv, index.wrapping_add(1)));
    blocks
}

fn xor(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to ^= from;
    }
}

impl core::fmt::Display for UnlockError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::WrongPassPhrase => "wrong pass phrase",
            Self::ZeroSecret => "the slot would give an all-zero secret; make a new slot",
        })
    }
}

impl core::error::Error for UnlockError {}
