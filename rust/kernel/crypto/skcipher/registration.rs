// SPDX-License-Identifier: GPL-2.0

//! Registration of an algorithm, and the functions by which the crypto API calls it.

use super::{
    retry::{
        self,
        Retry,
        RetryQueue, //
    },
    Direction,
    Skcipher, //
};
use crate::{
    bindings,
    container_of,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    sync::atomic::{
        ordering::{
            Acquire,
            Release, //
        },
        Atomic, //
    },
    types::Opaque,
    warn_on, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    slice, //
};

/// What the crypto API and all tfms refer to.
struct Algorithm<T: Skcipher> {
    alg: Opaque<bindings::skcipher_alg>,
    /// Some for asynchronous algorithms.
    queue: Option<RetryQueue>,
    /// Set when the crypto API has put its last reference.
    released: Atomic<bool>,
    _driver: PhantomData<fn() -> T>,
}

/// The registration of a symmetric key cipher. It ends when this value is dropped.
///
/// # Invariants
///
/// `algorithm` is registered, and is not moved.
pub struct Registration<T: Skcipher> {
    algorithm: ManuallyDrop<Pin<KBox<Algorithm<T>>>>,
}

// SAFETY: Algorithms can be unregistered from any thread.
unsafe impl<T: Skcipher> Send for Registration<T> {}
// SAFETY: There is nothing that can be done with a shared reference.
unsafe impl<T: Skcipher> Sync for Registration<T> {}

impl<T: Skcipher> Registration<T> {
    /// Registers the algorithm `T`, which is a part of `module`.
    ///
    /// The self tests of the crypto API may run at once or later in the boot.
    pub fn new(module: &'static ThisModule) -> Result<Self> {
        let queue = if T::ASYNC {
            Some(RetryQueue::new(T::DRIVER_NAME)?)
        } else {
            None
        };
        let algorithm = KBox::pin(
            Algorithm {
                alg: Opaque::new(Algorithm::<T>::build(module)),
                queue,
                released: Atomic::new(false),
                _driver: PhantomData,
            },
            GFP_KERNEL,
        )?;
        // SAFETY: `build()` fills in everything that the crypto API wants. The memory is pinned
        // and is not freed before the crypto API has put its last reference.
        to_result(unsafe { bindings::crypto_register_skcipher(algorithm.alg.get()) })?;
        // INVARIANT: Registered, and pinned.
        Ok(Self {
            algorithm: ManuallyDrop::new(algorithm),
        })
    }
}

impl<T: Skcipher> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: Registered by the type invariants.
        unsafe { bindings::crypto_unregister_skcipher(self.algorithm.alg.get()) };

        // A module cannot be unloaded while there are tfms, so the registration of one that drops
        // it only there is free of them. Otherwise the memory has to stay for them.
        if !warn_on!(!self.algorithm.released.load(Acquire)) {
            // SAFETY: This is the only place where it is dropped, and it is not used after this.
            unsafe { ManuallyDrop::drop(&mut self.algorithm) };
        }
    }
}

/// Returns the retry queue of the algorithm of a tfm.
///
/// # Safety
///
/// `tfm` must be a valid tfm of the algorithm `T`, and stay so for `'a`.
pub(super) unsafe fn queue<'a, T: Skcipher>(
    tfm: *mut bindings::crypto_skcipher,
) -> Option<&'a RetryQueue> {
    // SAFETY: A tfm refers to its algorithm, which in the case of `T` is always part of an
    // `Algorithm<T>`, and keeps it alive. `queue` does not change.
    unsafe {
        let alg = bindings::crypto_skcipher_alg(tfm).cast::<Opaque<bindings::skcipher_alg>>();
        (*container_of!(alg, Algorithm<T>, alg)).queue.as_ref()
    }
}

