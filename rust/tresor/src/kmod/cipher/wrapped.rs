// SPDX-License-Identifier: GPL-2.0

//! The skciphers whose key is a wrapped handle: XTS and CBC, each under two names.
//!
//! `xts(amnesia)` says what it is. `xts(paes)` is what stock cryptsetup knows as a cipher whose key
//! is wrapped: it takes a handle of any length, and neither probes the cipher with a random key nor
//! uses it for its key slots. Behind both is the same code.
//!
//! setkey takes exactly the 128 bytes of a handle, and S must be there: a handle of another S would
//! decrypt to noise, and what is written with it would be lost. One that was verified stays right:
//! S is the same from the first unlock to the reboot (an unlock with another S is refused), so
//! requests need no look at it. The self tests' public S comes before that; a key that was verified
//! with it is of no use afterwards.

use core::marker::PhantomData;

use kernel::{
    crypto::skcipher::Request,
    prelude::*, //
};

use super::{
    super::{
        engine::{
            modes as engine,
            Direction, //
        },
        sha256::KernelSha256,
        state::{self, Phase},
        wrapped, //
    },
    blocks::{
        self,
        AesKey,
        BlockMode,
        Next, //
    },
    xts, Cipher, Mode,
};
use crate::amnesia::wrapped::{
    Wrapped,
    WrappedError,
    SIZE, //
};

/// Under which name.
pub(crate) trait Name: 'static {
    const XTS: &'static CStr;
    const XTS_DRIVER: &'static CStr;
    const CBC: &'static CStr;
    const CBC_DRIVER: &'static CStr;
}

/// The project's own.
pub(crate) struct Amnesia;

impl Name for Amnesia {
    const XTS: &'static CStr = c"xts(amnesia)";
    const XTS_DRIVER: &'static CStr = c"xts-amnesia";
    const CBC: &'static CStr = c"cbc(amnesia)";
    const CBC_DRIVER: &'static CStr = c"cbc-amnesia";
}

/// The one for stock cryptsetup.
pub(crate) struct Paes;

impl Name for Paes {
    const XTS: &'static CStr = c"xts(paes)";
    const XTS_DRIVER: &'static CStr = c"xts-paes-amnesia";
    const CBC: &'static CStr = c"cbc(paes)";
    const CBC_DRIVER: &'static CStr = c"cbc-paes-amnesia";
}

/// A key of a verified handle.
pub(crate) struct Verified<K> {
    key: K,
    /// Verified with the public S of the self tests.
    for_test: bool,
}

impl<K> Verified<K> {
    /// Fails with `EINVAL` for bytes that are no handle, or one whose key is for another cipher;
    /// with `ENOKEY` if there is no S; with `EKEYREJECTED` for a handle of another S, or a forged
    /// one.
    fn new(bytes: &[u8], key_of: impl FnOnce(&Wrapped) -> Option<K>) -> Result<Self> {
        let handle = Wrapped::parse::<KernelSha256>(bytes)?;
        let key = key_of(&handle).ok_or(WrappedError::WrongKind)?;
        wrapped::verify(&handle)?;
        Ok(Self {
            key,
            for_test: state::phase() == Phase::SelfTest,
        })
    }

    /// The key. Fails with `ENOKEY` if it was for the self tests and they are over.
    fn get(&self) -> Result<&K> {
        if self.for_test && state::phase() != Phase::SelfTest {
            return Err(ENOKEY);
        }
        Ok(&self.key)
    }
}

/// XTS with a wrapped handle.
pub(crate) struct WrappedXts<N>(PhantomData<N>);

impl<N: Name> Mode for WrappedXts<N> {
    const NAME: &'static CStr = N::XTS;
    const DRIVER_NAME: &'static CStr = N::XTS_DRIVER;
    const MIN_KEY_SIZE: usize = SIZE;
    const MAX_KEY_SIZE: usize = SIZE;
    const DATA_UNITS: bool = true;

    type Key = Verified<xts::Key>;

    fn key(bytes: &[u8]) -> Result<Self::Key> {
        Verified::new(bytes, |wrapped| {
            Some(xts::Key {
                handle: *wrapped.handle(),
                variant: wrapped.kind().xts()?,
            })
        })
    }

    fn crypt(key: &Self::Key, direction: Direction, req: &mut Request<'_, Cipher<Self>>) -> Result {
        xts::crypt(key.get()?, direction, req)
    }
}

/// CBC with a wrapped handle.
pub(crate) struct WrappedCbc<N>(PhantomData<N>);

impl<N: Name> Mode for WrappedCbc<N> {
    const NAME: &'static CStr = N::CBC;
    const DRIVER_NAME: &'static CStr = N::CBC_DRIVER;
    const MIN_KEY_SIZE: usize = SIZE;
    const MAX_KEY_SIZE: usize = SIZE;

    type Key = Verified<AesKey>;

    fn key(bytes: &[u8]) -> Result<Self::Key> {
        Verified::new(bytes, |wrapped| {
            Some(AesKey {
                handle: *wrapped.handle(),
                size: wrapped.kind().cbc()?,
            })
        })
    }

    fn crypt(key: &Self::Key, direction: Direction, req: &mut Request<'_, Cipher<Self>>) -> Result {
        key.get()?;
        blocks::crypt(key, direction, req)
    }
}

impl<N: Name> BlockMode for WrappedCbc<N> {
    const NEXT: Next = Next::Ciphertext;

    fn aes_key(key: &Self::Key) -> &AesKey {
        &key.key
    }

    fn engine(_key: &Self::Key, _offset: usize) -> engine::Mode<'_> {
        engine::Mode::Cbc
    }
}
