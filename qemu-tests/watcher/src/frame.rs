// SPDX-License-Identifier: GPL-2.0

//! What the CPU itself pushes when it takes an interrupt or exception: no store instruction does that, so no store callback tells.
//!
//! The frame is read at the first instruction of each handler that the harness names; with QEMU 11.1 also, whatever the handler, when QEMU
//! tells that the CPU has taken the event.

use std::cell::Cell;
#[cfg(feature = "v7")]
use std::ffi::c_int;
use std::ffi::{c_uint, c_void, CStr};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use anyhow::{ensure, Result};

use crate::api::{self, GByteArray, InstructionCallback, RegisterDescriptor};
use crate::config::Storm;
use crate::plugin::{add, fail, plugin, Place};
use crate::probe::probe;
use crate::shared::CPUS;

/// Bytes from the stack pointer up that a frame takes: five words at least, then an error code, and one word that an entry stub has pushed.
/// A stack of its own (IST) ends where the frame does, so the longest that can be read is taken.
const FRAMES: [usize; 3] = [56, 48, 40];
/// The longest.
const FRAME: usize = FRAMES[0];

/// Handles of the stack pointers.
#[derive(Default)]
pub(crate) struct Frames {
    rsp: [AtomicPtr<c_void>; CPUS],
}

impl Frames {
    /// Finds the stack pointer of a CPU, on this CPU's thread.
    pub(crate) fn prepare(&self, cpu: c_uint) -> Result<()> {
        // SAFETY: In a callback of this CPU. QEMU hands over an array of descriptors, whose names are static strings.
        unsafe {
            let array = api::qemu_plugin_get_registers();
            let registers = std::slice::from_raw_parts(
                (*array).data.cast::<RegisterDescriptor>(),
                (*array).len as usize,
            );
            let rsp = registers
                .iter()
                .find(|register| CStr::from_ptr(register.name) == c"rsp")
                .map(|register| register.handle);
            // The segment is freed as well: no descriptor is used after this.
            let freed = rsp.unwrap_or(null_mut());
            self.rsp[cpu as usize].store(freed, Relaxed);
            api::g_array_free(array, 1);
            ensure!(rsp.is_some(), "QEMU shows no register rsp of CPU {cpu}");
        }
        Ok(())
    }
}

thread_local! {
    /// What QEMU writes registers and memory to; made once for each CPU's thread.
    static SCRATCH: Cell<*mut GByteArray> = const { Cell::new(null_mut()) };
}

pub(crate) fn scratch() -> *mut GByteArray {
    if SCRATCH.get().is_null() {
        // SAFETY: glib's allocator ends the process rather than fail.
        SCRATCH.set(unsafe { api::g_byte_array_new() });
    }
    SCRATCH.get()
}

/// The stack pointer and the frame at it, zeros behind. None if it cannot be read.
fn read(cpu: c_uint) -> Option<(u64, [u8; FRAME])> {
    let array = scratch();
    let handle = plugin().frames.rsp[cpu as usize].load(Relaxed);
    // SAFETY: In a callback of this CPU with the right to read registers; the handle is one of its registers. The array belongs to this
    // thread, and its data are valid for its length.
    unsafe {
        api::g_byte_array_set_size(array, 0);
        api::qemu_plugin_read_register(handle, array);
        let bytes = std::slice::from_raw_parts((*array).data, (*array).len as usize);
        let rsp = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
        for len in FRAMES {
            if api::qemu_plugin_read_memory_vaddr(rsp, array, len) {
                let mut frame = [0; FRAME];
                let bytes = std::slice::from_raw_parts((*array).data, (*array).len as usize);
                frame.get_mut(..len)?.copy_from_slice(bytes.get(..len)?);
                return Some((rsp, frame));
            }
        }
        None
    }
}

/// Reads the frame and looks for secrets in it.
fn check(cpu: c_uint, rip: u64) -> Option<[u8; FRAME]> {
    let plugin = plugin();
    let counters = plugin.counters(cpu);
    let Some((rsp, frame)) = read(cpu) else {
        add(&counters.unreadable_frames, 1);
        return None;
    };
    add(&counters.frames, 1);
    let found = probe(&plugin.table, &frame[..], 0, FRAME as u64);
    if let Some(run) = &found.run {
        let place = Place {
            rip,
            virt: rsp + run.start,
            phys: 0,
            size: FRAME as u64,
            pushed: true,
        };
        plugin.found(cpu, run, &place);
    }
    Some(frame)
}

/// Where the kernel's half of the address space begins.
#[cfg(feature = "v7")]
const KERNEL: u64 = 1 << 63;

/// A CPU has taken an interrupt or exception and pushed its frame; the handler has not begun. Those of firmware, and of the kernel before it
/// lies where it was linked, are left out: their stacks are segments of real mode, and nobody has asked for a pass phrase yet.
#[cfg(feature = "v7")]
pub(crate) extern "C" fn event(cpu: c_uint, _kind: c_int, _from: u64, to: u64, _user: *mut c_void) {
    if to >= KERNEL {
        add(&plugin().counters(cpu).events, 1);
        check(cpu, to);
    }
}

/// What to call before the instruction at `rip`, if it is the first one of a handler.
pub(crate) fn callback(storm: &Storm, rip: u64) -> Option<InstructionCallback> {
    let is_entry = storm.entries.iter().any(|entry| entry.address == rip);
    is_entry.then_some(entered)
}

extern "C" fn entered(cpu: c_uint, rip: *mut c_void) {
    let plugin = plugin();
    let rip = rip as u64;
    let Some(entry) = plugin
        .storm
        .entries
        .iter()
        .find(|entry| entry.address == rip)
    else {
        fail(&anyhow::anyhow!("{rip:#x} is no handler"));
    };
    let Some(frame) = check(cpu, rip) else {
        return;
    };
    let at = entry.rip_offset as usize;
    if let Some(bytes) = frame.get(at..at + 8) {
        let mut word = [0; 8];
        word.copy_from_slice(bytes);
        crate::storm::interrupted(cpu, entry.vector, u64::from_le_bytes(word));
    }
}
