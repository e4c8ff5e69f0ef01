// SPDX-License-Identifier: GPL-2.0

//! The skcipher `xts(tresor)`.

use kernel::{
    cpu::CpuId,
    crypto::skcipher::{
        Chunk,
        Completion,
        Request,
        Skcipher, //
    },
    fpu,
    prelude::*,
};

use super::{
    engine::{
        self,
        Direction,
        Run, //
    },
    sha256::KernelSha256,
    state,
};
use crate::handle::{Handle, Variant};

/// Bytes of an AES block.
const BLOCK: usize = 16;

/// Bytes done in one section without preemption: a few tens of microseconds on the slowest CPUs
/// that have AES-NI, and several times that without.
const SECTION: usize = 4096;

/// What setkey left in a transform: a public handle.
pub(crate) struct Key {
    handle: Handle,
    variant: Variant,
}

impl Key {
    /// A derived key: any bytes of the right length are a handle.
    fn derived(bytes: &[u8]) -> Result<Self> {
        Ok(Self {
            handle: Handle::derived::<KernelSha256>(bytes).map_err(|_| EINVAL)?,
            variant: Variant::from_key_len(bytes.len()).map_err(|_| EINVAL)?,
        })
    }
}

/// This CPU has no S.
const NO_S_HERE: Error = EAGAIN;

/// Runs the engine over `run`, or fails with [`NO_S_HERE`] and changes nothing.
///
/// # Safety
///
/// As that of [`engine::crypt`].
unsafe fn crypt_run(key: &Key, direction: Direction, run: &Run) -> Result {
    fpu::section(|fpu| {
        // SAFETY: By this function's own safety requirement.
        let has_s = unsafe { engine::crypt(fpu, direction, key.variant, &key.handle, run) };
        state::note_this_cpu(has_s);
        if has_s {
            Ok(())
        } else {
            Err(NO_S_HERE)
        }
    })?
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
    fn of(req: &Request<'_, XtsTresor>) -> Result<Self> {
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

/// Serves one request as far as this CPU can.
fn crypt(key: &Key, direction: Direction, req: &mut Request<'_, XtsTresor>) -> Result {
    let units = Units::of(req)?;
    let len = req.cryptlen();
    if len <= SECTION {
        if let Some(chunk) = req.linear() {
            let run = units.run_of(&chunk)?;
            if run.bytes() == len {
                // SAFETY: A chunk is valid for its length, and source and destination of a request
                // are the same or apart.
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

/// `xts(tresor)`: XTS-AES whose key is derived from S for each request.
pub(crate) struct XtsTresor;

impl XtsTresor {
    /// Serves a request, or says which CPU can.
    fn serve(
        key: &Option<Key>,
        direction: Direction,
        req: &mut Request<'_, Self>,
    ) -> Result<Completion> {
        let key = key.as_ref().ok_or(ENOKEY)?;
        match crypt(key, direction, req) {
            Ok(()) => Ok(Completion::Done),
            Err(error) if error == NO_S_HERE => {
                let cpu: CpuId = state::holder().ok_or(ENOKEY)?;
                Ok(Completion::RetryOn(cpu))
            }
            Err(error) => Err(error),
        }
    }
}

impl Skcipher for XtsTresor {
    type Context = Option<Key>;

    const NAME: &'static CStr = c"xts(tresor)";
    const DRIVER_NAME: &'static CStr = c"xts-tresor";
    const PRIORITY: u32 = 400;
    const BLOCK_SIZE: usize = BLOCK;
    const MIN_KEY_SIZE: usize = Variant::Aes128.key_len();
    const MAX_KEY_SIZE: usize = Variant::Aes256.key_len();
    const IV_SIZE: usize = BLOCK;
    const ASYNC: bool = true;
    const DATA_UNITS: bool = true;

    fn init() -> impl PinInit<Self::Context, Error> {
        Ok::<_, Error>(None)
    }

    fn set_key(mut context: Pin<&mut Self::Context>, bytes: &[u8]) -> Result {
        context.set(Some(Key::derived(bytes)?));
        Ok(())
    }

    fn encrypt(key: &Self::Context, req: &mut Request<'_, Self>) -> Result<Completion> {
        Self::serve(key, Direction::Encrypt, req)
    }

    fn decrypt(key: &Self::Context, req: &mut Request<'_, Self>) -> Result<Completion> {
        Self::serve(key, Direction::Decrypt, req)
    }
}
