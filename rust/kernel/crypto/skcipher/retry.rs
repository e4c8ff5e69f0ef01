// SPDX-License-Identifier: GPL-2.0

//! Serving requests, at once or later from a workqueue.

use super::{
    gate::Parked,
    registration,
    Completion,
    Direction,
    Request,
    Skcipher, //
};
use crate::{
    bindings,
    cpu::CpuId,
    cpumask::Cpumask,
    prelude::*,
    static_lock_class,
    types::Opaque,
    warn_on, //
};
use core::ptr::NonNull;

/// The workqueue on which the requests of one algorithm are retried.
///
/// # Invariants
///
/// The pointer is that of a valid workqueue, owned by this value.
pub(super) struct RetryQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: Workqueues can be used and destroyed from any thread.
unsafe impl Send for RetryQueue {}
// SAFETY: Workqueues can be used from any thread.
unsafe impl Sync for RetryQueue {}

impl RetryQueue {
    /// Allocates a workqueue.
    pub(super) fn new(name: &'static CStr) -> Result<Self> {
        // A request can be a part of what frees memory, hence `WQ_MEM_RECLAIM`. The other flags
        // are those of the crypto daemon (`crypto/cryptd.c`), which has the same kind of work.
        let flags = bindings::wq_flags_WQ_MEM_RECLAIM
            | bindings::wq_flags_WQ_CPU_INTENSIVE
            | bindings::wq_flags_WQ_PERCPU;
        // SAFETY: The format takes one string.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(c"%s".as_char_ptr(), flags, 1, name.as_char_ptr())
        };
        // INVARIANT: The workqueue was just allocated.
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }
}

