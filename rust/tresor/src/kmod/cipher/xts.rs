// SPDX-License-Identifier: GPL-2.0

//! The skcipher `xts(tresor)`.

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
            self,
            Direction,
            Run, //
        },
        sha256::KernelSha256,
    },
    section, Cipher, Mode, BLOCK, SECTION,
};
use crate::handle::{Handle, Variant};

/// What setkey left in a transform.
pub(crate) struct Key {
    pub(super) handle: Handle,
    pub(super) variant: Variant,
}

/// Runs the engine over `run`, or fails with [`NO_S_HERE`](super::NO_S_HERE) and changes nothing.
///
/// # Safety
///
/// As that of [`engine::crypt`].
unsafe fn crypt_run(key: &Key, direction: Direction, run: &Run) -> Result {
    // SAFETY: By this function's own safety requirement.
    section(|fpu| unsafe { engine::crypt(fpu, direction, key.variant, &key.handle, run) })
}

/// How a request's data is cut into data units.
#[derive(Clone, Copy)]
struct Units {
    /// Number of the first, as XTS takes it.
    iv: [u8; BLOCK],
    /// Bytes of each.
    bytes: usize,
}

impl Units {
    /// Fails with `EINVAL` for data that XTS does not take: less than a block, or several data
    /// units that are not whole numbers of blocks.
    fn of<M: Mode>(req: &Request<'_, Cipher<M>>) -> Result<Self> {
        let (len, bytes) = (req.cryptlen(), req.data_unit_size());
        let whole = len.checked_rem(bytes) == Some(0);
        if bytes < BLOCK || !whole || (bytes != len && bytes % BLOCK != 0) {
            return Err(EINVAL);
        }
        Ok(Self {
            iv: req.iv::<BLOCK>(),
            bytes,
        })
    }

    /// The IV of data unit `index`: it counts in the first eight bytes.
    fn iv_of(&self, index: usize) -> [u8; BLOCK] {
        let mut iv = self.iv;
        if let Some(count) = iv.first_chunk_mut::<8>() {
            *count = u64::from_le_bytes(*count)
                .wrapping_add(index as u64)
                .to_le_bytes();
        }
        iv
    }

    /// As much of a chunk as one engine call takes: whole data units, or a run of one's blocks.
    fn run_of(&self, chunk: &Chunk<'_>) -> Result<Run> {
        let offset = chunk.offset();
        let index = offset.checked_div(self.bytes).ok_or(EINVAL)?;
        let within = offset.checked_rem(self.bytes).ok_or(EINVAL)?;
        let room = chunk.len().min(SECTION);
        let units = room
            .checked_div(self.bytes)
            .ok_or(EINVAL)?
            .min(engine::max_units());
        let (len, units) = if within == 0 && units > 0 {
            (self.bytes, units)
        } else {
            let left = self.bytes.saturating_sub(within);
            (room.min(left) / BLOCK * BLOCK, 1)
        };
        Ok(Run {
            src: chunk.src(),
            dst: chunk.dst(),
            len,
            iv: self.iv_of(index),
            first_block: (within / BLOCK) as u64,
            units: units as u64,
        })
    }
}

impl Run {
    /// All its bytes.
    fn bytes(&self) -> usize {
        self.len.saturating_mul(self.units as usize)
    }
}

/// `xts(tresor)`: XTS-AES with several data units in a request.
pub(crate) struct Xts;

impl Mode for Xts {
    const NAME: &'static CStr = c"xts(tresor)";
    const DRIVER_NAME: &'static CStr = c"xts-tresor";
    const MIN_KEY_SIZE: usize = Variant::Aes128.key_len();
    const MAX_KEY_SIZE: usize = Variant::Aes256.key_len();
    const DATA_UNITS: bool = true;

    type Key = Key;

    fn key(bytes: &[u8]) -> Result<Key> {
        Ok(Key {
            handle: Handle::derived::<KernelSha256>(bytes).map_err(|_| EINVAL)?,
            variant: Variant::from_key_len(bytes.len()).map_err(|_| EINVAL)?,
        })
    }

    fn crypt(key: &Key, direction: Direction, req: &mut Request<'_, Cipher<Self>>) -> Result {
        crypt(key, direction, req)
    }
}

/// Serves a request as far as this CPU can; see [`Mode::crypt`].
pub(super) fn crypt<M: Mode>(
    key: &Key,
    direction: Direction,
    req: &mut Request<'_, Cipher<M>>,
) -> Result {
    let units = Units::of(req)?;
    let len = req.cryptlen();
    if len <= SECTION {
        if let Some(chunk) = req.linear() {
            let run = units.run_of(&chunk)?;
            if run.bytes() == len {
                // SAFETY: A chunk is valid for its length, and source and destination of a
                // request are the same or apart.
                return unsafe { crypt_run(key, direction, &run) };
            }
        }
    }

    // Ciphertext stealing needs the last 17 to 31 bytes in one piece.
    let tail = match len % BLOCK {
        0 => 0,
        partial => BLOCK | partial,
    };
    let head = len.checked_sub(tail).ok_or(EINVAL)?;
    req.walk(head, |chunk| {
        let run = units.run_of(chunk)?;
        // SAFETY: As above; the walk gives chunks of at least one block.
        unsafe { crypt_run(key, direction, &run)? };
        Ok(run.bytes())
    })?;
    if tail == 0 {
        return Ok(());
    }
    let mut buffer = [0; 2 * BLOCK];
    let buffer = buffer.get_mut(..tail).ok_or(EINVAL)?;
    req.read_at(head, buffer)?;
    let run = Run {
        src: buffer.as_ptr(),
        dst: buffer.as_mut_ptr(),
        len: tail,
        iv: units.iv,
        first_block: (head / BLOCK) as u64,
        units: 1,
    };
    // SAFETY: The buffer is ours and has `tail` bytes; the engine works in place.
    unsafe { crypt_run(key, direction, &run)? };
    req.write_at(head, buffer)
}
