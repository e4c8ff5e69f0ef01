// SPDX-License-Identifier: GPL-2.0

//! Taking S away from every CPU: on demand, before the machine sleeps, and in an emergency.
//!
//! A wipe of the home of S by an interrupt can hit an engine in the middle of a request. The engine
//! has loaded S before (its window cannot be interrupted), so it goes on with its round keys, and
//! the request is right; it wipes them when it ends, a few microseconds later. [`lock`] waits for
//! that, an emergency cannot.

use core::{ffi::c_void, ptr};
use kernel::{
    bindings,
    cpu::nr_cpu_ids,
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        rcu, //
    },
};

use super::{
    asm,
    state::{self, Phase},
    uevent, //
};

/// How often S was wiped. A derivation that was under way meanwhile must not leave its result.
static WIPES: Atomic<u32> = Atomic::new(0);

/// One function call each for the CPUs 0 to `nr_cpu_ids` - 1, for use where nothing can be
/// allocated; null before [`prepare`].
static CALLS: Atomic<*mut bindings::call_single_data_t> = Atomic::new(ptr::null_mut());

/// A moment, to tell whether S was wiped since.
#[derive(Clone, Copy)]
pub(crate) struct Moment(u32);

impl Moment {
    /// This moment. Context: any.
    pub(crate) fn now() -> Self {
        Self(WIPES.load(ordering::Acquire))
    }

    /// Whether a wipe has begun since. Context: any.
    pub(crate) fn wiped_since(self) -> bool {
        // Not before what the caller has done: either the wipe finds that, or this finds the wipe.
        WIPES.fetch_add(0, ordering::Full) != self.0
    }
}

/// Allocates what an emergency needs. To be called once, before there can be an S.
///
/// Context: process context, may sleep.
pub(crate) fn prepare() -> Result {
    let count = nr_cpu_ids() as usize;
    let mut calls = KVec::<bindings::call_single_data_t>::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        calls.push(
            bindings::call_single_data_t {
                func: Some(wipe_this_cpu),
                ..Default::default()
            },
            GFP_KERNEL,
        )?;
    }
    let (calls, _, _) = calls.into_raw_parts();
    CALLS.store(calls, ordering::Release);
    Ok(())
}

/// Takes S from the CPU it runs on. Context: any in which the task cannot move to another CPU.
extern "C" fn wipe_this_cpu(_info: *mut c_void) {
    asm::clear_s();
    state::note_this_cpu(false);
}

/// Takes S from every CPU and returns when nothing secret is in any register, vector registers
/// included. Requests wait from now on. Returns whether there was an S.
///
/// The machine is then in the phase `rest`, which is [`Phase::Locked`] or [`Phase::Suspended`]; but
/// one that was locked stays so. A derivation that is under way is called off. Allocates nothing
/// and needs no worker, so it can also be called when devices sleep already.
///
/// Fails with `EBUSY` if the registers are in use by something else for a minute.
///
/// Context: process context with IRQs on, sleeps.
pub(crate) fn lock(rest: Phase) -> Result<bool> {
    if state::phase() == Phase::Unlocking {
        WIPES.fetch_add(1, ordering::Full);
    }
    let before = state::claim(
        &[Phase::Unlocked, Phase::Locked, Phase::Suspended],
        Phase::Locking,
    )?;
    WIPES.fetch_add(1, ordering::Full);
    state::GATE.close();
    // SAFETY: IRQs are on, as the caller guarantees. `wipe_this_cpu` may run in an interrupt. A CPU
    // that is not in the mask, or leaves it now, loses S by being taken offline.
    unsafe {
        bindings::on_each_cpu_cond_mask(
            None,
            Some(wipe_this_cpu),
            ptr::null_mut(),
            true,
            &raw const bindings::__cpu_online_mask,
        )
    };
    // Engines run with preemption off, so each that was interrupted has ended when this returns.
    rcu::synchronize_rcu();
    // Such an engine may have noted that its CPU has S.
    state::forget_holders();
    let after = match before {
        Phase::Locked => Phase::Locked,
        _ => rest,
    };
    state::change(Phase::Locking, after);
    uevent::announce();
    Ok(before == Phase::Unlocked)
}

/// Takes S from every CPU now. Requests wait from now on.
///
/// This CPU has lost S when it returns. The others lose it as soon as they take interrupts, which
/// is not waited for: a CPU that is stuck with IRQs off keeps it. Their engines that are in the
/// middle of a request wipe their round keys at its end. Does nothing during the self tests, whose
/// S is public.
///
/// Context: any but NMI; never sleeps or waits.
pub(crate) fn emergency_wipe() {
    if state::phase() == Phase::SelfTest {
        return;
    }
    WIPES.fetch_add(1, ordering::Full);
    state::GATE.close();
    asm::clear_s();
    let calls = CALLS.load(ordering::Acquire);
    if !calls.is_null() {
        for cpu in 0..nr_cpu_ids() {
            // SAFETY: `prepare()` made as many calls, which live as long as the kernel. One that is
            // still under way is not started again, and CPUs that are offline are left out.
            unsafe {
                bindings::smp_call_function_single_async(cpu as c_int, calls.add(cpu as usize))
            };
        }
    }
    state::change(Phase::Unlocked, Phase::Locked);
}
