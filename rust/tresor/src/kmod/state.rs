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
    sync::atomic::{ordering, Atomic},
};

/// What the debug registers of this machine are used for. Each change is claimed by one caller.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Phase {
    /// No S: nothing can be encrypted or decrypted.
    Locked = 0,
    /// A public S is there while the crypto API tests the cipher.
    SelfTest = 1,
    /// S is being computed.
    Unlocking = 2,
    /// S is there.
    Unlocked = 3,
}

static PHASE: Atomic<u32> = Atomic::new(Phase::Locked as u32);

/// Goes from `from` to `to` if `from` is what the phase is; false otherwise. Context: any.
pub(crate) fn change(from: Phase, to: Phase) -> bool {
    PHASE
        .cmpxchg(from as u32, to as u32, ordering::Full)
        .is_ok()
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

/// The next online CPU after this one that was seen to have S, so that the CPUs without S spread
/// their requests. Context: any.
pub(crate) fn holder() -> Option<CpuId> {
    // SAFETY: The mask lives as long as the kernel; its bits are read atomically.
    let online = unsafe { Cpumask::from_raw(&raw const bindings::__cpu_online_mask) };
    let count = nr_cpu_ids();
    let this = CpuId::current().as_u32();
    (1..=count)
        .filter_map(|step| CpuId::from_u32(this.wrapping_add(step).checked_rem(count)?))
        .find(|&cpu| {
            online.test(cpu)
                && HOLDERS
                    .get(cpu.as_u32() as usize)
                    .is_some_and(|holder| holder.load(ordering::Relaxed))
        })
}
