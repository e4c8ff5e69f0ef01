// SPDX-License-Identifier: GPL-2.0

//! The data of a request, in contiguous pieces.

use crate::{
    bindings,
    error::to_result,
    prelude::*, //
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit, //
};

/// A part of the data of a request that is contiguous in memory: the source and the destination.
///
/// The two are the same memory, or do not overlap. The memory may be mapped elsewhere and change
/// at any time, even by user space. So there are no Rust references to it: assembly gets the
/// pointers, and [`read`](Self::read) and [`write`](Self::write) copy.
///
/// # Invariants
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, for the lifetime `'a`.
pub struct Chunk<'a> {
    src: *const u8,
    dst: *mut u8,
    len: usize,
    offset: usize,
    _data: PhantomData<&'a mut [u8]>,
}

impl Chunk<'_> {
    /// # Safety
    ///
    /// `src` must be valid for reads and `dst` for writes of `len` bytes while the value exists.
    pub(super) unsafe fn new(src: *const u8, dst: *mut u8, len: usize, offset: usize) -> Self {
        // INVARIANT: Guaranteed by the caller.
        Self {
            src,
            dst,
            len,
            offset,
            _data: PhantomData,
        }
    }

    /// The data to process, [`len`](Self::len) readable bytes.
    pub fn src(&self) -> *const u8 {
        self.src
    }

    /// Where the result goes, [`len`](Self::len) writable bytes.
    pub fn dst(&self) -> *mut u8 {
        self.dst
    }

    /// Length in bytes, never 0.
    #[expect(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Position of the chunk within the data of the request, in bytes.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns [`EINVAL`] unless `len` bytes at `at` are inside the chunk.
    fn check(&self, at: usize, len: usize) -> Result {
        match at.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(EINVAL),
        }
    }

    /// Copies source bytes from position `at` of the chunk.
    ///
    /// Meant for simple or rare code: it goes byte by byte. [`EINVAL`] if not all of it is inside
    /// the chunk.
    pub fn read(&self, at: usize, buf: &mut [u8]) -> Result {
        self.check(at, buf.len())?;
        for (i, byte) in buf.iter_mut().enumerate() {
            // SAFETY: In bounds as checked above, and valid by the type invariant. Volatile, as
            // the memory may change under us.
            *byte = unsafe { self.src.add(at + i).read_volatile() };
        }
        Ok(())
    }

    /// Copies bytes to position `at` of the destination. See [`read`](Self::read).
    pub fn write(&self, at: usize, buf: &[u8]) -> Result {
        self.check(at, buf.len())?;
        for (i, byte) in buf.iter().enumerate() {
            // SAFETY: As in `read()`.
            unsafe { self.dst.add(at + i).write_volatile(*byte) };
        }
        Ok(())
    }
}

/// How a walk ended that did not reach its end.
pub(super) enum Stop {
    /// The caller's function returned an error for a chunk. All before is processed.
    Refused(Error),
    /// The walk itself failed. It is not known what became of the last chunk.
    Broken(Error),
}

/// Calls `f` for each chunk of the data of `raw` between `*progress` and `end`, and advances
/// `*progress`.
///
/// # Safety
///
/// `raw` must be a valid request that nobody else uses, with at least `end` bytes of data.
pub(super) unsafe fn walk(
    raw: *mut bindings::skcipher_request,
    progress: &mut usize,
    end: usize,
    mut f: impl FnMut(&Chunk<'_>) -> Result<usize>,
) -> Result<(), Stop> {
    let start = *progress;
    if start >= end {
        return Ok(());
    }

    // A request for just this part of the data. It lives on the stack and has no request context;
    // the walk does not need one.
    let mut part: bindings::skcipher_request = Default::default();
    let mut src = MaybeUninit::<[bindings::scatterlist; 2]>::uninit();
    let mut dst = MaybeUninit::<[bindings::scatterlist; 2]>::uninit();

    // CAST: `start` and `end` are at most the C field `cryptlen`, an `unsigned int`.
    part.cryptlen = (end - start) as c_uint;
    // SAFETY: The caller guarantees a valid request. Its lists have more than `start` bytes, so
    // that `scatterwalk_ffwd()` finds its place; it initialises the two entries as needed.
    unsafe {
        part.base.tfm = (*raw).base.tfm;
        part.base.flags = (*raw).base.flags;
        part.iv = (*raw).iv;
        part.src = bindings::scatterwalk_ffwd(src.as_mut_ptr().cast(), (*raw).src, start as c_uint);
        part.dst = bindings::scatterwalk_ffwd(dst.as_mut_ptr().cast(), (*raw).dst, start as c_uint);
    }

    let mut state = MaybeUninit::<bindings::skcipher_walk>::zeroed();
    let state = state.as_mut_ptr();

    // SAFETY: `part` is a valid request, and like `state` and the lists it lives until the end of
    // this function, which ends the walk in all cases.
    let mut ret = unsafe { bindings::skcipher_walk_virt(state, &mut part, false) };

    loop {
        // SAFETY: `state` was initialised above.
        let left = unsafe { (*state).nbytes };
        if left == 0 {
            break;
        }
        let len = left as usize;

        // SAFETY: `nbytes` is not 0, so the walk is inside a step, and these are its addresses.
        // They are valid until the step is done.
        let chunk = unsafe {
            Chunk::new(
                (*state).__bindgen_anon_1.src.virt.addr.cast(),
                (*state).__bindgen_anon_2.dst.virt.addr.cast(),
                len,
                *progress,
            )
        };

        let result = match f(&chunk) {
            Ok(done) if (1..=len).contains(&done) => Ok(done),
            // More than there is, or nothing, which would go on forever.
            Ok(_) => Err(Stop::Broken(EINVAL)),
            Err(e) => Err(Stop::Refused(e)),
        };
        let step = match &result {
            // CAST: At most `nbytes`, and a step is not longer than a page.
            Ok(done) => (len - done) as c_int,
            Err(Stop::Refused(e) | Stop::Broken(e)) => e.to_errno(),
        };
        // SAFETY: The walk is inside a step; `chunk` is not used any more. A negative value ends
        // the walk.
        ret = unsafe { bindings::skcipher_walk_done(state, step) };

        *progress += result?;
    }

    to_result(ret).map_err(Stop::Broken)
}
