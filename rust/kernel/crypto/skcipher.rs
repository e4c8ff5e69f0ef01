// SPDX-License-Identifier: GPL-2.0

//! Symmetric key ciphers (skciphers): the side of the implementation.
//!
//! A driver implements [`Skcipher`] and keeps a [`Registration`] of it. Users of the crypto API,
//! dm-crypt for example, then find the algorithm by its name.
//!
//! C headers: [`include/crypto/skcipher.h`](srctree/include/crypto/skcipher.h) and
//! [`include/crypto/internal/skcipher.h`](srctree/include/crypto/internal/skcipher.h)
//!
//! Reference: <https://docs.kernel.org/crypto/devel-algos.html>
//!
//! # Examples
//!
//! A toy "cipher" that XORs every block with the key:
//!
//! ```
//! use kernel::{
//!     crypto::skcipher::{Completion, Registration, Request, Skcipher},
//!     prelude::*,
//! };
//!
//! const BLOCK: usize = 16;
//!
//! struct Xor;
//!
//! impl Xor {
//!     fn crypt(key: &[u8; BLOCK], req: &mut Request<'_, Self>) -> Result<Completion> {
//!         if req.cryptlen() % BLOCK != 0 {
//!             return Err(EINVAL);
//!         }
//!         req.walk(req.cryptlen(), |chunk| {
//!             let whole_blocks = chunk.len() - chunk.len() % BLOCK;
//!             for at in (0..whole_blocks).step_by(BLOCK) {
//!                 let mut block = [0; BLOCK];
//!                 chunk.read(at, &mut block)?;
//!                 for (b, k) in block.iter_mut().zip(key) {
//!                     *b ^= k;
//!                 }
//!                 chunk.write(at, &block)?;
//!             }
//!             Ok(whole_blocks)
//!         })?;
//!         Ok(Completion::Done)
//!     }
//! }
//!
//! impl Skcipher for Xor {
//!     type Context = [u8; BLOCK];
//!
//!     const NAME: &'static CStr = c"toy-xor";
//!     const DRIVER_NAME: &'static CStr = c"toy-xor-rust";
//!     const PRIORITY: u32 = 100;
//!     const BLOCK_SIZE: usize = BLOCK;
//!     const MIN_KEY_SIZE: usize = BLOCK;
//!     const MAX_KEY_SIZE: usize = BLOCK;
//!     const IV_SIZE: usize = 0;
//!
//!     fn init() -> impl PinInit<Self::Context, Error> {
//!         Ok([0; BLOCK])
//!     }
//!
//!     fn set_key(mut ctx: Pin<&mut Self::Context>, key: &[u8]) -> Result {
//!         *ctx = key.try_into().map_err(|_| EINVAL)?;
//!         Ok(())
//!     }
//!
//!     fn encrypt(ctx: &Self::Context, req: &mut Request<'_, Self>) -> Result<Completion> {
//!         Self::crypt(ctx, req)
//!     }
//!
//!     fn decrypt(ctx: &Self::Context, req: &mut Request<'_, Self>) -> Result<Completion> {
//!         Self::crypt(ctx, req)
//!     }
//! }
//!
//! # fn register(module: &'static ThisModule) -> Result<Registration<Xor>> {
//! Registration::<Xor>::new(module)
//! # }
//! ```

use crate::{
    cpu::CpuId,
    prelude::*, //
};

mod gate;
mod registration;
mod request;
mod retry;
mod walk;

pub use self::{
    gate::Gate,
    registration::Registration,
    request::Request,
    walk::Chunk, //
};

