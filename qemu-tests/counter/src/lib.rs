// SPDX-License-Identifier: GPL-2.0

//! A QEMU TCG plugin that counts the instructions of chosen functions, by what they are spent on.
//!
//! `-plugin libcounter.so,plan=FILE,records=FILE`: see [`plan`] for the first file; each call and each stretch that ends adds a line to
//! the second one, `NAME N0 N1 N2 ...`, the instructions of each kind. One virtual CPU; the guest's kernel must be where it was linked
//! (`nokaslr`).
//!
//! QEMU translates the guest in blocks that are entered only at their start. Each block gets, at its start, one addition for each kind of
//! instruction in it and one callback. Calls, returns, interrupts and `sti` end a block; so every moment of interest is the start of
//! one. A block that a fault cuts short is counted whole, but then the fault's handler shows in the record, which its reader drops.

mod api;
mod plan;

use std::ffi::{c_char, c_int, c_uint, c_void, CStr, CString};
use std::io::Write;
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use anyhow::{anyhow, bail, Context, Result};
use fs_err as fs;

use api::{Id, Number};
use plan::{Mark, Plan};

/// The version of the interface that [`api`] declares; QEMU reads it.
#[no_mangle]
#[allow(non_upper_case_globals, reason = "QEMU looks for this name")]
pub static qemu_plugin_version: c_int = 4;

/// Where the block that was executed last ends. At the first block of a function this is where the function returns to.
static LAST_END: AtomicU64 = AtomicU64::new(0);

static COUNTER: OnceLock<Counter> = OnceLock::new();

/// The counting of the one virtual CPU.
struct Counter {
    plan: Plan,
    scoreboard: Shared,
    /// For each name: where the call that is open returns to, or 0.
    returns: Vec<AtomicU64>,
    /// For each name: the numbers when it was opened, if it is open.
    open: Mutex<Vec<Option<Vec<u64>>>>,
    records: Mutex<fs::File>,
}

struct Shared(*mut api::Scoreboard);

// SAFETY: QEMU's functions on scoreboards may be called by any thread.
unsafe impl Send for Shared {}
// SAFETY: As above.
unsafe impl Sync for Shared {}

/// What the execution callback knows of its block.
struct Block {
    start: u64,
    end: u64,
    marks: Vec<(Mark, usize)>,
}

impl Counter {
    fn number(&self, kind: usize) -> Number {
        Number {
            scoreboard: self.scoreboard.0,
            offset: kind * size_of::<u64>(),
        }
    }

    /// The instructions executed so far.
    fn now(&self) -> Vec<u64> {
        (0..self.plan.kinds)
            // SAFETY: The scoreboard has an element for CPU 0, with a number for each kind.
            .map(|kind| unsafe { api::qemu_plugin_u64_get(self.number(kind), 0) })
            .collect()
    }

    fn begin(&self, name: usize) {
        if let Ok(mut open) = self.open.lock() {
            open[name] = Some(self.now());
        }
    }

    fn end(&self, name: usize) {
        let Ok(mut open) = self.open.lock() else {
            return;
        };
        let Some(from) = open[name].take() else {
            return;
        };
        let mut line = self.plan.names[name].clone();
        for (now, from) in self.now().iter().zip(from) {
            line.push_str(&format!(" {}", now - from));
        }
        line.push('\n');
        if let Ok(mut records) = self.records.lock() {
            if let Err(error) = records.write_all(line.as_bytes()) {
                say(&format!("counter: a record is lost: {error}\n"));
            }
        }
    }
}

/// A block is about to be executed.
extern "C" fn executed(_cpu: c_uint, data: *mut c_void) {
    // SAFETY: `translated()` gave QEMU this pointer to a block that is never freed.
    let block = unsafe { &*data.cast::<Block>() };
    let Some(counter) = COUNTER.get() else { return };
    let came_from = LAST_END.swap(block.end, Ordering::Relaxed);
    for (name, returns) in counter.returns.iter().enumerate() {
        if returns.load(Ordering::Relaxed) == block.start {
            returns.store(0, Ordering::Relaxed);
            counter.end(name);
        }
    }
    for &(mark, name) in &block.marks {
        match mark {
            Mark::Call => {
                counter.returns[name].store(came_from, Ordering::Relaxed);
                counter.begin(name);
            }
            Mark::Open => counter.begin(name),
            Mark::Close => counter.end(name),
        }
    }
}

