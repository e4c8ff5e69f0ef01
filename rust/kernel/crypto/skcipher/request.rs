// SPDX-License-Identifier: GPL-2.0

//! A request to encrypt or decrypt some data.

use super::{
    walk::{
        self,
        Chunk,
        Stop, //
    },
    Skcipher, //
};
use crate::{
    bindings,
    prelude::*, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// A request while a driver serves it.
///
/// # Invariants
///
/// - `raw` points to a valid `struct skcipher_request` for a tfm of the algorithm `T`. It belongs
///   to this value alone: its user does not touch it or its data until it is completed.
/// - `progress` is at most `cryptlen`.
pub struct Request<'a, T: Skcipher> {
    raw: NonNull<bindings::skcipher_request>,
    progress: usize,
    is_retry: bool,
    broken: Option<Error>,
    _request: PhantomData<&'a mut bindings::skcipher_request>,
    _driver: PhantomData<fn() -> T>,
}

impl<T: Skcipher> Request<'_, T> {
    /// Wraps a request. For a retry, `progress` is that of the earlier run.
    ///
    /// # Safety
    ///
    /// `raw` must point to a valid request for a tfm of the algorithm `T`. It must stay valid and
    /// unused by others while the value exists. `progress` must not be more than its `cryptlen`.
    pub(super) unsafe fn from_raw(
        raw: NonNull<bindings::skcipher_request>,
        progress: Option<usize>,
    ) -> Self {
        // INVARIANT: Guaranteed by the caller.
        Self {
            raw,
            progress: progress.unwrap_or(0),
            is_retry: progress.is_some(),
            broken: None,
            _request: PhantomData,
            _driver: PhantomData,
        }
    }

    /// Returns the C request.
    fn raw(&self) -> &bindings::skcipher_request {
        // SAFETY: Valid, and not modified by others, by the type invariants. This module writes
        // only to what its pointers point at.
        unsafe { self.raw.as_ref() }
    }

    /// Returns why the request cannot be retried, if so.
    pub(super) fn broken(&self) -> Option<Error> {
        self.broken
    }

    /// Length of the data in bytes.
    pub fn cryptlen(&self) -> usize {
        self.raw().cryptlen as usize
    }

    /// Bytes of each data unit.
    ///
    /// Each is processed as if it were a request of its own, whose initialisation vector is that of
    /// this request plus the number of the data unit. The addition is on the first eight bytes,
    /// little-endian, modulo 2^64. The user of the API need not have chosen a divisor of
    /// [`cryptlen`](Self::cryptlen). Without [`Skcipher::DATA_UNITS`] there is only one data unit.
    pub fn data_unit_size(&self) -> usize {
        match self.raw().data_unit_size {
            0 => self.cryptlen(),
            size => size as usize,
        }
    }

    /// Returns a copy of the initialisation vector.
    ///
    /// `N` must be [`Skcipher::IV_SIZE`], which is checked at build time.
    pub fn iv<const N: usize>(&self) -> [u8; N] {
        const { assert!(N == T::IV_SIZE) };
        let mut iv = [0; N];
        // SAFETY: The user of the API supplies as many bytes as the algorithm has declared. The
        // copy is a local variable.
        unsafe { self.raw().iv.copy_to_nonoverlapping(iv.as_mut_ptr(), N) };
        iv
    }

    /// Replaces the initialisation vector.
    ///
    /// For modes of operation in which the next request may continue this one.
    pub fn set_iv<const N: usize>(&mut self, iv: &[u8; N]) {
        const { assert!(N == T::IV_SIZE) };
        // SAFETY: As in `iv()`; the API defines this memory as updated by the algorithm.
        unsafe { self.raw().iv.copy_from_nonoverlapping(iv.as_ptr(), N) };
    }

    /// Whether serving this request may sleep.
    pub fn may_sleep(&self) -> bool {
        self.raw().base.flags & bindings::CRYPTO_TFM_REQ_MAY_SLEEP != 0
    }

    /// Whether the user of the API can be held up when too many requests wait.
    pub(super) fn may_backlog(&self) -> bool {
        self.raw().base.flags & bindings::CRYPTO_TFM_REQ_MAY_BACKLOG != 0
    }

    /// Whether an earlier run has asked for a retry.
    ///
    /// If so, the driver now runs in a workqueue.
    pub fn is_retry(&self) -> bool {
        self.is_retry
    }

    /// How many bytes from the start were processed by [`walk`](Self::walk), in this and in
    /// earlier runs.
    pub fn progress(&self) -> usize {
        self.progress
    }

    /// Returns all data as a single chunk where that is possible without any preparation.
    ///
    /// This is a fast path: most requests of disk encryption consist of one piece. [`None`] only
    /// means that [`walk`](Self::walk) must be used. Unlike in a walk, the length of the chunk is
    /// not limited to a page.
    pub fn linear(&mut self) -> Option<Chunk<'_>> {
        let len = self.cryptlen();
        // As in the C drivers that do the same, only for an architecture which needs neither to
        // map pages nor to flush a cache after writing to them.
        if !cfg!(CONFIG_X86_64) || self.progress != 0 || len == 0 {
            return None;
        }

        let (src, dst) = (self.raw().src, self.raw().dst);
        // SAFETY: A request with data has at least one entry in both lists.
        if unsafe { ((*src).length as usize) < len || ((*dst).length as usize) < len } {
            return None;
        }
        // SAFETY: The entries are longer than the data and their pages are mapped. The request
        // stays borrowed as long as the chunk exists.
        Some(unsafe {
            Chunk::new(
                bindings::sg_virt(src).cast(),
                bindings::sg_virt(dst).cast(),
                len,
                0,
            )
        })
    }

    /// Calls `f` for one [`Chunk`] after the other, until `end` bytes of the request's data are
    /// processed. What is already processed, see [`progress`](Self::progress), is left out.
    ///
    /// `f` returns how many bytes it processed: at least 1, and as much as possible in units of
    /// the block size. The rest is part of the next chunk. An error ends the walk and is returned;
    /// `f` must then not have modified the chunk's data if the driver is to ask for a retry.
    ///
    /// If the request may sleep, the walk does so between chunks, but not while `f` runs.
    ///
    /// [`EINVAL`] if `end` is beyond [`cryptlen`](Self::cryptlen) or if a part of a block is left
    /// over; [`ENOMEM`] if a buffer for data that is scattered in the midst of a block could not be
    /// allocated.
    pub fn walk(&mut self, end: usize, f: impl FnMut(&Chunk<'_>) -> Result<usize>) -> Result {
        self.check(0, end)?;
        // SAFETY: The request is valid and ours alone, and has `end` bytes, as checked above.
        // INVARIANT: `progress` is not advanced beyond `end`.
        match unsafe { walk::walk(self.raw.as_ptr(), &mut self.progress, end, f) } {
            Ok(()) => Ok(()),
            Err(Stop::Refused(e)) => Err(e),
            Err(Stop::Broken(e)) => {
                self.broken = Some(e);
                Err(e)
            }
        }
    }

    /// Returns [`EINVAL`] unless `len` bytes at `offset` are part of the data.
    fn check(&self, offset: usize, len: usize) -> Result {
        match offset.checked_add(len) {
            Some(end) if end <= self.cryptlen() => Ok(()),
            _ => Err(EINVAL),
        }
    }

    /// Copies bytes at position `offset` of the source.
    ///
    /// For the odd end of the data, which some modes of operation treat in a special way.
    /// [`EINVAL`] if not all of it is part of the data.
    pub fn read_at(&self, offset: usize, buf: &mut [u8]) -> Result {
        self.check(offset, buf.len())?;
        // SAFETY: The list has at least `cryptlen` bytes, and the range is inside, as checked
        // above. CAST: `cryptlen` is an `unsigned int`, so are smaller values.
        unsafe {
            bindings::memcpy_from_sglist(
                buf.as_mut_ptr().cast(),
                self.raw().src,
                offset as c_uint,
                buf.len() as c_uint,
            )
        };
        Ok(())
    }

    /// Copies bytes to position `offset` of the destination. See [`read_at`](Self::read_at).
    pub fn write_at(&mut self, offset: usize, buf: &[u8]) -> Result {
        self.check(offset, buf.len())?;
        // SAFETY: As in `read_at()`.
        unsafe {
            bindings::memcpy_to_sglist(
                self.raw().dst,
                offset as c_uint,
                buf.as_ptr().cast(),
                buf.len() as c_uint,
            )
        };
        Ok(())
    }
}