impl Drop for RetryQueue {
    fn drop(&mut self) {
        // SAFETY: The workqueue is valid and not used by anyone else. This waits for retries whose
        // requests are completed but whose work functions have not returned yet.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// A request that waits for its retry; lives in the request's context.
///
/// "Armed" means that all fields are set and that neither a queue nor a gate has it.
#[repr(C)]
pub(super) struct Retry {
    /// First, so that the work function finds the rest.
    work: Opaque<bindings::work_struct>,
    req: NonNull<bindings::skcipher_request>,
    queue: *mut bindings::workqueue_struct,
    cpu: CpuId,
    direction: Direction,
    progress: usize,
    /// Whether the user waits to be told that the request has left the backlog.
    pub(super) backlogged: bool,
    /// Link of the list of a [`Gate`](super::Gate).
    pub(super) next: *mut Retry,
}

impl Retry {
    /// Prepares a retry on the given CPU. The caller has to hand it over to [`Self::queue`] or to
    /// a gate.
    ///
    /// # Safety
    ///
    /// - `raw` must be a valid request for a tfm of the algorithm `T`, with a context of the size
    ///   of `Self`, that belongs to the caller and of which `progress` bytes are processed.
    /// - It must not be queued. Its work function may be running, if that does not use the request
    ///   any more.
    unsafe fn arm<T: Skcipher>(
        raw: NonNull<bindings::skcipher_request>,
        queue: &RetryQueue,
        cpu: CpuId,
        direction: Direction,
        progress: usize,
    ) -> *mut Self {
        // SAFETY: The caller guarantees a context that is large enough. It is aligned, as the
        // registration checks at build time, and not in use.
        unsafe {
            let retry = bindings::skcipher_request_ctx(raw.as_ptr()).cast::<Self>();
            retry.write(Self {
                work: Opaque::uninit(),
                req: raw,
                queue: queue.0.as_ptr(),
                cpu,
                direction,
                progress,
                backlogged: false,
                next: core::ptr::null_mut(),
            });
            // The work item is always initialised anew. Otherwise the workqueue would remember
            // where it is running at this moment and queue it there again instead of on the
            // wanted CPU.
            bindings::init_work_with_key(
                Opaque::cast_into(&raw const (*retry).work),
                Some(Self::run::<T>),
                false,
                c"skcipher retry".as_char_ptr(),
                static_lock_class!().as_ptr(),
            );
            retry
        }
    }

    /// Queues an armed retry. May be called in any context.
    ///
    /// # Safety
    ///
    /// `this` must point to an armed retry. The caller gives it up: the request can be completed
    /// and gone when this function returns.
    pub(super) unsafe fn queue(this: *mut Self) {
        // SAFETY: The mask is a static variable. It is only read here, bit by bit and atomically.
        let online = unsafe { Cpumask::from_raw(&raw const bindings::__cpu_online_mask) };
        // SAFETY: The retry is valid, and the caller's until it is queued. The workqueue exists as
        // long as there are requests.
        unsafe {
            let cpu = (*this).cpu;
            // A CPU that has never been online has no workers. One that goes offline just now has
            // them moved away, which is fine.
            let cpu = if online.test(cpu) {
                i32::from(cpu)
            } else {
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int
            };
            // Cannot fail: a newly initialised work item is not queued.
            bindings::queue_work_on(
                cpu,
                (*this).queue,
                Opaque::cast_into(&raw const (*this).work),
            );
        }
    }

    /// The work function.
    ///
    /// # Safety
    ///
    /// To be called by the workqueue only, for the work item of a retry armed for `T`.
    unsafe extern "C" fn run<T: Skcipher>(work: *mut bindings::work_struct) {
        let this = work.cast::<Self>();
        // SAFETY: `work` is the first field. `queue()` handed the retry over to this function, and
        // `arm()` was given a valid request for `T`.
        let (raw, answer) = unsafe {
            let raw = (*this).req;
            let (direction, progress) = ((*this).direction, (*this).progress);
            if (*this).backlogged {
                // The first of two calls, which does not end the request.
                complete(raw, EINPROGRESS.to_errno());
            }
            (raw, serve::<T>(raw, direction, Some(progress)))
        };
        if let Answer::Complete(result) = answer {
            // SAFETY: The request is still ours, and is not used after this.
            unsafe { complete(raw, to_errno(result)) };
        }
    }
}

/// Calls the user's callback, which expects softirqs to be off, as in a completion by an interrupt.
///
/// # Safety
///
/// `raw` must be a request that belongs to the caller, who gives it up unless `code` is that of
/// [`EINPROGRESS`].
unsafe fn complete(raw: NonNull<bindings::skcipher_request>, code: c_int) {
    // SAFETY: Guaranteed by the caller.
    unsafe {
        bindings::local_bh_disable();
        bindings::skcipher_request_complete(raw.as_ptr(), code);
        bindings::local_bh_enable();
    }
}

/// What is to be said to the user of a request.
enum Answer {
    /// It is complete.
    Complete(Result),
    /// It was handed over for a retry, and must not be touched any more.
    Later,
    /// As [`Later`](Self::Later), and the user should wait until he is told.
    Backlogged,
}

/// Returns the C form of a result.
fn to_errno(result: Result) -> c_int {
    match result {
        Ok(()) => 0,
        Err(e) => e.to_errno(),
    }
}

/// Serves a new request, as the C function `encrypt` or `decrypt` of an algorithm.
///
/// # Safety
///
/// `raw` must be a valid request for a tfm of the algorithm `T`, handed over by its user.
pub(super) unsafe fn serve_new<T: Skcipher>(
    raw: *mut bindings::skcipher_request,
    direction: Direction,
) -> c_int {
    let Some(raw) = NonNull::new(raw) else {
        return EINVAL.to_errno();
    };
    // SAFETY: Guaranteed by the caller.
    match unsafe { serve::<T>(raw, direction, None) } {
        Answer::Complete(result) => to_errno(result),
        Answer::Later => EINPROGRESS.to_errno(),
        Answer::Backlogged => EBUSY.to_errno(),
    }
}

/// Lets the driver serve a request, and hands it over for a retry if the driver asks for one.
///
/// # Safety
///
/// `raw` must be a valid request for a tfm of the algorithm `T` that belongs to the caller.
/// `progress` must be given in a retry, and be how much is processed.
unsafe fn serve<T: Skcipher>(
    raw: NonNull<bindings::skcipher_request>,
    direction: Direction,
    progress: Option<usize>,
) -> Answer {
    // SAFETY: Guaranteed by the caller. The value is not used once the request is handed over.
    let mut req = unsafe { Request::<T>::from_raw(raw, progress) };

    // SAFETY: A valid request has a valid tfm, whose algorithm is `T`. Its context was initialised
    // with the tfm, which outlives the request. It is not borrowed mutably, because the users of
    // the API do not set a key while a request is under way.
    let (ctx, queue) = unsafe {
        let tfm = bindings::crypto_skcipher_reqtfm(raw.as_ptr());
        (
            &*bindings::crypto_skcipher_ctx(tfm).cast::<T::Context>(),
            registration::queue::<T>(tfm),
        )
    };

    let outcome = match direction {
        Direction::Encrypt => T::encrypt(ctx, &mut req),
        Direction::Decrypt => T::decrypt(ctx, &mut req),
    };
    let (cpu, gate) = match outcome {
        Ok(Completion::Done) => return Answer::Complete(Ok(())),
        // To the user of the API these two mean that the request is queued.
        Err(e) if e == EINPROGRESS || e == EBUSY => return Answer::Complete(Err(EIO)),
        Err(e) => return Answer::Complete(Err(e)),
        Ok(Completion::RetryOn(cpu)) => (cpu, None),
        Ok(Completion::RetryAfter(gate)) => (CpuId::current(), Some(gate)),
    };

    if let Some(e) = req.broken() {
        return Answer::Complete(Err(e));
    }
    let Some(queue) = queue else {
        warn_on!(true);
        return Answer::Complete(Err(EINVAL));
    };
    let (accepted, may_backlog) = (req.is_retry(), req.may_backlog());
    // SAFETY: An algorithm with a queue has request contexts of the right size. The request is the
    // caller's, and neither it nor its context is used after this unless it is refused.
    unsafe {
        let retry = Retry::arm::<T>(raw, queue, cpu, direction, req.progress());
        match gate {
            None => Retry::queue(retry),
            Some(gate) if accepted => gate.park_again(retry),
            Some(gate) => match gate.park_new(retry, may_backlog) {
                Parked::Waiting => {}
                Parked::Backlogged => return Answer::Backlogged,
                Parked::Refused => return Answer::Complete(Err(ENOSPC)),
            },
        }
    }
    Answer::Later
}
