// SPDX-License-Identifier: GPL-2.0

//! Hibernation: refused unless it is asked for, and then without S in the image.
//!
//! The image is the content of RAM. It holds nothing of S or a volume's key, which are only in
//! registers; but it has the plain text of open files, on a disk that this driver knows nothing of.
//! So a machine that has S, or a slot, does not hibernate unless `tresor.hibernation=on` says that
//! its owner wants that.
//!
//! Then S is wiped on all CPUs when the disks are down, before the image is made: what the image
//! says of the driver's state is that there is no S. While it is written there is none, so it
//! cannot go to a volume of ours: those requests fail, and with them the hibernation. The machine
//! that is restored, and one that could not hibernate, asks for the pass phrase as after a suspend.

use core::{cell::UnsafeCell, ffi::c_void, ptr};
use kernel::{
    bindings,
    error::to_result,
    ffi::{c_int, c_ulong},
    prelude::*, //
};

use super::{
    asm,
    boot,
    owner,
    parameter,
    power,
    state::{self, Phase}, //
};

/// Command line parameter: whether a machine with S may hibernate.
const PARAMETER: &[u8] = b"tresor.hibernation";
/// Its value if so.
const ON: &[u8] = b"on";

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

/// Refuses to make an image of this machine or to replace it by one, unless that is wanted.
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
    let has_nothing = state::phase() == Phase::Locked && !boot::is_configured();
    if has_nothing || parameter::value(PARAMETER) == Some(ON) {
        return bindings::NOTIFY_DONE as c_int;
    }
    pr_err!(
        "hibernation is refused: RAM holds open files of the encrypted disk; suspend instead, or \
         boot with tresor.hibernation=on\n"
    );
    // As notifier_from_errno().
    bindings::NOTIFY_STOP_MASK as c_int | (bindings::NOTIFY_OK as c_int - EPERM.to_errno())
}

/// Called by create_image() when all disks are down, before the image is made. On failure, which is
/// a negative error, there is none.
#[no_mangle]
extern "C" fn tresor_hibernate() -> c_int {
    match power::wipe() {
        Ok(()) => {
            state::note_image(true);
            0
        }
        Err(error) => error.to_errno(),
    }
}

/// Called by create_image() on the one CPU that runs, in the machine that was restored, before any
/// device works: the kernel that has loaded the image may have left anything in the registers.
///
/// Context: IRQs off.
#[no_mangle]
extern "C" fn tresor_restored() {
    state::note_image(false);
    if owner::is_here() {
        asm::clear_s();
    }
}
