// SPDX-License-Identifier: GPL-2.0

//! The skciphers `ecb(tresor)`, `cbc(tresor)`, `essiv(cbc(tresor),sha256)` and `ctr(tresor)`.
//!
//! The crypto API could make the third of the second with its template, and of a single-block
//! cipher `tresor`. But the functions of such a cipher cannot fail and cannot wait. Without S it
//! would have nothing to give but wrong IVs. So it is an algorithm of its own, which does the same:
//! the IV is encrypted with AES-256 whose key is SHA-256 of the data's key. To both of them, "key"
//! is the public handle.

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
    },
    blocks::{
        self,
        AesKey,
        BlockMode,
        Next, //
    },
    Cipher, Mode, BLOCK,
};
use crate::handle::{Handle, KeySize};

/// `ecb(tresor)`: each block on its own. For building other things, never for a disk.
pub(crate) struct Ecb;

impl Mode for Ecb {
    const NAME: &'static CStr = c"ecb(tresor)";
    const DRIVER_NAME: &'static CStr = c"ecb-tresor";
    const IV_SIZE: usize = 0;
    const MIN_KEY_SIZE: usize = KeySize::Aes128.key_len();
    const MAX_KEY_SIZE: usize = KeySize::Aes256.key_len();

    type Key = AesKey;

    fn key(bytes: &[u8]) -> Result<AesKey> {
        AesKey::derived(bytes)
    }

    fn crypt(key: &AesKey, direction: Direction, req: &mut Request<'_, Cipher<Self>>) -> Result {
        blocks::crypt(key, direction, req)
    }
}

impl BlockMode for Ecb {
    const NEXT: Next = Next::Nothing;

    fn aes_key(key: &AesKey) -> &AesKey {
        key
    }

    fn engine(_key: &AesKey, _offset: usize) -> engine::Mode<'_> {
        engine::Mode::Ecb
    }

    fn iv(_req: &Request<'_, Cipher<Self>>) -> [u8; BLOCK] {
        [0; BLOCK]
    }

    fn set_iv(_req: &mut Request<'_, Cipher<Self>>, _iv: &[u8; BLOCK]) {}
}

/// `cbc(tresor)`.
pub(crate) struct Cbc;

impl Mode for Cbc {
    const NAME: &'static CStr = c"cbc(tresor)";
    const DRIVER_NAME: &'static CStr = c"cbc-tresor";
    const MIN_KEY_SIZE: usize = KeySize::Aes128.key_len();
    const MAX_KEY_SIZE: usize = KeySize::Aes256.key_len();

    type Key = AesKey;

    fn key(bytes: &[u8]) -> Result<AesKey> {
        AesKey::derived(bytes)
    }

    fn crypt(key: &AesKey, direction: Direction, req: &mut Request<'_, Cipher<Self>>) -> Result {
        blocks::crypt(key, direction, req)
    }
}

impl BlockMode for Cbc {
    const NEXT: Next = Next::Ciphertext;

    fn aes_key(key: &AesKey) -> &AesKey {
        key
    }

    fn engine(_key: &AesKey, _offset: usize) -> engine::Mode<'_> {
        engine::Mode::Cbc
    }
}

/// The two keys of CBC with ESSIV.
pub(crate) struct EssivKey {
    data: AesKey,
    iv: Handle,
}

/// `essiv(cbc(tresor),sha256)`: CBC from an encrypted IV. A request that goes on elsewhere has a
/// chaining value as IV by then, which is not encrypted again.
pub(crate) struct EssivCbc;

impl Mode for EssivCbc {
    const NAME: &'static CStr = c"essiv(cbc(tresor),sha256)";
    const DRIVER_NAME: &'static CStr = c"essiv-cbc-tresor-sha256";
    const MIN_KEY_SIZE: usize = KeySize::Aes128.key_len();
    const MAX_KEY_SIZE: usize = KeySize::Aes256.key_len();

    type Key = EssivKey;

    fn key(bytes: &[u8]) -> Result<EssivKey> {
        Ok(EssivKey {
            data: AesKey::derived(bytes)?,
            iv: Handle::derived_essiv::<KernelSha256>(bytes),
        })
    }

    fn crypt(key: &EssivKey, direction: Direction, req: &mut Request<'_, Cipher<Self>>) -> Result {
        blocks::crypt(key, direction, req)
    }
}

impl BlockMode for EssivCbc {
    const NEXT: Next = Next::Ciphertext;

    fn aes_key(key: &EssivKey) -> &AesKey {
        &key.data
    }

    fn engine(key: &EssivKey, offset: usize) -> engine::Mode<'_> {
        match offset {
            0 => engine::Mode::EssivCbc(&key.iv),
            _ => engine::Mode::Cbc,
        }
    }
}

/// `ctr(tresor)`: a stream cipher. The counter is all 16 bytes, big-endian, and wraps.
pub(crate) struct Ctr;

impl Mode for Ctr {
    const NAME: &'static CStr = c"ctr(tresor)";
    const DRIVER_NAME: &'static CStr = c"ctr-tresor";
    const BLOCK_SIZE: usize = 1;
    const MIN_KEY_SIZE: usize = KeySize::Aes128.key_len();
    const MAX_KEY_SIZE: usize = KeySize::Aes256.key_len();

    type Key = AesKey;

    fn key(bytes: &[u8]) -> Result<AesKey> {
        AesKey::derived(bytes)
    }

    fn crypt(key: &AesKey, direction: Direction, req: &mut Request<'_, Cipher<Self>>) -> Result {
        blocks::crypt(key, direction, req)
    }
}

impl BlockMode for Ctr {
    const NEXT: Next = Next::Counter;

    fn aes_key(key: &AesKey) -> &AesKey {
        key
    }

    fn engine(_key: &AesKey, _offset: usize) -> engine::Mode<'_> {
        engine::Mode::Ctr
    }
}
