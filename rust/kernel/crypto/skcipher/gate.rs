// SPDX-License-Identifier: GPL-2.0

//! A place where requests wait for an event.

use super::retry::Retry;
use crate::sync::atomic::{
    ordering::{
        Full,
        Relaxed, //
    },
    Atomic, //
};
use core::ptr;

/// Lets requests pass or wait, for example for a key to be present in the machine.
///
/// A driver that finds that it cannot serve a request *now* answers
/// [`Completion::RetryAfter`](super::Completion::RetryAfter). If the gate is closed, the request
/// is parked until it opens; if it is open, the request is retried at once. So a driver has to
/// check its condition only while it serves a request, and no request is forgotten, provided that
/// the condition is made true before [`open`](Self::open) and false after
/// [`close`](Self::close).
///
/// A parked request needs no memory but its own, but its user has more to keep for it. So there is
/// a limit, with the rules of the queues of the crypto API (`crypto_enqueue_request()`): a user who
/// hands in a request beyond it gets `EBUSY`, which means that the request is accepted, but that he
/// should wait with the next one until he is told. A user who has not said that he can do so
/// (`CRYPTO_TFM_REQ_MAY_BACKLOG`) gets [`ENOSPC`], and the request is not accepted.
///
/// Nothing but [`open`](Self::open) ends the wait: a driver that gives up the condition opens the
/// gate and lets the retries fail.
///
/// # Examples
///
/// ```
/// use kernel::crypto::skcipher::Gate;
///
/// static KEY_PRESENT: Gate = Gate::new(100);
///
/// assert!(!KEY_PRESENT.is_open());
/// KEY_PRESENT.open();
/// assert!(KEY_PRESENT.is_open());
/// KEY_PRESENT.close();
/// assert_eq!(KEY_PRESENT.waiting(), 0);
/// ```
///
/// # Invariants
///
/// `parked` is null or the head of a list, linked by `Retry::next` and ended by null, of armed
/// retries that belong to this gate alone.
pub struct Gate {
    open: Atomic<bool>,
    parked: Atomic<*mut Retry>,
    /// How many requests are parked. While one comes or goes, it is counted but not in the list.
    waiting: Atomic<i32>,
    limit: i32,
}

/// How a new request was taken.
pub(super) enum Parked {
    /// It waits.
    Waiting,
    /// It waits beyond the limit: its user is to be told when that is over.
    Backlogged,
    /// It does not wait, and is still the caller's.
    Refused,
}

// SAFETY: The raw pointers are only exchanged atomically, and a `Retry` may be used from any
// thread.
unsafe impl Send for Gate {}
// SAFETY: See above.
unsafe impl Sync for Gate {}

impl Gate {
    /// Returns a closed gate before which `limit` requests can wait, but for those of users who can
    /// be held up.
    pub const fn new(limit: u32) -> Self {
        // INVARIANT: Nothing is parked yet.
        Self {
            open: Atomic::new(false),
            parked: Atomic::new(ptr::null_mut()),
            waiting: Atomic::new(0),
            limit: if limit > i32::MAX as u32 {
                i32::MAX
            } else {
                limit as i32
            },
        }
    }

    /// Returns how many requests wait at this moment.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed).unsigned_abs()
    }

    /// Returns whether the gate is open at this moment.
    pub fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// Opens the gate and has all parked requests retried, oldest first. May be called in any
    /// context.
    pub fn open(&self) {
        // Orders the store of `open` before the look at `parked` in `release()`; the counterpart
        // is in `push()`. So one of the two sides sees the other.
        self.open.xchg(true, Full);
        self.release();
    }

    /// Closes the gate.
    ///
    /// Requests may still be in the middle of being served.
    pub fn close(&self) {
        self.open.xchg(false, Full);
    }

    /// Parks a new request until the gate opens. `may_backlog` is whether its user can be held up.
    ///
    /// # Safety
    ///
    /// `retry` must point to an armed retry that the caller gives up, unless it is refused: it may
    /// be run before this function returns.
    pub(super) unsafe fn park_new(&self, retry: *mut Retry, may_backlog: bool) -> Parked {
        let full = self.waiting.fetch_add(1, Relaxed) >= self.limit;
        if full && !may_backlog {
            self.waiting.fetch_sub(1, Relaxed);
            return Parked::Refused;
        }
        // SAFETY: The retry is still the caller's alone, who gives it up.
        unsafe {
            (*retry).backlogged = full;
            self.push(retry);
        }
        if full {
            Parked::Backlogged
        } else {
            Parked::Waiting
        }
    }

    /// Parks a request once more that was accepted already, whatever the limit.
    ///
    /// # Safety
    ///
    /// As that of [`park_new`](Self::park_new).
    pub(super) unsafe fn park_again(&self, retry: *mut Retry) {
        self.waiting.add(1, Relaxed);
        // SAFETY: Guaranteed by the caller.
        unsafe { self.push(retry) };
    }

    /// Puts a retry in front of the list.
    ///
    /// # Safety
    ///
    /// As that of [`park_new`](Self::park_new).
    unsafe fn push(&self, retry: *mut Retry) {
        let mut head = self.parked.load(Relaxed);
        loop {
            // SAFETY: The retry is still the caller's alone.
            unsafe { (*retry).next = head };
            // INVARIANT: On success, the retry is put in front of the list.
            match self.parked.cmpxchg(head, retry, Full) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        // A `push()` that came too late for `open()` sees the open gate, as the exchange above is
        // a full barrier.
        if self.is_open() {
            self.release();
        }
    }

    /// Queues all parked requests.
    fn release(&self) {
        // INVARIANT: The empty list. What was the list now belongs to this function alone.
        let mut newest_first = self.parked.xchg(ptr::null_mut(), Full);

        let mut oldest_first: *mut Retry = ptr::null_mut();
        while !newest_first.is_null() {
            let retry = newest_first;
            // SAFETY: The type invariant says that the list consists of valid retries.
            unsafe {
                newest_first = (*retry).next;
                (*retry).next = oldest_first;
            }
            oldest_first = retry;
        }

        while !oldest_first.is_null() {
            let retry = oldest_first;
            // SAFETY: As above. `next` is read first, because `queue()` gives the retry away.
            unsafe {
                oldest_first = (*retry).next;
                self.waiting.fetch_sub(1, Relaxed);
                Retry::queue(retry);
            }
        }
    }
}
