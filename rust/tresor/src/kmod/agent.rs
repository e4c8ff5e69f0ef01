// SPDX-License-Identifier: GPL-2.0

//! The agent: a program of the owner's that asks for the pass phrase after a sleep, on a machine
//! whose consoles are of no use to a person.
//!
//! With `tresor.prompt=agent` one process may register itself, by a call of `/dev/tresor`. When the
//! machine is awake and has no S, the kernel thaws it alone (kernel/power/process.c), with the
//! processes that it has started, and everything else stays frozen until the agent has unlocked the
//! machine. An agent that gives up or ends leaves the prompt to the kernel, so that nobody is
//! locked out. One that does neither is waited for without end, as a person is.
//!
//! All of the agent must be in memory: a page of it may have to come from the disk that waits for
//! the key. So its memory must be locked when it registers.

use core::ptr;
use kernel::{
    bindings,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{ordering, Atomic}, //
    },
    task::Task,
    time::{
        delay::fsleep,
        Delta, //
    },
};

use super::{
    parameter,
    state::{self, Phase}, //
};

/// Command line parameter: who asks for the pass phrase after a sleep.
const PROMPT_PARAMETER: &[u8] = b"tresor.prompt";
/// Its value if an agent does.
const AGENT_VALUE: &[u8] = b"agent";

/// Pages of a process that cannot be locked, and need not be: the kernel's own, with the vDSO and
/// its data.
const OF_KERNEL: usize = 32;

/// How often it is looked whether the agent is done.
const POLL: Delta = Delta::from_millis(20);

/// The first task of the registered process, which is compared and never looked into; null without
/// one.
static AGENT: Atomic<*mut bindings::task_struct> = Atomic::new(ptr::null_mut());
/// Whether the agent is to ask now.
static ASKED: Atomic<bool> = Atomic::new(false);
/// Whether its tasks run while all others are frozen.
static THAWED: Atomic<bool> = Atomic::new(false);

extern "C" {
    fn thaw_disk_agent();
    fn freeze_disk_agent();
}

/// That a process is the agent. Dropped, it is not any more, and need not ask.
pub(crate) struct Registered(ARef<Task>);

impl Drop for Registered {
    fn drop(&mut self) {
        ASKED.store(false, ordering::Release);
        AGENT.store(ptr::null_mut(), ordering::Release);
        pr_info!("process {} does not ask any more\n", self.0.pid());
    }
}

/// Makes the calling process the agent.
///
/// Fails with `ENODEV` unless `tresor.prompt=agent` is on the command line, with `ENOMEM` if not
/// all of the process is locked in memory, with `EBUSY` if there is an agent.
///
/// Context: process context.
pub(crate) fn register() -> Result<Registered> {
    if parameter::value(PROMPT_PARAMETER) != Some(AGENT_VALUE) {
        return Err(ENODEV);
    }
    if !memory_is_locked() {
        pr_warn!("an agent whose memory is not locked (mlockall) is refused\n");
        return Err(ENOMEM);
    }
    let leader = ARef::from(current!().group_leader());
    AGENT
        .cmpxchg(ptr::null_mut(), leader.as_ptr(), ordering::Full)
        .map_err(|_| EBUSY)?;
    pr_info!(
        "process {} asks for the pass phrase after a sleep\n",
        leader.pid()
    );
    Ok(Registered(leader))
}

/// Fails with `EPERM` unless the calling process is the agent.
fn check_caller() -> Result {
    if AGENT.load(ordering::Acquire) == current!().group_leader().as_ptr() {
        Ok(())
    } else {
        Err(EPERM)
    }
}

/// Returns when the calling process, the agent, is to ask. Fails with `EPERM` in another one.
///
/// Context: process context, sleeps.
pub(crate) fn wait() -> Result {
    check_caller()?;
    while !(ASKED.load(ordering::Acquire) && is_without_s()) {
        // It is asked only after it was frozen. What freezes it ends this sleep as a signal does,
        // and when it is thawed the call is started again.
        // SAFETY: In process context, and no lock is held.
        unsafe { bindings::schedule_timeout_interruptible(c_long::MAX) };
        if current!().signal_pending() {
            return Err(ERESTARTSYS);
        }
    }
    Ok(())
}

/// Leaves asking to the kernel, this time. Fails with `EPERM` unless the caller is the agent.
pub(crate) fn give_up() -> Result {
    check_caller()?;
    ASKED.store(false, ordering::Release);
    Ok(())
}

/// Whether all memory of the calling process is locked.
fn memory_is_locked() -> bool {
    // SAFETY: A process that makes a call of a device has memory of its own, and two numbers of its
    // pages can be read at any time.
    let (all, locked) = unsafe {
        let memory = &raw const (*(*bindings::get_current()).mm).__bindgen_anon_1;
        let locked = (&raw const (*memory).locked_vm).read_volatile();
        ((&raw const (*memory).total_vm).read_volatile(), locked)
    };
    all <= locked.saturating_add(OF_KERNEL)
}

/// Whether a machine that slept is still without S, and nobody has said that it is to stay so.
fn is_without_s() -> bool {
    matches!(
        state::phase(),
        Phase::Suspended | Phase::Unlocking | Phase::Locking
    )
}

/// Has the agent ask, if there is one, while all others stay frozen. Returns whether it is done;
/// otherwise somebody else must ask.
///
/// Context: the task that froze user space, with all devices at work; sleeps.
pub(crate) fn ask() -> bool {
    if AGENT.load(ordering::Acquire).is_null() {
        return false;
    }
    pr_info!("awake without a key: the agent asks for the pass phrase\n");
    ASKED.store(true, ordering::Release);
    THAWED.store(true, ordering::Release);
    // SAFETY: This task has frozen the others, and they are.
    unsafe { thaw_disk_agent() };
    while ASKED.load(ordering::Acquire) && is_without_s() {
        fsleep(POLL);
    }
    THAWED.store(false, ordering::Release);
    // What it did last counts: an agent that unlocks and ends has not given up.
    ASKED.store(false, ordering::Release);
    if !is_without_s() {
        return true;
    }
    pr_warn!("the agent has given up or ended; the kernel asks\n");
    // SAFETY: As above.
    unsafe { freeze_disk_agent() };
    false
}

/// Whether a task is one of the agent's: a thread of it, or of a process that it has started.
///
/// # Safety
///
/// `task` must be valid.
#[no_mangle]
unsafe extern "C" fn tresor_is_agent(task: *const bindings::task_struct) -> bool {
    let agent = AGENT.load(ordering::Acquire);
    // SAFETY: By the safety requirement. The pointers are compared only.
    !agent.is_null() && unsafe { (*task).group_leader == agent || (*task).real_parent == agent }
}

/// Whether a task is one of the agent's and runs while others are frozen. Context: any.
///
/// # Safety
///
/// As for [`tresor_is_agent`].
#[no_mangle]
unsafe extern "C" fn tresor_is_thawed_agent(task: *const bindings::task_struct) -> bool {
    // SAFETY: By the safety requirement.
    THAWED.load(ordering::Acquire) && unsafe { tresor_is_agent(task) }
}
