// SPDX-License-Identifier: GPL-2.0

//! The skcipher `xts(tresor)`.

use kernel::{
    cpu::CpuId,
    crypto::skcipher::{
        Completion,
        Request,
        Skcipher, //
    },
    fpu,
    prelude::*,
};

use super::{asm, sha256::KernelSha256, state};
use crate::handle::{Handle, Variant};

/// Bytes of an AES block.
const BLOCK: usize = 16;

/// Bytes done in one section without preemption: a few tens of microseconds on the slowest CPUs
/// that have AES-NI.
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

/// What to do with the data.
#[derive(Clone, Copy)]
enum Direction {
    Encrypt,
    Decrypt,
}

/// A run of blocks in memory that need not be Rust's: pages of a request.
#[derive(Clone, Copy)]
struct Run {
    src: *const u8,
    dst: *mut u8,
    len: usize,
    first_block: u64,
}

/// This CPU has no S.
const NO_S_HERE: Error = EAGAIN;

/// Runs the engine over `run`, or fails with [`NO_S_HERE`] and changes nothing.
///
/// # Safety
///
/// `run.src` and `run.dst` must be valid for reads and writes of `run.len` bytes, at least 16, and
/// be the same or not overlap.
unsafe fn run(key: &Key, direction: Direction, iv: &[u8; BLOCK], run: Run) -> Result {
    fpu::section(|_fpu| {
        let (handle, iv) = (key.handle.as_ptr(), iv.as_ptr());
        let Run {
            src,
            dst,
            len,
            first_block,
        } = run;
        // SAFETY: The engine may use vector registers here. The handle has 80 bytes and `iv` 16;
        // for the rest see this function's safety requirement.
        let code = unsafe {
            match (direction, key.variant) {
                (Direction::Encrypt, Variant::Aes128) => {
                    asm::tresor_xts_aesni_enc_128(handle, src, dst, len, iv, first_block)
                }
                (Direction::Decrypt, Variant::Aes128) => {
                    asm::tresor_xts_aesni_dec_128(handle, src, dst, len, iv, first_block)
                }
                (Direction::Encrypt, Variant::Aes256) => {
                    asm::tresor_xts_aesni_enc_256(handle, src, dst, len, iv, first_block)
                }
                (Direction::Decrypt, Variant::Aes256) => {
                    asm::tresor_xts_aesni_dec_256(handle, src, dst, len, iv, first_block)
                }
            }
        };
        let has_s = code == 0;
        state::note_this_cpu(has_s);
        if has_s {
            Ok(())
        } else {
            Err(NO_S_HERE)
        }
    })?
}

/// Serves one request as far as this CPU can.
fn crypt(key: &Key, direction: Direction, req: &mut Request<'_, XtsTresor>) -> Result {
    let len = req.cryptlen();
    if len < BLOCK {
        return Err(EINVAL);
    }
    let iv = req.iv::<BLOCK>();
    if len <= SECTION {
        if let Some(chunk) = req.linear() {
            let whole = Run {
                src: chunk.src(),
                dst: chunk.dst(),
                len,
                first_block: 0,
            };
            // SAFETY: A chunk is valid for its length, and source and destination of a request are
            // the same or apart.
            return unsafe { run(key, direction, &iv, whole) };
        }
    }

    // Ciphertext stealing needs the last 17 to 31 bytes in one piece.
    let tail = match len % BLOCK {
        0 => 0,
        partial => BLOCK | partial,
    };
    let head = len.checked_sub(tail).ok_or(EINVAL)?;
    req.walk(head, |chunk| {
        let n = chunk.len().min(SECTION) / BLOCK * BLOCK;
        let part = Run {
            src: chunk.src(),
            dst: chunk.dst(),
            len: n,
            first_block: (chunk.offset() / BLOCK) as u64,
        };
        // SAFETY: As above; the walk gives chunks of at least one block.
        unsafe { run(key, direction, &iv, part)? };
        Ok(n)
    })?;
    if tail == 0 {
        return Ok(());
    }
    let mut buffer = [0; 2 * BLOCK];
    let buffer = buffer.get_mut(..tail).ok_or(EINVAL)?;
    req.read_at(head, buffer)?;
    let part = Run {
        src: buffer.as_ptr(),
        dst: buffer.as_mut_ptr(),
        len: tail,
        first_block: (head / BLOCK) as u64,
    };
    // SAFETY: The buffer is ours and has `tail` bytes; the engine works in place.
    unsafe { run(key, direction, &iv, part)? };
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
    const DRIVER_NAME: &'static CStr = c"xts-tresor-aesni";
    const PRIORITY: u32 = 400;
    const BLOCK_SIZE: usize = BLOCK;
    const MIN_KEY_SIZE: usize = Variant::Aes128.key_len();
    const MAX_KEY_SIZE: usize = Variant::Aes256.key_len();
    const IV_SIZE: usize = BLOCK;
    const ASYNC: bool = true;

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