/// A block is about to be translated.
extern "C" fn translated(_id: Id, raw: *mut api::Block) {
    let Some(counter) = COUNTER.get() else { return };
    // SAFETY: QEMU calls this with a valid block that has at least one instruction.
    let instructions: Vec<_> = unsafe {
        (0..api::qemu_plugin_tb_n_insns(raw))
            .map(|index| api::qemu_plugin_tb_get_insn(raw, index))
            .map(|it| {
                (
                    api::qemu_plugin_insn_vaddr(it),
                    api::qemu_plugin_insn_size(it),
                )
            })
            .collect()
    };
    let (Some(&(start, _)), Some(&(last, size))) = (instructions.first(), instructions.last())
    else {
        return;
    };
    let block = Box::leak(Box::new(Block {
        start,
        end: last + size as u64,
        marks: counter.plan.marks.get(&start).cloned().unwrap_or_default(),
    }));
    let mut of_kind = vec![0; counter.plan.kinds];
    for (at, _) in instructions {
        of_kind[counter.plan.kind(at)] += 1;
    }
    // First the callback: what it reads is from before this block.
    // SAFETY: `raw` is valid during this call, and `block` for ever.
    unsafe {
        api::qemu_plugin_register_vcpu_tb_exec_cb(
            raw,
            executed,
            api::NO_REGISTERS,
            ptr::from_mut(block).cast(),
        );
    }
    for (kind, &count) in of_kind.iter().enumerate().filter(|(_, &count)| count > 0) {
        // SAFETY: As above; the scoreboard has a number for each kind.
        unsafe {
            api::qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
                raw,
                api::ADD,
                counter.number(kind),
                count,
            );
        }
    }
}

/// Called by QEMU before the machine starts; not 0 ends QEMU.
///
/// # Safety
///
/// `argv` must have `argc` C strings.
#[no_mangle]
pub unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let arguments = (0..usize::try_from(argc).unwrap_or(0))
        // SAFETY: By this function's own safety requirement.
        .map(|index| unsafe { CStr::from_ptr(*argv.add(index)) })
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect::<Vec<_>>();
    if let Err(error) = install(&arguments) {
        say(&format!("counter: {error:#}\n"));
        return 1;
    }
    // SAFETY: `id` is the one that QEMU gave.
    unsafe { api::qemu_plugin_register_vcpu_tb_trans_cb(id, translated) };
    0
}

fn install(arguments: &[String]) -> Result<()> {
    let (mut plan, mut records) = (None, None);
    for argument in arguments {
        match argument.split_once('=') {
            Some(("plan", file)) => plan = Some(Plan::parse(&fs::read_to_string(file)?)?),
            Some(("records", file)) => records = Some(fs::File::create(file)?),
            _ => bail!("unknown argument {argument}: plan=FILE,records=FILE is wanted"),
        }
    }
    let plan = plan.context("plan=FILE is missing")?;
    let records = records.context("records=FILE is missing")?;
    // SAFETY: Any size is allowed.
    let scoreboard = unsafe { api::qemu_plugin_scoreboard_new(plan.kinds * size_of::<u64>()) };
    let counter = Counter {
        returns: plan.names.iter().map(|_| AtomicU64::new(0)).collect(),
        open: Mutex::new(vec![None; plan.names.len()]),
        records: Mutex::new(records),
        scoreboard: Shared(scoreboard),
        plan,
    };
    COUNTER
        .set(counter)
        .map_err(|_| anyhow!("loaded twice: once is enough"))
}

fn say(text: &str) {
    if let Ok(text) = CString::new(text) {
        // SAFETY: A C string.
        unsafe { api::qemu_plugin_outs(text.as_ptr()) };
    }
}
