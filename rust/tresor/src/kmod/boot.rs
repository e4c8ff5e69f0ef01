// SPDX-License-Identifier: GPL-2.0

//! Asking for the pass phrase before init is started, and again whenever S was lost.

use core::{fmt::Write, ptr};
use kernel::{
    fmt,
    prelude::*,
    sync::atomic::{ordering, Atomic},
};

use super::{
    console::Consoles,
    machine,
    parameter,
    power,
    prompt,
    sha256::KernelSha256, //
};
use crate::slot::{
    Slot,
    SlotError, //
};

/// The command line parameter that holds the slot.
const SLOT_PARAMETER: &[u8] = b"tresor.slot";

/// Set when the cipher is there, so that a key is of use.
static READY: Atomic<bool> = Atomic::new(false);

/// The machine's slot, which lives as long as the kernel: the one of the command line, or else the
/// first one that a program has unlocked with. Null if there is none.
static SLOT: Atomic<*mut Slot> = Atomic::new(ptr::null_mut());

/// Tells that the cipher is registered.
pub(crate) fn set_ready() {
    READY.store(true, ordering::Release);
}

/// The machine's slot, if there is one. Context: any, after the boot.
pub(crate) fn slot() -> Option<&'static Slot> {
    // SAFETY: Null, or a slot that `keep()` has leaked and nobody changes.
    unsafe { SLOT.load(ordering::Acquire).as_ref() }
}

/// Whether there is a slot on the command line, good or not. Context: any.
pub(crate) fn is_configured() -> bool {
    parameter::value(SLOT_PARAMETER).is_some()
}

/// Keeps a slot for [`slot`].
fn keep(slot: Slot) -> Result<&'static Slot> {
    let slot: &'static mut Slot = KBox::leak(KBox::new(slot, GFP_KERNEL)?);
    let raw = ptr::from_mut(slot);
    SLOT.store(raw, ordering::Release);
    // SAFETY: Just leaked, and from here on only read.
    Ok(unsafe { &*raw })
}

/// Makes the slot that a program has unlocked with the machine's, if that has none: after a sleep
/// its pass phrase is asked for. The root file system may be on a volume that waits for S, so that
/// no program could ask.
///
/// Of two programs that do it at the same time one slot is kept and never used.
///
/// Context: process context, may sleep.
pub(crate) fn keep_if_none(slot: &Slot) {
    if self::slot().is_some() {
        return;
    }
    if let Err(error) = keep(slot.clone()).and_then(|_| power::show_prompt_after_sleep()) {
        pr_err!(
            "no pass phrase will be asked for after a sleep: {:?}\n",
            error
        );
    }
}

/// Called by kernel_init_freeable() when the root file system of the initramfs is there and nothing
/// of it has run.
#[no_mangle]
extern "C" fn tresor_unlock_at_boot() {
    // Whether or not there is a slot: a volume that user space opens during the self tests would be
    // encrypted with the public S.
    #[cfg(CONFIG_CRYPTO_SELFTESTS)]
    if READY.load(ordering::Acquire) {
        super::selftest::wait();
    }
    let Some(text) = parameter::value(SLOT_PARAMETER) else {
        return;
    };
    if !READY.load(ordering::Acquire) {
        pr_err!("there is a slot, but no cipher (see above): not asking for a pass phrase\n");
        return;
    }
    // A console may print what follows only in the middle of the prompt.
    let log_before = prompt::log_end();
    machine::report();
    if let Err(error) = ask_first(text, log_before) {
        pr_err!("continuing without a key: {:?}\n", error);
    }
}

fn ask_first(text: &[u8], log_before: u64) -> Result {
    match Slot::parse::<KernelSha256>(text) {
        Ok(slot) => prompt::ask(&Consoles::open()?, keep(slot)?, log_before),
        Err(error) => {
            pr_err!("slot damaged: {}\n", error);
            let _ = writeln!(
                &Consoles::open()?,
                "\ntresor: slot damaged: {error}; copy it again from where it was made"
            );
            Err(EINVAL)
        }
    }
}

/// Asks on all consoles for the pass phrase of the machine's slot, as at boot: for a machine that
/// was unlocked and has lost S since, because it slept. Returns when S is there or the person gave
/// up.
///
/// A user space that reads from the same terminals must be frozen. Fails with `ENOENT` if there is
/// no slot, with `ENODEV` if no console can be opened, and with what [`prompt::ask`] says.
///
/// Context: process context, sleeps.
pub(crate) fn ask_again() -> Result {
    let slot = slot().ok_or(ENOENT)?;
    // Waking up has logged much just now.
    prompt::ask(&Consoles::open()?, slot, 0)
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}
