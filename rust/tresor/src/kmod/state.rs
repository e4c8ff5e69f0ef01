// SPDX-License-Identifier: GPL-2.0

//! Whether this machine has its register secret, and on which CPUs.
//!
//! What is in the registers is the truth, and only the engines look there: an engine that finds S
//! all zero says so and does nothing. What this file keeps in memory is public, and a hint where to
//! look.

use kernel::{
    bindings,
    cpu::{nr_cpu_ids, CpuId},
    cpumask::Cpumask,
    crypto::skcipher::Gate,
    prelude::*,
    sync::atomic::{ordering, Atomic},
    time::{
        delay::fsleep,
        Delta, //
    },
};

pub(crate) use crate::phase::Phase;

static PHASE: Atomic<u32> = Atomic::new(Phase::Locked as u32);

/// So many requests wait for S before their users are held up. Each can be the reason for a page of
/// ciphertext that dm-crypt keeps for a write.
const MAX_WAITING: u32 = 128;

/// Where requests wait while no CPU has S.
pub(crate) static GATE: Gate = Gate::new(MAX_WAITING);

/// Whether requests that find no S fail instead of waiting.
static FAILS: Atomic<bool> = Atomic::new(false);

/// Whether they do so by default.
static FAILS_BY_DEFAULT: Atomic<bool> = Atomic::new(false);

/// Sets the default of [`fail_without_s`]. Context: before there are requests.
pub(crate) fn fail_by_default(fail: bool) {
    FAILS_BY_DEFAULT.store(fail, ordering::Relaxed);
    FAILS.store(fail, ordering::Relaxed);
}

/// Has requests that find no S next time fail or wait as by default. Context: any.
pub(crate) fn fail_as_configured() {
    FAILS.store(FAILS_BY_DEFAULT.load(ordering::Relaxed), ordering::Release);
}

/// Whether requests fail while there is no S. Context: any.
pub(crate) fn fails_without_s() -> bool {
    FAILS.load(ordering::Relaxed)
}

/// Has requests fail until S is there, those too that wait already. Context: any.
pub(crate) fn fail_without_s() {
    FAILS.store(true, ordering::Release);
    // What has waited looks for S once more, and fails.
    GATE.open();
}

/// Whether an image of RAM is being made or written.
static IMAGE: Atomic<bool> = Atomic::new(false);

/// Notes whether an image of RAM is being made or written. Requests that come meanwhile and find no
/// S fail: all other writers are frozen, so they are to write the image to a disk of ours, and
/// would wait for a pass phrase that nobody is asked for. Those that wait already go on waiting.
///
/// Context: any.
#[cfg(CONFIG_PM_SLEEP)]
pub(crate) fn note_image(is_made: bool) {
    IMAGE.store(is_made, ordering::Release);
}

/// Whether a request that finds no S is to fail. Context: any.
pub(crate) fn must_fail() -> bool {
    fails_without_s() || IMAGE.load(ordering::Acquire) || phase() == Phase::SelfTest
}

/// Notes that S is on no CPU although the machine is unlocked: the CPUs that had it are gone.
///
/// Context: any.
pub(crate) fn note_loss() {
    // Hints are set before the phase says that they are, so this look is not too early.
    if phase() == Phase::Unlocked && holder().is_none() && change(Phase::Unlocked, Phase::Locked) {
        GATE.close();
        pr_err!("no CPU has the key any more; requests wait until it is unlocked again\n");
    }
}

/// What the debug registers of this machine are used for. Context: any.
pub(crate) fn phase() -> Phase {
    // Only `change()` writes it.
    Phase::from_number(PHASE.load(ordering::Relaxed)).unwrap_or(Phase::Locked)
}

/// Goes from `from` to `to` if `from` is what the phase is and `to` may follow it; false otherwise.
/// Each change is claimed by one caller. Context: any.
pub(crate) fn change(from: Phase, to: Phase) -> bool {
    from.may_become(to)
        && PHASE
            .cmpxchg(from as u32, to as u32, ordering::Full)
            .is_ok()
}

/// Goes from one of `from` to `to` as soon as that is possible, and returns which it was.
///
/// Fails with `EBUSY` after a minute.
///
/// Context: process context, sleeps.
pub(crate) fn claim(from: &[Phase], to: Phase) -> Result<Phase> {
    const STEP: Delta = Delta::from_millis(10);
    const STEPS: u32 = 6000;
    for _ in 0..STEPS {
        if let Some(&before) = from.iter().find(|&&before| change(before, to)) {
            return Ok(before);
        }
        fsleep(STEP);
    }
    Err(EBUSY)
}

/// Waits until nobody is about to change the registers. Fails with `EINTR` if a signal comes first.
///
/// Context: process context, sleeps.
pub(crate) fn wait_at_rest() -> Result {
    const STEP: Delta = Delta::from_millis(10);
    while !phase().is_at_rest() {
        if current!().signal_pending() {
            return Err(EINTR);
        }
        fsleep(STEP);
    }
    Ok(())
}

/// CPUs that were seen to have S.
static HOLDERS: [Atomic<bool>; bindings::NR_CPUS as usize] =
    [const { Atomic::new(false) }; bindings::NR_CPUS as usize];

/// Notes whether the CPU this runs on has S. Context: any in which the task cannot move to another
/// CPU.
pub(crate) fn note_this_cpu(has_s: bool) {
    if let Some(holder) = HOLDERS.get(CpuId::current().as_u32() as usize) {
        // Written only when it changes: the line is shared by all CPUs, and this is called for each
        // request.
        if holder.load(ordering::Relaxed) != has_s {
            holder.store(has_s, ordering::Relaxed);
        }
    }
}

/// Notes that no CPU has S, when that is known. Context: any.
pub(crate) fn forget_holders() {
    for holder in &HOLDERS {
        holder.store(false, ordering::Relaxed);
    }
}

/// The next online CPU after this one that was seen to have S, so that the CPUs without S spread
/// their requests. Context: any.
pub(crate) fn holder() -> Option<CpuId> {
    let count = nr_cpu_ids();
    let this = CpuId::current().as_u32();
    (1..=count)
        .filter_map(|step| CpuId::from_u32(this.wrapping_add(step).checked_rem(count)?))
        .find(|&cpu| has_s(cpu))
}

/// How many online CPUs are as asked. Context: any.
pub(crate) fn cpus(are: impl Fn(CpuId) -> bool) -> u32 {
    let number = |cpu| u32::from(is_online(cpu) && are(cpu));
    (0..nr_cpu_ids())
        .filter_map(CpuId::from_u32)
        .map(number)
        .sum()
}

/// Whether a CPU is online. Context: any.
fn is_online(cpu: CpuId) -> bool {
    // SAFETY: The mask lives as long as the kernel; its bits are read atomically.
    unsafe { Cpumask::from_raw(&raw const bindings::__cpu_online_mask) }.test(cpu)
}

/// Whether a CPU is online and was seen to have S. Context: any.
pub(crate) fn has_s(cpu: CpuId) -> bool {
    is_online(cpu)
        && HOLDERS
            .get(cpu.as_u32() as usize)
            .is_some_and(|holder| holder.load(ordering::Relaxed))
}
