// SPDX-License-Identifier: GPL-2.0

//! Sleep: S is wiped before the machine sleeps, and asked for again when it wakes up.
//!
//! RAM keeps its content while the machine sleeps, and the registers of its CPUs may (suspend to
//! idle) or may not (suspend to RAM) keep theirs. So S is wiped in both cases, as late as possible:
//! user space is frozen and the disks are suspended, so that no request is under way and what is
//! written until then still gets to the disk.
//!
//! When all devices work again the pass phrase is asked for on the consoles as at boot, or by an
//! [`agent`], while user space is still frozen. Requests of kernel threads wait meanwhile. Whoever
//! gives no pass phrase gets a running machine whose requests wait on.
//!
//! [`hibernation`](super::hibernation) uses the same.

use kernel::{
    bindings,
    ffi::c_int,
    prelude::*,
    sync::{
        Arc,
        Completion, //
    },
    workqueue,
};

use super::{
    agent,
    boot,
    lock,
    owner,
    state::{self, Phase}, //
};

/// Prepares for sleep. To be called once.
///
/// Context: process context, may sleep.
pub(crate) fn prepare() -> Result {
    if boot::is_configured() {
        show_prompt_after_sleep()?;
    }
    Ok(())
}

/// Has a text console on the screen when the machine wakes up.
///
/// Context: process context, may sleep.
pub(crate) fn show_prompt_after_sleep() -> Result {
    // A person can neither see nor answer a prompt behind a graphical session, and the session is
    // asked to leave the screen only before it is frozen. The null pointer is a key like the device
    // of any other driver, and not used as a pointer.
    #[cfg(CONFIG_VT_CONSOLE_SLEEP)]
    // SAFETY: As said, the pointer is a key only.
    kernel::error::to_result(unsafe {
        bindings::pm_vt_switch_required(core::ptr::null_mut(), true)
    })?;
    Ok(())
}

/// Called by suspend_enter() when all disks are suspended. On failure, which is a negative error,
/// the machine does not go to sleep.
#[no_mangle]
extern "C" fn tresor_suspend() -> c_int {
    wipe().map_or_else(Error::to_errno, |()| 0)
}

/// Takes S from all CPUs before the machine sleeps.
///
/// Context: as [`lock::lock`].
pub(crate) fn wipe() -> Result {
    // With tresor=off there are breakpoints in the registers.
    if !owner::is_here() {
        return Ok(());
    }
    match lock::lock(Phase::Suspended) {
        Ok(true) => pr_info!("the key is wiped before sleep\n"),
        Ok(false) => {}
        Err(error) => {
            pr_err!(
                "the key cannot be wiped, so the machine must not sleep: {:?}\n",
                error
            );
            return Err(error);
        }
    }
    Ok(())
}

/// Called by suspend_finish(), and at the end of a hibernation and of one that failed, when all
/// devices work, before user space is thawed.
#[no_mangle]
extern "C" fn tresor_resume() {
    state::note_image(false);
    if state::phase() != Phase::Suspended {
        return;
    }
    // A keyboard on USB is found by a workqueue that is frozen with user space.
    // SAFETY: Kernel threads are frozen, and the task is the one that had them frozen.
    unsafe { bindings::thaw_kernel_threads() };
    if agent::ask() {
        return;
    }
    if let Err(error) = without_disks(ask) {
        pr_err!("awake without a key: {:?}; see tresorctl unlock\n", error);
    }
}

/// Asks for the pass phrase and waits for the answer.
fn ask() -> Result {
    let answered = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
    let answer = answered.clone();
    // In a kernel thread: this task may be one of a shell's background jobs, which must not read
    // from their terminal.
    // SAFETY: This queue of the kernel is there from the early boot on, for good.
    let queue = unsafe { workqueue::Queue::from_raw(bindings::system_dfl_wq) };
    queue.try_spawn(GFP_KERNEL, move || {
        if let Err(error) = without_disks(boot::ask_again) {
            pr_err!("awake without a key: {:?}; see tresorctl unlock\n", error);
        }
        answer.complete_all();
    })?;
    answered.wait_for_completion();
    Ok(())
}

/// Calls `f`, whose allocations do not wait for a disk: that may be the one that waits for the key.
fn without_disks<T>(f: impl FnOnce() -> T) -> T {
    const NO_IO: c_uint = bindings::PF_MEMALLOC_NOIO;
    // SAFETY: These flags of a task are changed by nobody but the task itself.
    let flags = unsafe { &raw mut (*bindings::get_current()).flags };
    // SAFETY: As above. What memalloc_noio_save() and memalloc_noio_restore() do.
    unsafe {
        let before = *flags & NO_IO;
        *flags |= NO_IO;
        let result = f();
        *flags = *flags & !NO_IO | before;
        result
    }
}
