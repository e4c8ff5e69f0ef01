// SPDX-License-Identifier: GPL-2.0

//! Interrupting the guest at chosen instructions.
//!
//! The interface for plugins has nothing for this, but QEMU's executable exports its symbols, so the plugin asks the CPU itself for an
//! interrupt. It is taken before the next block of guest code. With one instruction per block (`one-insn-per-tb`, which the harness
//! switches on) that is the boundary right after the instruction before which the plugin was called.
//!
//! An engine goes on after an interrupt, so it is interrupted again at each next instruction. A window routine starts again from its first
//! instruction: interrupted everywhere, it would never end. So it is swept: an interrupt at the first boundary, in the next attempt at the
//! second one, and so on, until an attempt passes without any and the routine returns.
//!
//! A single-step trap comes one instruction later than the others: after the instruction that ran with the trap flag set.

use std::ffi::{c_char, c_int, c_uint, c_void, CStr};
use std::mem::transmute;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use anyhow::{ensure, Result};

use crate::api::{self, GByteArray, InstructionCallback};
use crate::config::{Range, Storm};
use crate::plugin::{add, plugin};
use crate::shared::{Vector, CPUS, IN_ENGINES, IN_WINDOWS, ONCE};

/// `CPU_INTERRUPT_NMI` of QEMU's x86 target.
const NMI: c_int = 0x200;
/// `CPU_INTERRUPT_MCE`.
const MACHINE_CHECK: c_int = 0x1000;
/// The trap flag (SDM Vol. 1, 3.4.3.3).
const TRAP_FLAG: u32 = 1 << 8;
/// The numbers of registers in QEMU's interface for debuggers.
const RAX: c_int = 0;
const FLAGS: c_int = 17;

type Cpu = *mut c_void;

/// The functions of QEMU that do it.
pub(crate) struct Injector {
    qemu_get_cpu: extern "C" fn(c_int) -> Cpu,
    cpu_interrupt: extern "C" fn(Cpu, c_int),
    bql_lock_impl: extern "C" fn(*const c_char, c_int),
    bql_unlock: extern "C" fn(),
    read_register: extern "C" fn(Cpu, *mut GByteArray, c_int) -> c_int,
    write_register: extern "C" fn(Cpu, *mut u8, c_int) -> c_int,
    sweeps: [Sweep; CPUS],
}

/// How far a CPU's sweep of a window routine has come.
#[derive(Default)]
struct Sweep {
    /// The instruction after which the last interrupt came.
    done: AtomicU64,
    /// Since then no instruction of the routine has run.
    interrupted: AtomicBool,
    /// The trap flag is set, and the trap has not come yet: it comes after the instruction that runs with it.
    trap_is_due: AtomicBool,
}

impl Injector {
    /// Looks the functions up in the running QEMU.
    pub(crate) fn find() -> Result<Self> {
        // SAFETY: The names are QEMU's own, and these are their types in QEMU 10.0 and 11.1 (include/hw/core/cpu.h,
        // include/qemu/main-loop.h, target/i386/cpu.h).
        unsafe {
            Ok(Self {
                qemu_get_cpu: transmute::<*mut c_void, extern "C" fn(c_int) -> Cpu>(symbol(
                    c"qemu_get_cpu",
                )?),
                cpu_interrupt: transmute::<*mut c_void, extern "C" fn(Cpu, c_int)>(symbol(
                    c"cpu_interrupt",
                )?),
                bql_lock_impl: transmute::<*mut c_void, extern "C" fn(*const c_char, c_int)>(
                    symbol(c"bql_lock_impl")?,
                ),
                bql_unlock: transmute::<*mut c_void, extern "C" fn()>(symbol(c"bql_unlock")?),
                read_register: transmute::<
                    *mut c_void,
                    extern "C" fn(Cpu, *mut GByteArray, c_int) -> c_int,
                >(symbol(c"x86_cpu_gdb_read_register")?),
                write_register: transmute::<*mut c_void, extern "C" fn(Cpu, *mut u8, c_int) -> c_int>(
                    symbol(c"x86_cpu_gdb_write_register")?,
                ),
                sweeps: Default::default(),
            })
        }
    }

    /// Interrupts a CPU after its current instruction. On this CPU's thread.
    fn inject(&self, cpu: c_uint, vector: Vector) {
        let number = cpu;
        let cpu = (self.qemu_get_cpu)(cpu as c_int);
        match vector {
            Vector::None => return,
            Vector::Nmi => self.interrupt(cpu, NMI),
            Vector::MachineCheck => self.interrupt(cpu, MACHINE_CHECK),
            Vector::Clear => drop((self.write_register)(cpu, [0; 8].as_mut_ptr(), RAX)),
            Vector::Debug => {
                self.set_trap_flag(cpu);
                if let Some(sweep) = self.sweeps.get(number as usize) {
                    sweep.trap_is_due.store(true, Relaxed);
                }
            }
        }
        add(&plugin().counters(number).injected, 1);
    }

    fn interrupt(&self, cpu: Cpu, kind: c_int) {
        // A CPU runs guest code without QEMU's big lock, which cpu_interrupt() wants held.
        (self.bql_lock_impl)(c"watcher".as_ptr(), 0);
        (self.cpu_interrupt)(cpu, kind);
        (self.bql_unlock)();
    }

