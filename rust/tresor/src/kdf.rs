// SPDX-License-Identifier: GPL-2.0
//! Framing of PBKDF2-HMAC-SHA256 for the engines, which take whole SHA-256 blocks.
//!
//! The engines compute with registers only, so byte-wise work is done before: the pass phrase
//! becomes an HMAC key block or padded message blocks, the salt a padded message block (RFC 8018,
//! RFC 2104, FIPS 180-4).

/// Longest pass phrase, in bytes.
pub const PASS_PHRASE_MAX: usize = 512;
/// Bytes of a buffer that [`frame_pass_phrase`] can frame the longest pass phrase in.
pub const PASS_PHRASE_BUFFER: usize = 576;
/// Bytes of a SHA-256 block, and of an HMAC-SHA256 key block.
pub const BLOCK: usize = 64;
/// Bytes of a salt.
pub const SALT: usize = 16;

/// Bytes after a message that SHA-256's padding needs at least: 0x80 and the length in bits.
const PADDING_MIN: usize = 1 + 8;

/// SHA-256 (FIPS 180-4), which the environment supplies: the kernel's library, or RustCrypto in
/// user space.
pub trait Sha256 {
    /// Returns the digest of `data`.
    fn digest(data: &[u8]) -> [u8; 32];
}

/// Turns a pass phrase of `len` bytes at the start of `buf` into what the unlock engines take as
/// `pass`, in place.
///
/// Returns `pass_blocks`: 0 if the first block of `buf` now is the zero-padded HMAC key block
/// (`len` at most 64), else the number of blocks of the SHA-256-padded pass phrase, whose digest is
/// the HMAC key. The rest of `buf` is zeroed. Returns `None`, and leaves `buf` alone, if `len` is
/// not 1 to [`PASS_PHRASE_MAX`] or `buf` is shorter than [`PASS_PHRASE_BUFFER`].
pub fn frame_pass_phrase(buf: &mut [u8], len: usize) -> Option<u64> {
    if len == 0 || len > PASS_PHRASE_MAX || buf.len() < PASS_PHRASE_BUFFER {
        return None;
    }
    if len <= BLOCK {
        buf.get_mut(len..)?.fill(0);
        return Some(0);
    }
    let padded = (len + PADDING_MIN).next_multiple_of(BLOCK);
    pad_message(buf.get_mut(..padded)?, len)?;
    buf.get_mut(padded..)?.fill(0);
    u64::try_from(padded / BLOCK).ok()
}

/// Returns the block that the engines take as `salt_block`: the message of PBKDF2's first HMAC,
/// salt and block index 1, padded as the second block of a message whose first one is the HMAC key
/// block.
pub fn salt_block(salt: &[u8; SALT]) -> [u8; BLOCK] {
    const INDEX: [u8; 4] = 1u32.to_be_bytes();
    const MESSAGE: usize = SALT + INDEX.len();
    const ZEROS: [u8; BLOCK - MESSAGE - PADDING_MIN] = [0; BLOCK - MESSAGE - PADDING_MIN];
    // A constant of 672 bits: the cast cannot lose any.
    const BITS: [u8; 8] = (8 * (BLOCK + MESSAGE) as u64).to_be_bytes();

    let mut block = [0; BLOCK];
    copy(
        &mut block,
        salt.iter()
            .chain(&INDEX)
            .chain(&[0x80])
            .chain(&ZEROS)
            .chain(&BITS),
    );
    block
}

/// Copies as many bytes as both have; unlike `copy_from_slice` it cannot panic.
pub fn copy<'a>(to: impl IntoIterator<Item = &'a mut u8>, from: impl IntoIterator<Item = &'a u8>) {
    for (to, from) in to.into_iter().zip(from) {
        *to = *from;
    }
}

/// Appends SHA-256's padding to the message in the first `len` bytes of `blocks`, which has whole
/// blocks and room for it.
fn pad_message(blocks: &mut [u8], len: usize) -> Option<()> {
    let bits = u64::try_from(len).ok()?.checked_mul(8)?;
    let (first, rest) = blocks.get_mut(len..)?.split_first_mut()?;
    *first = 0x80;
    let (zeros, length) = rest.split_last_chunk_mut::<8>()?;
    zeros.fill(0);
    *length = bits.to_be_bytes();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_pass_phrase_is_zero_padded() {
        let mut buf = [0xee; PASS_PHRASE_BUFFER];
        assert_eq!(frame_pass_phrase(&mut buf, 64), Some(0));
        assert!(buf.starts_with(&[0xee; 64]));
        assert_eq!(buf[64..], [0; PASS_PHRASE_BUFFER - 64]);
    }

    #[test]
    fn long_pass_phrase_is_padded_as_a_message() {
        for (len, blocks) in [(65, 2), (119, 2), (120, 3), (503, 8), (504, 9), (512, 9)] {
            let mut buf = [0xee; PASS_PHRASE_BUFFER + 7];
            assert_eq!(
                frame_pass_phrase(&mut buf, len),
                Some(blocks),
                "{len} bytes"
            );
            let end = BLOCK * usize::try_from(blocks).unwrap();
            assert!(buf[..len].iter().all(|&byte| byte == 0xee));
            assert_eq!(buf[len], 0x80);
            assert!(buf[len + 1..end - 8].iter().all(|&byte| byte == 0));
            assert_eq!(
                buf[end - 8..end],
                (8 * u64::try_from(len).unwrap()).to_be_bytes()
            );
            assert!(buf[end..].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn what_cannot_be_framed_is_refused_and_left_alone() {
        let mut buf = [0xee; PASS_PHRASE_BUFFER];
        assert_eq!(frame_pass_phrase(&mut buf, 0), None);
        assert_eq!(frame_pass_phrase(&mut buf, PASS_PHRASE_MAX + 1), None);
        assert_eq!(frame_pass_phrase(&mut buf[1..], 1), None);
        assert_eq!(buf, [0xee; PASS_PHRASE_BUFFER]);
    }

    #[test]
    fn salt_block_is_a_padded_second_block() {
        let block = salt_block(&[0xaa; SALT]);
        assert_eq!(block[..16], [0xaa; 16]);
        assert_eq!(block[16..21], [0, 0, 0, 1, 0x80]);
        assert_eq!(block[21..62], [0; 41]);
        assert_eq!(block[62..], [0x02, 0xa0]);
    }
}
