// SPDX-License-Identifier: GPL-2.0

//! The key for emergencies: SysRq-x takes S away from every CPU.
//!
//! For the moment in which somebody takes the machine. Nothing is waited for, so it also works when
//! user space hangs. What was being written waits in RAM for the pass phrase.

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    workqueue, //
};

use super::{
    lock,
    state::Phase, //
};

/// No other driver for x86 uses it; see drivers/tty/sysrq.c.
const KEY: u8 = b'x';

/// An operation that sysrq may call from any thread.
struct Operation(bindings::sysrq_key_op);

// SAFETY: The pointers are to constant strings and to a function that may be called anywhere.
unsafe impl Sync for Operation {}

static OPERATION: Operation = Operation(bindings::sysrq_key_op {
    handler: Some(wipe),
    help_msg: kernel::str::as_char_ptr_in_const_context(c"wipe-disk-key(x)"),
    action_msg: kernel::str::as_char_ptr_in_const_context(c"Wipe the key of encrypted disks"),
    // Who may reboot the machine may take the key away by that.
    enable_mask: bindings::SYSRQ_ENABLE_BOOT as c_int,
});

/// Makes the key work. Fails with `EBUSY` if another driver has it.
pub(crate) fn register() -> Result {
    // SAFETY: The operation lives as long as the kernel.
    to_result(unsafe { bindings::register_sysrq_key(KEY, &OPERATION.0) })
}

/// What the key does. Context: often a hard IRQ.
extern "C" fn wipe(_key: u8) {
    lock::emergency_wipe();
    // The rest may take its time: waiting for the engines that were interrupted, and saying so.
    let rest = workqueue::system().try_spawn(GFP_ATOMIC, || match lock::lock(Phase::Locked) {
        Ok(_) => pr_warn!("the key was wiped on all CPUs; requests wait for the pass phrase\n"),
        Err(error) => pr_err!("the key was wiped, but: {:?}\n", error),
    });
    if rest.is_err() {
        pr_warn!("the key was wiped\n");
    }
}