    /// The next instruction runs with the trap flag set, so a #DB comes after it. The handler of the kernel clears the flag again.
    fn set_trap_flag(&self, cpu: Cpu) {
        let array = crate::frame::scratch();
        // SAFETY: The array belongs to this thread; its data are valid for its length.
        let flags = unsafe {
            api::g_byte_array_set_size(array, 0);
            (self.read_register)(cpu, array, FLAGS);
            let bytes = std::slice::from_raw_parts((*array).data, (*array).len as usize);
            bytes
                .get(..4)
                .and_then(|bytes| bytes.try_into().ok())
                .map(u32::from_le_bytes)
        };
        let Some(flags) = flags else {
            crate::plugin::fail(&anyhow::anyhow!("QEMU shows no flags register"));
        };
        let mut bytes = (flags | TRAP_FLAG).to_le_bytes();
        (self.write_register)(cpu, bytes.as_mut_ptr(), FLAGS);
    }
}

fn symbol(name: &CStr) -> Result<*mut c_void> {
    // SAFETY: A null handle means the global scope.
    let address = unsafe { api::dlsym(null_mut(), name.as_ptr()) };
    ensure!(
        !address.is_null(),
        "this QEMU does not export {}: storms need Debian's build, or one with all symbols exported",
        name.to_string_lossy()
    );
    Ok(address)
}

/// What to call before the instruction at `rip`, if a storm may be about it.
pub(crate) fn callback(storm: &Storm, rip: u64) -> Option<InstructionCallback> {
    if storm.windows.iter().any(|range| range.contains(rip)) {
        return Some(in_window);
    }
    let in_engines = storm.engines.iter().any(|range| range.contains(rip));
    in_engines.then_some(in_engine)
}

extern "C" fn in_window(cpu: c_uint, rip: *mut c_void) {
    let plugin = plugin();
    let vector = plugin.shared.vector();
    let (Some(injector), true) = (&plugin.injector, vector != Vector::None) else {
        return;
    };
    let rip = rip as u64;
    let Some(routine) = containing(&plugin.storm.windows, rip) else {
        return;
    };
    let base = first(&plugin.storm.windows);
    plugin.counters(cpu).window_runs.set(rip - base);
    let Some(sweep) = injector.sweeps.get(cpu as usize) else {
        return;
    };
    let restarted = sweep.interrupted.swap(false, Relaxed);
    if rip == routine.start && !restarted {
        sweep.done.store(0, Relaxed);
    }
    if sweep.trap_is_due.load(Relaxed) {
        return;
    }
    let done = sweep.done.load(Relaxed);
    if (rip > done || !routine.contains(done)) && wanted(IN_WINDOWS) {
        sweep.done.store(rip, Relaxed);
        injector.inject(cpu, vector);
    }
}

extern "C" fn in_engine(cpu: c_uint, rip: *mut c_void) {
    let plugin = plugin();
    let vector = plugin.shared.vector();
    let (Some(injector), true) = (&plugin.injector, vector != Vector::None) else {
        return;
    };
    let base = first(&plugin.storm.engines);
    let trap_is_due = injector
        .sweeps
        .get(cpu as usize)
        .is_some_and(|sweep| sweep.trap_is_due.load(Relaxed));
    let shared = &plugin.shared;
    let again =
        shared.places.load(Relaxed) & ONCE != 0 && shared.engine_runs.get(rip as u64 - base);
    if !trap_is_due && !again && wanted(IN_ENGINES) {
        shared.engine_runs.set(rip as u64 - base);
        injector.inject(cpu, vector);
    }
}

/// Whether the storm is about this place and has not had all its interruptions; takes one of them.
fn wanted(place: u64) -> bool {
    let shared = &plugin().shared;
    shared.places.load(Relaxed) & place != 0
        && shared.injected.load(Relaxed) < shared.limit.load(Relaxed)
        && shared.injected.fetch_add(1, Relaxed) < shared.limit.load(Relaxed)
}

/// A handler was entered; `rip` is the address that was interrupted.
pub(crate) fn interrupted(cpu: c_uint, by: Vector, rip: u64) {
    let plugin = plugin();
    if by == Vector::None || by != plugin.shared.vector() {
        return;
    }
    let sweep = plugin
        .injector
        .as_ref()
        .and_then(|injector| injector.sweeps.get(cpu as usize));
    if let Some(sweep) = sweep {
        sweep.trap_is_due.store(false, Relaxed);
    }
    let counters = plugin.counters(cpu);
    if containing(&plugin.storm.windows, rip).is_some() {
        add(&counters.in_windows, 1);
        counters.window_hits.set(rip - first(&plugin.storm.windows));
        if let Some(sweep) = sweep {
            sweep.interrupted.store(true, Relaxed);
        }
    } else if containing(&plugin.storm.choices, rip).is_some() {
        add(&counters.in_windows, 1);
    } else if containing(&plugin.storm.engines, rip).is_some() {
        add(&counters.in_engines, 1);
        plugin
            .shared
            .engine_hits
            .set(rip - first(&plugin.storm.engines));
    }
}

fn containing(ranges: &[Range], rip: u64) -> Option<&Range> {
    ranges.iter().find(|range| range.contains(rip))
}

/// The lowest address of the ranges, from which bit maps count.
fn first(ranges: &[Range]) -> u64 {
    ranges.iter().map(|range| range.start).min().unwrap_or(0)
}
