// SPDX-License-Identifier: GPL-2.0

//! The driver owns DR0-DR3 of every CPU: the kernel loads no breakpoint there and never reads them.
//!
//! Ownership begins at boot, before anybody could have set a breakpoint, and is given back only
//! here, in the driver's initcall. See debug_regs_owned() in arch/x86/include/asm/debugreg_owner.h.

use kernel::{
    bindings,
    prelude::*, //
};

use super::{
    cpu_has,
    parameter,
    store, //
};
use crate::amnesia::store::Store;

/// Command line parameter, and its value that turns the driver off.
const OFF_PARAMETER: &[u8] = b"tresor";
const OFF: &[u8] = b"off";

/// Whether the debug registers are ours, or not wanted, and registers. Fails with `ENODEV`, and
/// says why, with `tresor=off` on the command line and in a Xen PV guest.
///
/// Context: the driver's initcall.
pub(crate) fn check() -> Result {
    // SAFETY: Read while only the boot CPU's initcalls run; nobody else writes it now.
    let owned = unsafe { bindings::x86_debug_regs_owned };
    let has_other_store = store::wanted().is_some_and(|store| store != Store::DebugRegisters);
    if parameter::value(OFF_PARAMETER) == Some(OFF) || !(owned || has_other_store) {
        pr_info!("off by the command line: no cipher, and hardware breakpoints work\n");
        return Err(ENODEV);
    }
    if cpu_has(bindings::X86_FEATURE_XENPV) {
        pr_err!("in a Xen PV guest these registers are memory of Xen: no cipher\n");
        return Err(ENODEV);
    }
    Ok(())
}

/// Whether any registers are ours, now: those, or the ones of another store. Context: any.
#[cfg(CONFIG_PM_SLEEP)]
pub(crate) fn is_here() -> bool {
    // SAFETY: After the boot nobody writes it.
    let owned = unsafe { (&raw const bindings::x86_debug_regs_owned).read_volatile() };
    owned || store::is_elsewhere()
}

/// Leaves the registers to breakpoints: there is no cipher, and so never a secret.
///
/// Context: the driver's initcall.
pub(crate) fn give_back() {
    // SAFETY: Initcalls end before the variable behind this becomes read-only, and no CPU has a
    // secret.
    unsafe { bindings::x86_debug_regs_disown() };
}
