// SPDX-License-Identifier: GPL-2.0
//! OpenSSL: the one that is installed, opened at run time, so that nobody needs its headers to build this.

use std::ffi::{c_char, c_int, CStr};

use anyhow::{Context, Result};
use libloading::Library;

use super::evp::{Api, Evp};
use super::Roster;

/// A type of which only pointers are passed around.
#[repr(C)]
struct Opaque<const WHICH: u8>([u8; 0]);
type CipherContext = Opaque<0>;
type Cipher = Opaque<1>;
type Engine = Opaque<2>;

const NAME: &str = "openssl";
const LIBRARY: &str = "libcrypto.so.3";

pub(super) fn join(roster: &mut Roster, key: &[u8]) {
    match open(key) {
        Ok((competitor, version)) => {
            roster.competitors.push(Box::new(competitor));
            roster.versions.push(version);
        }
        Err(error) => roster.absent.push((NAME, format!("{error:#}"))),
    }
}

fn open(key: &[u8]) -> Result<(Evp<CipherContext, Cipher, Engine>, String)> {
    // SAFETY: OpenSSL's initialisation has no requirements.
    let library = unsafe { Library::new(LIBRARY) }
        .with_context(|| format!("cannot open {LIBRARY}; is package libssl3 installed?"))?;
    // It stays open for the life of the process: unloading OpenSSL while its exit handlers are registered is not supported.
    let library: &'static Library = Box::leak(Box::new(library));
    let cipher = if key.len() == 64 {
        "EVP_aes_256_xts"
    } else {
        "EVP_aes_128_xts"
    };
    // SAFETY: the types are those of OpenSSL 3's headers.
    let (api, cipher, version) = unsafe {
        let api = Api {
            new: *library.get(b"EVP_CIPHER_CTX_new")?,
            free: *library.get(b"EVP_CIPHER_CTX_free")?,
            init: *library.get(b"EVP_CipherInit_ex")?,
            update: *library.get(b"EVP_CipherUpdate")?,
        };
        let cipher = library.get::<unsafe extern "C" fn() -> *const Cipher>(cipher.as_bytes())?();
        let version =
            library.get::<unsafe extern "C" fn(c_int) -> *const c_char>(b"OpenSSL_version")?(0);
        (api, cipher, CStr::from_ptr(version))
    };
    Ok((
        Evp::new(NAME, api, cipher, key)?,
        version.to_string_lossy().into_owned(),
    ))
}
