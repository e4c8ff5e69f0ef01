// SPDX-License-Identifier: GPL-2.0

//! The skciphers: modes of operation of AES whose key is derived from S for each request.
//!
//! A [`Mode`] cuts a request into calls of its engine. What becomes of a request that finds no S is
//! decided here, once for all of them.

use core::marker::PhantomData;

use kernel::{
    crypto::skcipher::{
        Completion,
        Request,
        Skcipher, //
    },
    fpu::{
        self,
        FpuSection, //
    },
    prelude::*,
};

use super::{
    engine::Direction,
    state, //
};

mod blocks;
mod modes;
mod wrapped;
mod xts;

pub(crate) use self::{
    modes::{
        Cbc,
        Ctr,
        Ecb,
        EssivCbc, //
    },
    wrapped::{
        Amnesia,
        Paes,
        WrappedCbc,
        WrappedXts, //
    },
    xts::Xts,
};

/// Bytes of an AES block.
const BLOCK: usize = 16;

/// Bytes done in one section without preemption: a few tens of microseconds on the slowest CPUs
/// that have AES-NI, and some ten times that without.
const SECTION: usize = 4096;

/// The driver names of all ciphers.
#[cfg(CONFIG_CRYPTO_SELFTESTS)]
pub(crate) const DRIVER_NAMES: [&CStr; 9] = [
    Xts::DRIVER_NAME,
    Ecb::DRIVER_NAME,
    Cbc::DRIVER_NAME,
    EssivCbc::DRIVER_NAME,
    Ctr::DRIVER_NAME,
    WrappedXts::<Amnesia>::DRIVER_NAME,
    WrappedXts::<Paes>::DRIVER_NAME,
    WrappedCbc::<Amnesia>::DRIVER_NAME,
    WrappedCbc::<Paes>::DRIVER_NAME,
];

/// This CPU has no S.
const NO_S_HERE: Error = EAGAIN;

/// Runs an engine, which tells whether this CPU has S; or fails with [`NO_S_HERE`], and then the
/// engine has written nothing.
fn section(engine: impl FnOnce(&FpuSection) -> bool) -> Result {
    #[cfg(CONFIG_CRYPTO_SELFTESTS)]
    if super::selftest::wants_retry() {
        return Err(NO_S_HERE);
    }
    fpu::section(|fpu| {
        let has_s = engine(fpu);
        state::note_this_cpu(has_s);
        if has_s {
            Ok(())
        } else {
            Err(NO_S_HERE)
        }
    })?
}

/// What becomes of a request that found no S on its CPU: it goes to one that has it; if there is
/// none, it waits, or fails with `ENOKEY` if that is wanted.
fn without_s() -> Result<Completion> {
    if let Some(cpu) = state::holder() {
        return Ok(Completion::RetryOn(cpu));
    }
    state::note_loss();
    // A self test that has lost its S does not get it back.
    if state::must_fail() {
        return Err(ENOKEY);
    }
    Ok(Completion::RetryAfter(&state::GATE))
}

/// A mode of operation, and the name and sizes (in bytes) of its algorithm; see [`Skcipher`].
pub(crate) trait Mode: Sized + 'static {
    const NAME: &'static CStr;
    const DRIVER_NAME: &'static CStr;
    const BLOCK_SIZE: usize = BLOCK;
    const CHUNK_SIZE: usize = BLOCK;
    const IV_SIZE: usize = BLOCK;
    const MIN_KEY_SIZE: usize;
    const MAX_KEY_SIZE: usize;
    const DATA_UNITS: bool = false;

    /// What setkey leaves in a transform: public handles.
    type Key: Send + Sync + 'static;

    /// Returns the key for the bytes given to setkey. Fails with `EINVAL` if they are none: too few
    /// or too many, or damaged. May sleep.
    fn key(bytes: &[u8]) -> Result<Self::Key>;

    /// Serves a request as far as this CPU can.
    ///
    /// Fails with [`NO_S_HERE`] if another one must go on, and then the request is in a state from
    /// which the same function can: what was done is in its `progress()` and its IV.
    fn crypt(key: &Self::Key, direction: Direction, req: &mut Request<'_, Cipher<Self>>) -> Result;
}

/// The skcipher of a mode.
pub(crate) struct Cipher<M>(PhantomData<M>);

impl<M: Mode> Cipher<M> {
    fn serve(
        key: &Option<M::Key>,
        direction: Direction,
        req: &mut Request<'_, Self>,
    ) -> Result<Completion> {
        let key = key.as_ref().ok_or(ENOKEY)?;
        match M::crypt(key, direction, req) {
            Ok(()) => Ok(Completion::Done),
            Err(error) if error == NO_S_HERE => without_s(),
            Err(error) => Err(error),
        }
    }
}

impl<M: Mode> Skcipher for Cipher<M> {
    type Context = Option<M::Key>;

    const NAME: &'static CStr = M::NAME;
    const DRIVER_NAME: &'static CStr = M::DRIVER_NAME;
    const PRIORITY: u32 = 400;
    const BLOCK_SIZE: usize = M::BLOCK_SIZE;
    const CHUNK_SIZE: usize = M::CHUNK_SIZE;
    const MIN_KEY_SIZE: usize = M::MIN_KEY_SIZE;
    const MAX_KEY_SIZE: usize = M::MAX_KEY_SIZE;
    const IV_SIZE: usize = M::IV_SIZE;
    const ASYNC: bool = true;
    const DATA_UNITS: bool = M::DATA_UNITS;

    fn init() -> impl PinInit<Self::Context, Error> {
        Ok::<_, Error>(None)
    }

    fn set_key(mut context: Pin<&mut Self::Context>, bytes: &[u8]) -> Result {
        context.set(Some(M::key(bytes)?));
        Ok(())
    }

    fn encrypt(key: &Self::Context, req: &mut Request<'_, Self>) -> Result<Completion> {
        Self::serve(key, Direction::Encrypt, req)
    }

    fn decrypt(key: &Self::Context, req: &mut Request<'_, Self>) -> Result<Completion> {
        Self::serve(key, Direction::Decrypt, req)
    }
}
