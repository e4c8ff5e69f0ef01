// SPDX-License-Identifier: GPL-2.0

//! Tells user space, by uevents of `/dev/tresor`, that the machine was locked or unlocked.
//!
//! `ACTION=change` with `TRESOR=` and the name of the phase. Sent from a work item, so that nobody
//! who locks or unlocks waits for the memory that an event takes. Of events that follow each other
//! faster than they are sent, the last one counts.

use core::ptr;
use kernel::{
    bindings,
    prelude::*,
    static_lock_class,
    str::CString,
    sync::atomic::{ordering, Atomic},
};

use super::state;

/// The device whose events these are; null before there is one.
static DEVICE: Atomic<*mut bindings::device> = Atomic::new(ptr::null_mut());

/// The work item, allocated by [`prepare`] for good.
static WORK: Atomic<*mut bindings::work_struct> = Atomic::new(ptr::null_mut());

/// Has events sent in the name of `device`.
///
/// Context: process context, may sleep.
///
/// # Safety
///
/// `device` must be a registered device that lives as long as the kernel.
pub(crate) unsafe fn prepare(device: *mut bindings::device) -> Result {
    let work = KBox::leak(KBox::new(bindings::work_struct::default(), GFP_KERNEL)?);
    // SAFETY: A new work item, and a function that takes one.
    unsafe {
        bindings::init_work_with_key(
            work,
            Some(send),
            false,
            c"tresor uevent".as_char_ptr(),
            static_lock_class!().as_ptr(),
        )
    };
    DEVICE.store(device, ordering::Release);
    WORK.store(work, ordering::Release);
    Ok(())
}

/// Has the phase told. Context: any but NMI.
pub(crate) fn announce() {
    let work = WORK.load(ordering::Acquire);
    if !work.is_null() {
        // SAFETY: An initialised work item that is never freed; it may be queued already.
        unsafe {
            bindings::queue_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                bindings::system_percpu_wq,
                work,
            )
        };
    }
}

/// The work function.
///
/// # Safety
///
/// To be called by the workqueue only.
unsafe extern "C" fn send(_work: *mut bindings::work_struct) {
    let device = DEVICE.load(ordering::Acquire);
    let Ok(phase) = CString::try_from_fmt(fmt!("TRESOR={}", state::phase().name())) else {
        return;
    };
    let mut environment = [phase.as_char_ptr().cast_mut(), ptr::null_mut()];
    // SAFETY: The device lives as long as the kernel. The array ends with null, and its string is
    // only read.
    unsafe {
        bindings::kobject_uevent_env(
            &raw mut (*device).kobj,
            bindings::kobject_action_KOBJ_CHANGE,
            environment.as_mut_ptr(),
        )
    };
}