impl<T: Skcipher> Algorithm<T> {
    /// Returns the description of the algorithm for the crypto API.
    fn build(module: &'static ThisModule) -> bindings::skcipher_alg {
        const {
            // The memory of tfms and requests comes from `kmalloc()`.
            assert!(align_of::<T::Context>() <= bindings::ARCH_KMALLOC_MINALIGN);
            assert!(align_of::<Retry>() <= bindings::ARCH_KMALLOC_MINALIGN);
            assert!(size_of::<T::Context>() <= c_int::MAX as usize);
            assert!(T::PRIORITY <= c_int::MAX as u32);
            assert!(T::MIN_KEY_SIZE <= T::MAX_KEY_SIZE);
            assert!(T::MAX_KEY_SIZE <= c_int::MAX as usize);
            // The limits of the crypto API for these are lower and are checked by it.
            assert!(T::BLOCK_SIZE <= c_int::MAX as usize);
            assert!(T::CHUNK_SIZE <= c_int::MAX as usize);
            assert!(T::WALK_SIZE <= c_int::MAX as usize);
            assert!(T::IV_SIZE <= c_int::MAX as usize);
            // With the terminating zero.
            assert!(T::NAME.to_bytes().len() < bindings::CRYPTO_MAX_ALG_NAME as usize);
            assert!(T::DRIVER_NAME.to_bytes().len() < bindings::CRYPTO_MAX_ALG_NAME as usize);
        }

        let (flags, reqsize) = if T::ASYNC {
            (bindings::CRYPTO_ALG_ASYNC, size_of::<Retry>())
        } else {
            (0, 0)
        };
        let data_units = if T::DATA_UNITS {
            bindings::CRYPTO_ALG_DATA_UNITS
        } else {
            0
        };
        let base = bindings::crypto_alg {
            cra_name: name_array(T::NAME),
            cra_driver_name: name_array(T::DRIVER_NAME),
            cra_priority: T::PRIORITY as c_int,
            cra_flags: flags | data_units,
            cra_blocksize: T::BLOCK_SIZE as c_uint,
            cra_ctxsize: size_of::<T::Context>() as c_uint,
            cra_reqsize: reqsize as c_uint,
            cra_destroy: Some(Self::released_callback),
            cra_module: module.as_ptr(),
            ..Default::default()
        };
        let common = bindings::skcipher_alg_common {
            min_keysize: T::MIN_KEY_SIZE as c_uint,
            max_keysize: T::MAX_KEY_SIZE as c_uint,
            ivsize: T::IV_SIZE as c_uint,
            chunksize: T::CHUNK_SIZE as c_uint,
            base,
            ..Default::default()
        };

        bindings::skcipher_alg {
            setkey: Some(Self::set_key_callback),
            encrypt: Some(Self::encrypt_callback),
            decrypt: Some(Self::decrypt_callback),
            init: Some(Self::init_callback),
            exit: Some(Self::exit_callback),
            walksize: T::WALK_SIZE as c_uint,
            __bindgen_anon_1: bindings::skcipher_alg__bindgen_ty_1 { co: common },
            ..Default::default()
        }
    }

    /// # Safety
    ///
    /// To be called by the crypto API only, for a new tfm of this algorithm.
    unsafe extern "C" fn init_callback(tfm: *mut bindings::crypto_skcipher) -> c_int {
        from_result(|| {
            // SAFETY: The context has `cra_ctxsize` bytes, is aligned, not yet in use and does not
            // move. On an error, the crypto API frees it without a call of `exit`.
            unsafe {
                let ctx = bindings::crypto_skcipher_ctx(tfm).cast::<T::Context>();
                pin_init::raw_try_init(ctx, T::init())?;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// To be called by the crypto API only, for the last use of a tfm of this algorithm.
    unsafe extern "C" fn exit_callback(tfm: *mut bindings::crypto_skcipher) {
        // SAFETY: `init` succeeded, and the context is not used after this.
        unsafe {
            bindings::crypto_skcipher_ctx(tfm)
                .cast::<T::Context>()
                .drop_in_place()
        };
    }

    /// # Safety
    ///
    /// To be called by the crypto API only, for a tfm of this algorithm without requests.
    unsafe extern "C" fn set_key_callback(
        tfm: *mut bindings::crypto_skcipher,
        key: *const u8,
        len: c_uint,
    ) -> c_int {
        from_result(|| {
            let key = if len == 0 {
                &[]
            } else {
                // SAFETY: The crypto API supplies `len` bytes that do not change meanwhile.
                unsafe { slice::from_raw_parts(key, len as usize) }
            };
            // SAFETY: The context is initialised and does not move. Nobody else uses it: users of
            // the API do not set a key while there are requests, nor two at a time; see
            // `Skcipher::set_key()`.
            let ctx = unsafe {
                Pin::new_unchecked(&mut *bindings::crypto_skcipher_ctx(tfm).cast::<T::Context>())
            };
            T::set_key(ctx, key)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// To be called by the crypto API only, for a valid request for a tfm of this algorithm.
    unsafe extern "C" fn encrypt_callback(req: *mut bindings::skcipher_request) -> c_int {
        // SAFETY: Guaranteed by the caller.
        unsafe { retry::serve_new::<T>(req, Direction::Encrypt) }
    }

    /// # Safety
    ///
    /// To be called by the crypto API only, for a valid request for a tfm of this algorithm.
    unsafe extern "C" fn decrypt_callback(req: *mut bindings::skcipher_request) -> c_int {
        // SAFETY: Guaranteed by the caller.
        unsafe { retry::serve_new::<T>(req, Direction::Decrypt) }
    }

    /// # Safety
    ///
    /// To be called by the crypto API only, as the last use of `alg`, which is this algorithm.
    unsafe extern "C" fn released_callback(alg: *mut bindings::crypto_alg) {
        // SAFETY: `alg` is inside the `skcipher_alg` of an `Algorithm<T>`. `Registration` does not
        // free it before the store, after which it is not used here.
        unsafe {
            let alg = container_of!(alg, bindings::skcipher_alg, __bindgen_anon_1.co.base);
            let alg = alg.cast::<Opaque<bindings::skcipher_alg>>();
            (*container_of!(alg, Self, alg))
                .released
                .store(true, Release);
        }
    }
}

/// Returns a name as a C array. The caller has checked that it fits.
fn name_array(name: &CStr) -> [c_char; bindings::CRYPTO_MAX_ALG_NAME as usize] {
    let mut array = [0; bindings::CRYPTO_MAX_ALG_NAME as usize];
    for (to, from) in array.iter_mut().zip(name.to_bytes()) {
        *to = *from;
    }
    array
}
