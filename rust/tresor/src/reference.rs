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

use crate::handle::{Handle, KeySize, Variant};
use crate::kdf;
use crate::slot::Slot;

mod modes;
mod xts;

pub use modes::Aes;
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
    cbc_mac(&mac_key(slot, p), &slot.body_digest::<Sha256>())
}

/// Returns the CBC-MAC of a digest: the MAC of slots and of wrapped handles.
pub fn cbc_mac(key: &[u8; 32], digest: &[u8; 32]) -> [u8; 16] {
    let cipher = Aes256::new(key.into());
    let mut state = [0; 16];
    for block in digest.chunks_exact(16) {
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

/// Returns a slot that gives this S, or `None` if there are too few iterations: another pass phrase for
/// the same secret.
///
/// `salt` and `iv` must be random for a real slot.
pub fn slot_of(
    s: &[u8; 32],
    pass_phrase: &[u8],
    iterations: u32,
    salt: [u8; 16],
    iv: [u8; 16],
) -> Option<Slot> {
    let p = pass_phrase_key(pass_phrase, &salt, iterations);
    // What a slot without a mask gives is the key stream.
    let unmasked = Slot::new::<Sha256>(iterations, salt, iv, [0; 32], [0; 16])?;
    let mut mask = register_secret(&unmasked, &p);
    xor(&mut *mask, s);
    let slot = Slot::new::<Sha256>(iterations, salt, iv, *mask, [0; 16])?;
    Slot::new::<Sha256>(iterations, salt, iv, *mask, mac(&slot, &p))
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
    key_of(s, handle, variant.key_len())
}

/// Returns the AES key of a handle under S for the modes that have one key.
pub fn aes_key(s: &[u8; 32], handle: &Handle, size: KeySize) -> Zeroizing<Vec<u8>> {
    key_of(s, handle, size.key_len())
}

/// Returns the first `len` bytes of a handle's key under S, at most 64.
///
/// # Panics
///
/// If `len` is more.
pub fn key_of(s: &[u8; 32], handle: &Handle, len: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(handle.mask[..len].to_vec());
    for (index, block) in (0..).zip(key.chunks_mut(16)) {
        xor(block, &*key_stream(s, &handle.iv, index));
    }
    key
}

/// Returns blocks `iv + index` and `iv + index + 1` of the key stream under `key`.
pub fn two_blocks(key: &[u8; 32], iv: &[u8; 16], index: u64) -> Secret {
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
