// SPDX-License-Identifier: GPL-2.0

//! Serving a request of a mode that goes block by block and hands on an IV: ECB, CBC, CTR.

use kernel::{
    crypto::skcipher::{
        Chunk,
        Request, //
    },
    prelude::*,
};

use super::{
    super::{
        engine::{
            modes::{
                self as engine,
                Blocks, //
            },
            Direction,
        },
        sha256::KernelSha256,
    },
    section, Cipher, Mode, BLOCK, SECTION,
};
use crate::handle::{Handle, KeySize};

/// What setkey left in a transform.
pub(crate) struct AesKey {
    pub(super) handle: Handle,
    pub(super) size: KeySize,
}

impl AesKey {
    /// A derived key: any bytes of the right length are a handle.
    pub(super) fn derived(bytes: &[u8]) -> Result<Self> {
        Ok(Self {
            handle: Handle::derived_aes::<KernelSha256>(bytes).map_err(|_| EINVAL)?,
            size: KeySize::from_key_len(bytes.len()).map_err(|_| EINVAL)?,
        })
    }
}

/// What a run of blocks leaves to the one that continues it, in the same request or the next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: each block is on its own.
    Nothing,
    /// The last block of ciphertext.
    Ciphertext,
    /// The counter after the last block, which may be partial.
    Counter,
}

/// A mode that goes block by block.
pub(super) trait BlockMode: Mode {
    const NEXT: Next;

    /// The key of the data.
    fn aes_key(key: &Self::Key) -> &AesKey;

    /// The engine for the part of a request that begins at `offset`.
    fn engine(key: &Self::Key, offset: usize) -> engine::Mode<'_>;

    /// The IV of a request.
    fn iv(req: &Request<'_, Cipher<Self>>) -> [u8; BLOCK] {
        req.iv::<BLOCK>()
    }

    /// Leaves the IV of the request that continues this one, for the user and for a retry.
    fn set_iv(req: &mut Request<'_, Cipher<Self>>, iv: &[u8; BLOCK]) {
        req.set_iv::<BLOCK>(iv);
    }
}

/// The last block of `len` bytes. Fails with `EINVAL` if there are fewer.
///
/// # Safety
///
/// `data` must be valid for reads of `len` bytes.
unsafe fn last_block(data: *const u8, len: usize) -> Result<[u8; BLOCK]> {
    let at = len.checked_sub(BLOCK).ok_or(EINVAL)?;
    // SAFETY: The block is inside the data; an array of bytes has no alignment. Volatile, as the
    // memory may change under us.
    Ok(unsafe { data.add(at).cast::<[u8; BLOCK]>().read_volatile() })
}

/// Runs the engine over the start of a chunk and moves `iv` on. Returns how many bytes that were.
fn crypt_chunk<M: BlockMode>(
    key: &M::Key,
    direction: Direction,
    chunk: &Chunk<'_>,
    is_end: bool,
    iv: &mut [u8; BLOCK],
) -> Result<usize> {
    // A part of a block is the end of the data or the start of a block that goes on elsewhere.
    let room = chunk.len().min(SECTION);
    let len = if is_end && room == chunk.len() {
        room
    } else {
        room / BLOCK * BLOCK
    };
    let blocks = Blocks {
        src: chunk.src(),
        dst: chunk.dst(),
        len,
        iv: *iv,
    };
    // In place, it is overwritten.
    let ciphertext = match (M::NEXT, direction) {
        // SAFETY: A chunk is valid for its length.
        (Next::Ciphertext, Direction::Decrypt) => unsafe { last_block(blocks.src, len)? },
        _ => [0; BLOCK],
    };

    let AesKey { handle, size } = M::aes_key(key);
    let how = (M::engine(key, chunk.offset()), *size, direction);
    // SAFETY: A chunk is valid for its length, and source and destination of a request are the same
    // or apart. Only CTR has requests that end with a part of a block.
    section(|fpu| unsafe { engine::crypt(fpu, how, handle, &blocks) })?;

    match (M::NEXT, direction) {
        (Next::Nothing, _) => (),
        // SAFETY: As above; the engine has written it.
        (Next::Ciphertext, Direction::Encrypt) => *iv = unsafe { last_block(blocks.dst, len)? },
        (Next::Ciphertext, Direction::Decrypt) => *iv = ciphertext,
        (Next::Counter, _) => {
            *iv = u128::from_be_bytes(*iv)
                .wrapping_add(len.div_ceil(BLOCK) as u128)
                .to_be_bytes();
        }
    }
    Ok(len)
}

/// Serves a request as far as this CPU can; see [`Mode::crypt`].
///
/// Fails with `EINVAL` for data that is not whole blocks, except for CTR.
pub(super) fn crypt<M: BlockMode>(
    key: &M::Key,
    direction: Direction,
    req: &mut Request<'_, Cipher<M>>,
) -> Result {
    let len = req.cryptlen();
    if len % M::BLOCK_SIZE != 0 {
        return Err(EINVAL);
    }
    let mut iv = M::iv(req);
    let result = match req.linear() {
        Some(chunk) if len <= SECTION => {
            crypt_chunk::<M>(key, direction, &chunk, true, &mut iv).map(drop)
        }
        _ => req.walk(len, |chunk| {
            let is_end = chunk.offset().checked_add(chunk.len()) == Some(len);
            crypt_chunk::<M>(key, direction, chunk, is_end, &mut iv)
        }),
    };
    // Also when the rest is for another CPU, which goes on from here.
    M::set_iv(req, &iv);
    result
}
