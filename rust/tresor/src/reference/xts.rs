// SPDX-License-Identifier: GPL-2.0
//! XTS-AES-128 and XTS-AES-256 with ciphertext stealing (IEEE Std 1619-2018), from `aes` and
//! `xts-mode`.

use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockCipher, BlockDecrypt, BlockEncrypt, KeyInit, KeySizeUser};
use aes::{Aes128, Aes256};
use core::fmt;
use xts_mode::Xts128;

/// The key is not 32 or 64 bytes, or the data unit shorter than one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadDataUnit;

/// Encrypts one data unit of at least 16 bytes in place. `key` is `K1 || K2`; `tweak_iv` is the
/// number of the data unit, little-endian.
pub fn encrypt(key: &[u8], tweak_iv: &[u8; 16], data_unit: &mut [u8]) -> Result<(), BadDataUnit> {
    match (key.len(), data_unit.len()) {
        (_, ..16) => return Err(BadDataUnit),
        (32, _) => cipher::<Aes128>(key).encrypt_sector(data_unit, *tweak_iv),
        (64, _) => cipher::<Aes256>(key).encrypt_sector(data_unit, *tweak_iv),
        _ => return Err(BadDataUnit),
    }
    Ok(())
}

/// Decrypts one data unit in place; see [`encrypt`].
pub fn decrypt(key: &[u8], tweak_iv: &[u8; 16], data_unit: &mut [u8]) -> Result<(), BadDataUnit> {
    match (key.len(), data_unit.len()) {
        (_, ..16) => return Err(BadDataUnit),
        (32, _) => cipher::<Aes128>(key).decrypt_sector(data_unit, *tweak_iv),
        (64, _) => cipher::<Aes256>(key).decrypt_sector(data_unit, *tweak_iv),
        _ => return Err(BadDataUnit),
    }
    Ok(())
}

/// The cipher of `K1 || K2`, which has twice the bytes of the block cipher's key.
fn cipher<C: BlockCipher + BlockEncrypt + BlockDecrypt + KeyInit + KeySizeUser>(
    key: &[u8],
) -> Xts128<C> {
    let (k1, k2) = key.split_at(key.len() / 2);
    Xts128::new(
        C::new(GenericArray::from_slice(k1)),
        C::new(GenericArray::from_slice(k2)),
    )
}

impl fmt::Display for BadDataUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XTS needs a key of 32 or 64 bytes and a data unit of 16 or more")
    }
}

impl core::error::Error for BadDataUnit {}
