// SPDX-License-Identifier: GPL-2.0

//! Asking for the pass phrase before init is started.

use core::fmt::Write;
use kernel::{
    fmt,
    prelude::*,
    sync::atomic::{ordering, Atomic},
};

use super::{
    console::Consoles,
    parameter,
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

/// Tells that the cipher is registered.
pub(crate) fn set_ready() {
    READY.store(true, ordering::Release);
}

/// Called by kernel_init_freeable() when the root file system of the initramfs is there and nothing
/// of it has run.
#[no_mangle]
#[link_section = ".init.text"]
extern "C" fn tresor_unlock_at_boot() {
    let Some(text) = parameter::value(SLOT_PARAMETER) else {
        return;
    };
    if !READY.load(ordering::Acquire) {
        pr_err!("there is a slot, but no cipher (see above): not asking for a pass phrase\n");
        return;
    }
    if let Err(error) = unlock(text) {
        pr_err!("continuing without a key: {:?}\n", error);
    }
}

#[link_section = ".init.text"]
#[inline(never)]
fn unlock(text: &[u8]) -> Result {
    let consoles = Consoles::open()?;
    match Slot::parse::<KernelSha256>(text) {
        Ok(slot) => prompt::ask(&consoles, &slot),
        Err(error) => {
            pr_err!("slot damaged: {}\n", error);
            let _ = writeln!(
                &consoles,
                "\ntresor: slot damaged: {error}; copy it again from where it was made"
            );
            Err(EINVAL)
        }
    }
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}
