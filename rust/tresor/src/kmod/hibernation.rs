// SPDX-License-Identifier: GPL-2.0

//! No hibernation of a machine that has S, or had it.
//!
//! The image would hold nothing of S, which is only in registers. But it is the content of RAM,
//! with the plain text of files of the encrypted disk, and where it is written to is nothing that
//! this driver knows. And a machine that is restored from it has a state of the driver that says
//! that S is there, and no S.

use core::{cell::UnsafeCell, ffi::c_void, ptr};
use kernel::{
    bindings,
    error::to_result,
    ffi::{c_int, c_ulong},
    prelude::*, //
};

use super::{
    boot,
    state::{self, Phase}, //
};

/// The entry in the list of those who are asked.
struct Notifier(UnsafeCell<bindings::notifier_block>);

// SAFETY: Only the list, which has a lock of its own, uses what is in it.
unsafe impl Sync for Notifier {}

static NOTIFIER: Notifier = Notifier(UnsafeCell::new(bindings::notifier_block {
    notifier_call: Some(on_transition),
    next: ptr::null_mut(),
    priority: 0,
}));

/// Has the driver asked before each hibernation. To be called once.
///
/// Context: process context, may sleep.
pub(crate) fn prepare() -> Result {
    // SAFETY: The entry is static, and registered once.
    to_result(unsafe { bindings::register_pm_notifier(NOTIFIER.0.get()) })
}

/// Refuses to make an image of this machine or to replace it by one.
///
/// # Safety
///
/// To be called by the PM core only, as a notifier.
unsafe extern "C" fn on_transition(
    _notifier: *mut bindings::notifier_block,
    event: c_ulong,
    _data: *mut c_void,
) -> c_int {
    const PREPARE: c_ulong = bindings::PM_HIBERNATION_PREPARE as c_ulong;
    const RESTORE: c_ulong = bindings::PM_RESTORE_PREPARE as c_ulong;
    if !matches!(event, PREPARE | RESTORE) {
        return bindings::NOTIFY_DONE as c_int;
    }
    if state::phase() == Phase::Locked && !boot::is_configured() {
        return bindings::NOTIFY_DONE as c_int;
    }
    pr_err!(
        "hibernation is refused: RAM holds open files of the encrypted disk; suspend instead\n"
    );
    // As notifier_from_errno().
    bindings::NOTIFY_STOP_MASK as c_int | (bindings::NOTIFY_OK as c_int - EPERM.to_errno())
}
