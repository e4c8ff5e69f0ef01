// SPDX-License-Identifier: GPL-2.0

//! Run a closure on every online CPU, in process context, and wait.
//!
//! Nothing is allocated meanwhile, and the workqueue has a rescuer: what brings S back must not
//! wait for memory that the kernel can only free by writing to a disk that waits for S.

use core::{ffi::c_void, ptr};
use kernel::{
    bindings,
    cpu::{nr_cpu_ids, CpuId},
    cpumask::Cpumask,
    prelude::*,
    static_lock_class,
    sync::atomic::{ordering, Atomic},
};

/// The closure that is being run, or null. Also the lock: one run at a time.
static CLOSURE: Atomic<*const c_void> = Atomic::new(ptr::null());

/// The workqueue; null before [`prepare`].
static QUEUE: Atomic<*mut bindings::workqueue_struct> = Atomic::new(ptr::null_mut());
/// A work item each for the CPUs 0 to `nr_cpu_ids` - 1.
static WORKS: Atomic<*mut bindings::work_struct> = Atomic::new(ptr::null_mut());

/// Allocates what [`run`] needs. To be called once.
///
/// Context: process context, may sleep.
pub(crate) fn prepare() -> Result {
    // SAFETY: The format takes one string.
    let queue = unsafe {
        bindings::alloc_workqueue_noprof(
            c"%s".as_char_ptr(),
            bindings::wq_flags_WQ_MEM_RECLAIM | bindings::wq_flags_WQ_PERCPU,
            0,
            c"tresor".as_char_ptr(),
        )
    };
    if queue.is_null() {
        return Err(ENOMEM);
    }
    let count = nr_cpu_ids() as usize;
    let mut works = KVec::<bindings::work_struct>::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        works.push(Default::default(), GFP_KERNEL)?;
    }
    // They stay for ever.
    let (works, _, _) = works.into_raw_parts();
    WORKS.store(works, ordering::Relaxed);
    QUEUE.store(queue, ordering::Release);
    Ok(())
}

/// Runs `f` once on every CPU that is online, all of them at the same time, and returns when the
/// last is done.
///
/// CPUs cannot come online or go offline meanwhile. Fails with `EBUSY` when another run is under
/// way, and with `ENODEV` before [`prepare`].
///
/// Context: process context, sleeps; `f` runs on a worker bound to its CPU.
pub(crate) fn run<F: Fn() + Sync>(f: &F) -> Result {
    let queue = QUEUE.load(ordering::Acquire);
    if queue.is_null() {
        return Err(ENODEV);
    }
    let closure = ptr::from_ref(f).cast::<c_void>();
    if CLOSURE
        .cmpxchg(ptr::null(), closure, ordering::Full)
        .is_err()
    {
        return Err(EBUSY);
    }
    let works = WORKS.load(ordering::Relaxed);
    // SAFETY: There is a work item for each CPU, at rest, and ours while `CLOSURE` is. `work::<F>`
    // is a work function; it gets `f`, of the type `F`, through `CLOSURE`, which stays set until
    // all of them are flushed. No CPU comes or goes between lock and unlock.
    unsafe {
        #[cfg(CONFIG_HOTPLUG_CPU)]
        bindings::cpus_read_lock();
        let online = || (0..nr_cpu_ids()).filter(|&cpu| is_online(cpu));
        for cpu in online() {
            let item = works.add(cpu as usize);
            bindings::init_work_with_key(
                item,
                Some(work::<F>),
                false,
                c"tresor on each CPU".as_char_ptr(),
                static_lock_class!().as_ptr(),
            );
            bindings::queue_work_on(cpu as c_int, queue, item);
        }
        for cpu in online() {
            bindings::flush_work(works.add(cpu as usize));
        }
        #[cfg(CONFIG_HOTPLUG_CPU)]
        bindings::cpus_read_unlock();
    }
    CLOSURE.store(ptr::null(), ordering::Release);
    Ok(())
}

fn is_online(cpu: u32) -> bool {
    // SAFETY: The mask lives as long as the kernel; its bits are read atomically.
    let online = unsafe { Cpumask::from_raw(&raw const bindings::__cpu_online_mask) };
    CpuId::from_u32(cpu).is_some_and(|cpu| online.test(cpu))
}

/// The work function for a closure of type `F`.
///
/// # Safety
///
/// `CLOSURE` must point to an `F` that outlives the call.
unsafe extern "C" fn work<F: Fn() + Sync>(_work: *mut bindings::work_struct) {
    let closure = CLOSURE.load(ordering::Acquire).cast::<F>();
    // SAFETY: By the safety requirement; `F: Sync`, so that several CPUs may share the reference.
    unsafe { (*closure)() }
}
