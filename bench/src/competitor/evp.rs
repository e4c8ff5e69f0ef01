// SPDX-License-Identifier: GPL-2.0
//! The EVP interface, which OpenSSL and the libraries that come from it share.

use std::ffi::c_int;
use std::ptr;
use std::rc::Rc;

use anyhow::{ensure, Result};

use super::{plain64, Competitor, Kind, Refused, Request};
use crate::workload::Direction;

/// The functions of one library, over its types `EVP_CIPHER_CTX`, `EVP_CIPHER` and `ENGINE`.
pub(super) struct Api<Context, Cipher, Engine> {
    /// `EVP_CIPHER_CTX_new`
    pub(super) new: unsafe extern "C" fn() -> *mut Context,
    /// `EVP_CIPHER_CTX_free`
    pub(super) free: unsafe extern "C" fn(*mut Context),
    /// `EVP_CipherInit_ex`
    pub(super) init: unsafe extern "C" fn(
        *mut Context,
        *const Cipher,
        *mut Engine,
        *const u8,
        *const u8,
        c_int,
    ) -> c_int,
    /// `EVP_CipherUpdate`
    pub(super) update:
        unsafe extern "C" fn(*mut Context, *mut u8, *mut c_int, *const u8, c_int) -> c_int,
}

/// A context that has its key.
struct Keyed<Context, Cipher, Engine> {
    api: Rc<Api<Context, Cipher, Engine>>,
    context: *mut Context,
}

impl<Context, Cipher, Engine> Keyed<Context, Cipher, Engine> {
    fn new(
        api: Rc<Api<Context, Cipher, Engine>>,
        cipher: *const Cipher,
        key: &[u8],
        encrypt: c_int,
    ) -> Result<Self> {
        // SAFETY: takes no arguments.
        let context = unsafe { (api.new)() };
        ensure!(!context.is_null(), "it has no memory for a context");
        let keyed = Self { api, context };
        // SAFETY: the context is fresh, `cipher` is the library's own, and it reads as many bytes of `key` as that cipher's key has.
        let done = unsafe {
            (keyed.api.init)(
                context,
                cipher,
                ptr::null_mut(),
                key.as_ptr(),
                ptr::null(),
                encrypt,
            )
        };
        ensure!(done == 1, "it refused the key");
        Ok(keyed)
    }

    fn crypt(&self, request: &mut Request<'_>) -> Result<(), Refused> {
        let iv = plain64(request.sector);
        let len = c_int::try_from(request.src.len()).map_err(|_| Refused)?;
        let mut written = 0;
        // SAFETY: the context has its key, only the IV is set anew; `src` is readable for `len` bytes and `dst`, which is as long, writable:
        // XTS writes as many bytes as it reads.
        let done = unsafe {
            (self.api.init)(
                self.context,
                ptr::null(),
                ptr::null_mut(),
                ptr::null(),
                iv.as_ptr(),
                -1,
            ) == 1
                && (self.api.update)(
                    self.context,
                    request.dst.as_mut_ptr(),
                    &mut written,
                    request.src.as_ptr(),
                    len,
                ) == 1
        };
        if done && written == len {
            Ok(())
        } else {
            Err(Refused)
        }
    }
}

impl<Context, Cipher, Engine> Drop for Keyed<Context, Cipher, Engine> {
    fn drop(&mut self) {
        // SAFETY: the context came from `new` of the same library and is used no more.
        unsafe { (self.api.free)(self.context) }
    }
}

/// A library behind EVP: one context for each direction, keys set once; a request sets the IV and does the data.
pub(super) struct Evp<Context, Cipher, Engine> {
    name: &'static str,
    encrypt: Keyed<Context, Cipher, Engine>,
    decrypt: Keyed<Context, Cipher, Engine>,
}

impl<Context, Cipher, Engine> Evp<Context, Cipher, Engine> {
    /// `cipher` must be XTS with a key of `key`'s length, from the library that `api` is.
    pub(super) fn new(
        name: &'static str,
        api: Api<Context, Cipher, Engine>,
        cipher: *const Cipher,
        key: &[u8],
    ) -> Result<Self> {
        let api = Rc::new(api);
        Ok(Self {
            name,
            encrypt: Keyed::new(Rc::clone(&api), cipher, key, 1)?,
            decrypt: Keyed::new(api, cipher, key, 0)?,
        })
    }
}

impl<Context, Cipher, Engine> Competitor for Evp<Context, Cipher, Engine> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind {
        Kind::Library
    }

    fn crypt(&mut self, request: &mut Request<'_>) -> Result<(), Refused> {
        match request.direction {
            Direction::Encrypt => self.encrypt.crypt(request),
            Direction::Decrypt => self.decrypt.crypt(request),
        }
    }
}
