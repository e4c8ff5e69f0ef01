// SPDX-License-Identifier: GPL-2.0

//! Run a closure on every online CPU, in process context, and wait.

use core::{ffi::c_void, ptr};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::atomic::{ordering, Atomic},
};

/// The closure that is being run, or null. Also the lock: one run at a time.
static CLOSURE: Atomic<*const c_void> = Atomic::new(ptr::null());

/// Runs `f` once on every CPU that is online, all of them at the same time, and returns when the
/// last is done.
///
/// CPUs cannot come online or go offline meanwhile. Fails with `EBUSY` when another run is under
/// way and with `ENOMEM`.
///
/// Context: process context, may sleep; `f` runs on a worker bound to its CPU.
pub(crate) fn run<F: Fn() + Sync>(f: &F) -> Result {
    let closure = ptr::from_ref(f).cast::<c_void>();
    if CLOSURE
        .cmpxchg(ptr::null(), closure, ordering::Full)
        .is_err()
    {
        return Err(EBUSY);
    }
    // SAFETY: `work::<F>` is a work function; it gets `f`, of the type `F`, through `CLOSURE`,
    // which stays set until schedule_on_each_cpu() returned, and that is after the last call.
    let result = to_result(unsafe { bindings::schedule_on_each_cpu(Some(work::<F>)) });
    CLOSURE.store(ptr::null(), ordering::Release);
    result
}

/// The work function for a closure of type `F`.
///
/// # Safety
///
/// `CLOSURE` must point to an `F` that outlives the call.
unsafe extern "C" fn work<F: Fn() + Sync>(_work: *mut bindings::work_struct) {
    let closure = CLOSURE.load(ordering::Acquire).cast::<F>();
    // SAFETY: By the safety requirement; `F: Sync`, so that several CPUs may share the reference.
    unsafe { (*closure)() }
}
