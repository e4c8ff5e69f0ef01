// SPDX-License-Identifier: GPL-2.0
//! ECB, CBC and CTR (NIST SP 800-38A) over the block cipher of `aes`.

use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use std::boxed::Box;

use super::xor;

type OnBlock = Box<dyn Fn(&mut [u8])>;

/// AES with a key of 16, 24 or 32 bytes, one block at a time.
#[allow(missing_debug_implementations, reason = "it would print a key")]
pub struct Aes {
    encrypt: OnBlock,
    decrypt: OnBlock,
}

impl Aes {
    /// Returns the cipher of a key, or `None` if AES has no keys of this length.
    pub fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Some(Self::of::<Aes128>(key)),
            24 => Some(Self::of::<Aes192>(key)),
            32 => Some(Self::of::<Aes256>(key)),
            _ => None,
        }
    }

    fn of<C: BlockEncrypt + BlockDecrypt + KeyInit + Clone + 'static>(key: &[u8]) -> Self {
        let encryption = C::new(GenericArray::from_slice(key));
        let decryption = encryption.clone();
        Self {
            encrypt: Box::new(move |block| {
                encryption.encrypt_block(GenericArray::from_mut_slice(block));
            }),
            decrypt: Box::new(move |block| {
                decryption.decrypt_block(GenericArray::from_mut_slice(block));
            }),
        }
    }

    /// Encrypts whole blocks in place by ECB.
    pub fn ecb_encrypt(&self, data: &mut [u8]) {
        data.chunks_exact_mut(16).for_each(&self.encrypt);
    }

    /// Decrypts whole blocks in place by ECB.
    pub fn ecb_decrypt(&self, data: &mut [u8]) {
        data.chunks_exact_mut(16).for_each(&self.decrypt);
    }

    /// Encrypts whole blocks in place by CBC.
    pub fn cbc_encrypt(&self, iv: &[u8; 16], data: &mut [u8]) {
        let mut last = *iv;
        for block in data.chunks_exact_mut(16) {
            xor(block, &last);
            (self.encrypt)(block);
            last.copy_from_slice(block);
        }
    }

    /// Decrypts whole blocks in place by CBC.
    pub fn cbc_decrypt(&self, iv: &[u8; 16], data: &mut [u8]) {
        let mut last = *iv;
        for block in data.chunks_exact_mut(16) {
            let mut plain = [0; 16];
            plain.copy_from_slice(block);
            (self.decrypt)(&mut plain);
            xor(&mut plain, &last);
            last.copy_from_slice(block);
            block.copy_from_slice(&plain);
        }
    }

    /// Encrypts or decrypts any number of bytes in place by CTR; the counter is all 16 bytes of
    /// `iv`, big-endian.
    pub fn ctr(&self, iv: &[u8; 16], data: &mut [u8]) {
        let mut counter = u128::from_be_bytes(*iv);
        for block in data.chunks_mut(16) {
            let mut stream = counter.to_be_bytes();
            (self.encrypt)(&mut stream);
            xor(block, &stream);
            counter = counter.wrapping_add(1);
        }
    }
}