/// A symmetric key cipher.
///
/// All sizes are in bytes.
pub trait Skcipher: Sized + 'static {
    /// What the driver keeps for each transformation object (tfm), that is, for each key.
    ///
    /// It lives inside the tfm, does not move, and is dropped with it. The memory is wiped after
    /// that.
    type Context: Send + Sync + 'static;

    /// Name of the algorithm, as users ask for it. Several drivers can offer the same.
    const NAME: &'static CStr;

    /// Name of this implementation, unique.
    const DRIVER_NAME: &'static CStr;

    /// Among drivers of the same algorithm, the highest priority is preferred.
    const PRIORITY: u32;

    /// The data of a request is processed in units of this size.
    const BLOCK_SIZE: usize;

    /// Shortest key.
    const MIN_KEY_SIZE: usize;

    /// Longest key.
    const MAX_KEY_SIZE: usize;

    /// Size of the initialisation vector, 0 if there is none.
    const IV_SIZE: usize;

    /// Same as the block size, except for stream ciphers (whose block size is 1): there, the size
    /// of the underlying block.
    const CHUNK_SIZE: usize = Self::BLOCK_SIZE;

    /// Each step of [`Request::walk`] has at least this many bytes if the request has, a multiple
    /// of the chunk size. Larger values serve implementations that work on blocks in parallel.
    const WALK_SIZE: usize = Self::CHUNK_SIZE;

    /// Whether a request may be answered after [`encrypt`] or [`decrypt`] returned.
    ///
    /// Only then may these ask for a retry; see [`Completion`]. Users that need synchronous
    /// algorithms do not see an asynchronous one.
    ///
    /// [`encrypt`]: Self::encrypt
    /// [`decrypt`]: Self::decrypt
    const ASYNC: bool = false;

    /// Whether a request may consist of several data units; see [`Request::data_unit_size`].
    const DATA_UNITS: bool = false;

    /// Returns the initial context of a new tfm. It has no key yet. May sleep.
    ///
    /// [`EAGAIN`] has a special meaning here to the crypto API: the algorithm is about to vanish.
    fn init() -> impl PinInit<Self::Context, Error>;

    /// Sets or replaces the key.
    ///
    /// The length lies between [`MIN_KEY_SIZE`](Self::MIN_KEY_SIZE) and
    /// [`MAX_KEY_SIZE`](Self::MAX_KEY_SIZE). After an error, the tfm refuses requests until a key
    /// is set.
    ///
    /// The context is borrowed exclusively, so that it can hold a plain key without any lock.
    /// This relies on the users of the crypto API: `setkey` is defined to modify the tfm context
    /// and `encrypt`/`decrypt` to only read it, in any number at a time. So nobody may set the key
    /// of a tfm that has requests under way or another `setkey`. The users in the tree see to
    /// that, also on behalf of user space: `AF_ALG` refuses a new key while there are operation
    /// sockets, dm-crypt while the device is not suspended.
    fn set_key(ctx: Pin<&mut Self::Context>, key: &[u8]) -> Result;

    /// Encrypts the data of a request.
    ///
    /// May be called in process or softirq context. It must not sleep unless
    /// [`Request::may_sleep`], and should not allocate memory, because the request may be part of
    /// writing out pages under memory pressure.
    fn encrypt(ctx: &Self::Context, req: &mut Request<'_, Self>) -> Result<Completion>;

    /// Decrypts the data of a request. The rules of [`encrypt`](Self::encrypt) apply.
    fn decrypt(ctx: &Self::Context, req: &mut Request<'_, Self>) -> Result<Completion>;
}

/// How [`Skcipher::encrypt`] or [`Skcipher::decrypt`] left a request that did not fail.
///
/// The driver only says what should happen with the request and does not act on it. So each
/// request is completed exactly once, whatever the driver does.
///
/// The variants that ask for a retry need [`Skcipher::ASYNC`]; otherwise the request fails with
/// [`EINVAL`]. They make the same function be called again for the same request, from a workqueue,
/// as often as it asks for it. [`Request::walk`] then goes on where it stopped. Nothing else is
/// kept from the earlier run. In particular, a driver must not ask for a retry after it modified
/// the data through [`Request::linear`] or [`Request::write_at`].
pub enum Completion {
    /// All data is processed.
    Done,

    /// Try again on the given CPU.
    ///
    /// This is a wish: the retry happens elsewhere if the CPU is or goes offline.
    RetryOn(CpuId),

    /// Try again on the same CPU as soon as the gate is open.
    RetryAfter(&'static Gate),
}

/// What a request asks for.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Direction {
    Encrypt,
    Decrypt,
}
