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
/// A parked request needs no memory but its own; its user decides how many requests it has under
/// way. Nothing but [`open`](Self::open) ends the wait: a driver that gives up the condition opens
/// the gate and lets the retries fail.
///
/// # Examples
///
/// ```
/// use kernel::crypto::skcipher::Gate;
///
/// static KEY_PRESENT: Gate = Gate::new();
///
/// assert!(!KEY_PRESENT.is_open());
/// KEY_PRESENT.open();
/// assert!(KEY_PRESENT.is_open());
/// KEY_PRESENT.close();
/// ```
///
/// # Invariants
///
/// `parked` is null or the head of a list, linked by `Retry::next` and ended by null, of armed
/// retries that belong to this gate alone.
pub struct Gate {
    open: Atomic<bool>,
    parked: Atomic<*mut Retry>,
}

// SAFETY: The raw pointers are only exchanged atomically, and a `Retry` may be used from any
// thread.
unsafe impl Send for Gate {}
// SAFETY: See above.
unsafe impl Sync for Gate {}

impl Gate {
    /// Returns a closed gate.
    pub const fn new() -> Self {
        // INVARIANT: Nothing is parked yet.
        Self {
            open: Atomic::new(false),
            parked: Atomic::new(ptr::null_mut()),
        }
    }

    /// Returns whether the gate is open at this moment.
    pub fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// Opens the gate and has all parked requests retried, oldest first. May be called in any
    /// context.
    pub fn open(&self) {
        // Orders the store of `open` before the look at `parked` in `release()`; the counterpart
        // is in `park()`. So one of the two sides sees the other.
        self.open.xchg(true, Full);
        self.release();
    }

    /// Closes the gate.
    ///
    /// Requests may still be in the middle of being served.
    pub fn close(&self) {
        self.open.xchg(false, Full);
    }

    /// Parks a request until the gate opens.
    ///
    /// # Safety
    ///
    /// `retry` must point to an armed retry that the caller gives up: it may be run before this
    /// function returns.
    pub(super) unsafe fn park(&self, retry: *mut Retry) {
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
        // A `park()` that came too late for `open()` sees the open gate, as the exchange above is
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
                Retry::queue(retry);
            }
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
