// SPDX-License-Identifier: GPL-2.0

//! Pseudo-random content that both sides can compute for any offset, so that no file has to travel.
//!
//! Each 8-byte word is SplitMix64 (Steele, Lea, Flood 2014) of the seed and the word's index. It is random access and has no structure
//! at any block size, so a swapped, stale or twice-decrypted block never compares equal by accident.

/// Writes the content of stream `seed` at byte `offset` (a multiple of 8) over `buf`.
pub fn fill(seed: u64, offset: u64, buf: &mut [u8]) {
    debug_assert_eq!(offset % 8, 0);
    for (index, word) in (offset / 8..).zip(buf.chunks_mut(8)) {
        word.copy_from_slice(&splitmix64(seed.rotate_left(32), index).to_le_bytes()[..word.len()]);
    }
}

/// Where `buf` first differs from the content of stream `seed` at byte `offset` (a multiple of 8).
pub fn first_difference(seed: u64, offset: u64, buf: &[u8]) -> Option<u64> {
    let mut expected = vec![0; buf.len()];
    fill(seed, offset, &mut expected);
    let at = buf.iter().zip(&expected).position(|(a, b)| a != b)?;
    Some(offset + at as u64)
}

/// The number of this index, from 0, in the sequence of SplitMix64 that begins with `seed`.
pub fn splitmix64(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_equals_the_same_piece_of_the_whole() {
        let mut whole = [0; 100];
        fill(7, 0, &mut whole);
        let mut piece = [0; 60];
        fill(7, 40, &mut piece);
        assert_eq!(piece, whole[40..]);
    }

    #[test]
    fn a_changed_byte_and_another_seed_are_seen() {
        let mut buf = [0; 64];
        fill(1, 4096, &mut buf);
        assert_eq!(first_difference(1, 4096, &buf), None);
        assert_eq!(first_difference(2, 4096, &buf), Some(4096));
        assert_eq!(first_difference(1, 4104, &buf), Some(4104));
        buf[63] ^= 1;
        assert_eq!(first_difference(1, 4096, &buf), Some(4096 + 63));
    }
}
