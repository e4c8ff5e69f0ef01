// SPDX-License-Identifier: GPL-2.0

//! The XTS tweaks of a volume's first sectors: with a tweak known, its data unit is encrypted in plain ECB.

use aes::cipher::{generic_array::GenericArray, BlockEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use zeroize::Zeroizing;

/// Sector numbers (`plain64`, units of 512 bytes) that any use of a file system touches: the first 16, where the
/// superblock is, and with 4096-byte sectors (numbers are multiples of 8) the first 16 of those.
fn sector_numbers() -> impl Iterator<Item = u64> {
    (0..16).chain((16..128).step_by(8))
}

/// The tweak of block 0 and how many doublings of it are searched for: one interleaved pass of an engine.
const DOUBLINGS: usize = 3;

/// `T = AES_K2(sector)` and its first doublings for the first sectors, labelled.
pub(super) fn first_tweaks(k2: &[u8]) -> Vec<(String, Zeroizing<[u8; 16]>)> {
    let mut out = Vec::new();
    for sector in sector_numbers() {
        let mut tweak = encrypted_sector_number(k2, sector);
        for block in 0..=DOUBLINGS {
            out.push((
                format!("tweak of sector {sector} block {block}"),
                tweak.clone(),
            ));
            tweak = doubled(&tweak);
        }
    }
    out
}

fn encrypted_sector_number(k2: &[u8], sector: u64) -> Zeroizing<[u8; 16]> {
    let mut block = GenericArray::from(u128::from(sector).to_le_bytes());
    match k2.len() {
        16 => Aes128::new(GenericArray::from_slice(k2)).encrypt_block(&mut block),
        _ => Aes256::new(GenericArray::from_slice(k2)).encrypt_block(&mut block),
    }
    Zeroizing::new(block.into())
}

/// Multiplies by alpha in GF(2^128) as IEEE 1619 section 5.2 defines it.
fn doubled(tweak: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    let value = u128::from_le_bytes(*tweak);
    let reduction = if value >> 127 == 1 { 0x87 } else { 0 };
    Zeroizing::new(((value << 1) ^ reduction).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tresor::reference;

    /// XTS of a zero block is `AES_K1(T) xor T`: the oracle's ciphertext confirms each tweak.
    #[test]
    fn tweaks_are_those_of_the_oracle() {
        let key: [u8; 64] = std::array::from_fn(|i| 0x11 + 3 * i as u8);
        let (k1, k2) = key.split_at(32);
        let data_cipher = Aes256::new(GenericArray::from_slice(k1));
        let tweaks = first_tweaks(k2);
        assert_eq!(tweaks.len(), 30 * (DOUBLINGS + 1));
        for (unit, sector) in tweaks.chunks_exact(DOUBLINGS + 1).zip(sector_numbers()) {
            let mut sector_data = [0; 16 * (DOUBLINGS + 1)];
            reference::encrypt(&key, &u128::from(sector).to_le_bytes(), &mut sector_data).unwrap();
            for ((label, tweak), ciphertext) in unit.iter().zip(sector_data.chunks_exact(16)) {
                let mut expected = GenericArray::from(**tweak);
                data_cipher.encrypt_block(&mut expected);
                expected
                    .iter_mut()
                    .zip(tweak.iter())
                    .for_each(|(a, b)| *a ^= b);
                assert_eq!(expected.as_slice(), ciphertext, "{label}");
            }
        }
    }

    #[test]
    fn reduction_happens_only_on_overflow() {
        let mut high = [0; 16];
        high[15] = 0x80;
        assert_eq!(doubled(&high)[0], 0x87);
        assert_eq!(doubled(&[1; 16])[..], [2; 16]);
    }
}
