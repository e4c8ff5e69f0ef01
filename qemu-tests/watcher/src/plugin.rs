// SPDX-License-Identifier: GPL-2.0

//! What QEMU calls: at the start, for each virtual CPU, for each block it translates, after each store.
//!
//! A mistake here must not pass for a guest without leaks. So whatever goes wrong is printed to QEMU's log, noted in the shared file, and
//! ends QEMU.

use std::ffi::{c_char, c_int, c_uint, c_void, CStr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::OnceLock;

use anyhow::{ensure, Context, Result};

use crate::api::{self, Id, Registers};
use crate::config::{Config, Storm};
use crate::frame::Frames;
use crate::probe::probe;
use crate::ram::Ram;
use crate::report::{Hit, Report};
use crate::shared::{Counters, SharedFile, State, CPUS};
use crate::storm::Injector;
use crate::table::{Run, Table};

/// The interface that this plugin speaks; QEMU refuses to load it if that is not among those it offers.
#[cfg_attr(feature = "plugin", no_mangle)]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: c_int = api::VERSION;

/// Set when QEMU loads the plugin, once in its process.
static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// The plugin as it was configured.
pub(crate) struct Plugin {
    pub(crate) table: Table,
    pub(crate) shared: SharedFile,
    report: Report,
    ram: OnceLock<Ram>,
    ram_file: (PathBuf, u64),
    pub(crate) storm: Storm,
    pub(crate) injector: Option<Injector>,
    pub(crate) frames: Frames,
}

/// Where a run was found.
pub(crate) struct Place {
    pub(crate) rip: u64,
    pub(crate) virt: u64,
    pub(crate) phys: u64,
    pub(crate) size: u64,
    pub(crate) pushed: bool,
}

impl Plugin {
    fn new(config: Config) -> Result<Self> {
        // Without a harness there is no file yet.
        let shared = match config.shared.exists() {
            true => SharedFile::open(&config.shared)?,
            false => SharedFile::create(&config.shared)?,
        };
        let wants_injection = !config.storm.windows.is_empty() || !config.storm.engines.is_empty();
        let table = Table::new(config.secrets);
        shared.random_windows.store(table.random_windows(), Relaxed);
        Ok(Self {
            table,
            shared,
            report: Report::create(&config.hits)?,
            ram: OnceLock::new(),
            ram_file: (config.ram, config.ram_bytes),
            injector: wants_injection.then(Injector::find).transpose()?,
            storm: config.storm,
            frames: Frames::default(),
        })
    }

    /// The counters of a CPU.
    pub(crate) fn counters(&self, cpu: c_uint) -> &Counters {
        match self.shared.cpus.get(cpu as usize) {
            Some(counters) => counters,
            None => fail(&anyhow::anyhow!(
                "the guest has more than {CPUS} CPUs: the counters have no room"
            )),
        }
    }

    /// Counts and lists a run.
    #[cold]
    pub(crate) fn found(&self, cpu: c_uint, run: &Run, place: &Place) {
        let secret = &self.table.secrets()[run.secret];
        let counters = self.counters(cpu);
        add(
            if secret.pass_phrase {
                &counters.pass_phrase
            } else {
                &counters.leaks
            },
            1,
        );
        let hit = Hit {
            rip: place.rip,
            virt: place.virt,
            phys: place.phys,
            size: place.size,
            run: run.len,
            secret_offset: run.secret_offset as u64,
            secret: secret.label.clone(),
            cpu,
            pushed: place.pushed,
            pass_phrase: secret.pass_phrase,
        };
        if let Err(error) = self.report.add(&hit) {
            fail(&error);
        }
    }
}

/// The plugin, in a callback.
#[inline]
pub(crate) fn plugin() -> &'static Plugin {
    match PLUGIN.get() {
        Some(plugin) => plugin,
        None => fail(&anyhow::anyhow!("QEMU called the plugin before loading it")),
    }
}

/// Counts. Only the CPU that owns the counter calls this, so no locked instruction is needed.
#[inline]
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed) + n, Relaxed);
}

/// Says what is wrong and ends QEMU.
#[cold]
pub(crate) fn fail(error: &anyhow::Error) -> ! {
    eprintln!("watcher: {error:#}");
    if let Some(plugin) = PLUGIN.get() {
        plugin.shared.set_state(State::Failed);
    }
    std::process::abort();
}

/// QEMU's first call. A result other than 0 makes QEMU end.
///
/// # Safety
///
/// Only QEMU may call this, when it loads the plugin; `arguments` are `count` strings.
#[cfg_attr(feature = "plugin", no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    _info: *const c_void,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    let arguments = (0..count as usize).map(|index| {
        // SAFETY: By this function's own requirement.
        unsafe { CStr::from_ptr(*arguments.add(index)) }
    });
    match configure(arguments) {
        Ok(plugin) => {
            if PLUGIN.set(plugin).is_err() {
                eprintln!("watcher: loaded twice: give `-plugin` once");
                return 1;
            }
        }
        Err(error) => {
            eprintln!("watcher: {error:#}");
            return 1;
        }
    }
    // SAFETY: This is the call of `qemu_plugin_install` with this id.
    unsafe {
        api::on_cpu(id, new_cpu);
        api::on_translation(id, translated);
        #[cfg(feature = "v7")]
        api::on_event(id, crate::frame::event);
    }
    0
}

fn configure<'a>(arguments: impl Iterator<Item = &'a CStr>) -> Result<Plugin> {
    let mut config = None;
    for argument in arguments {
        let text = argument.to_string_lossy();
        let path = text
            .strip_prefix("config=")
            .with_context(|| format!("unknown argument `{text}`: give config=PATH"))?;
        config = Some(Config::read(path.as_ref())?);
    }
    Plugin::new(config.context("give the path of the configuration: config=PATH")?)
}

/// On each virtual CPU's own thread, before its first instruction. QEMU has made the RAM file by then.
#[cfg(not(feature = "v7"))]
extern "C" fn new_cpu(_id: Id, cpu: c_uint) {
    new_cpu_of_any_version(cpu);
}

#[cfg(feature = "v7")]
extern "C" fn new_cpu(cpu: c_uint, _user: *mut c_void) {
    new_cpu_of_any_version(cpu);
}

fn new_cpu_of_any_version(cpu: c_uint) {
    if let Err(error) = prepare(cpu) {
        fail(&error);
    }
}

fn prepare(cpu: c_uint) -> Result<()> {
    let plugin = plugin();
    ensure!(
        (cpu as usize) < CPUS,
        "the guest has more than {CPUS} CPUs: the counters have no room"
    );
    if plugin.ram.get().is_none() {
        let (path, bytes) = &plugin.ram_file;
        // Another CPU may be doing the same, with the same result.
        drop(plugin.ram.set(Ram::map(path, *bytes)?));
    }
    plugin.frames.prepare(cpu)?;
    plugin.shared.set_state(State::Armed);
    Ok(())
}

#[cfg(not(feature = "v7"))]
extern "C" fn translated(_id: Id, block: *mut c_void) {
    instrument(block);
}

#[cfg(feature = "v7")]
extern "C" fn translated(block: *mut c_void, _user: *mut c_void) {
    instrument(block);
}

/// Asks for a call after each store of a block, and before the instructions that frames and storms are about.
fn instrument(block: *mut c_void) {
    let plugin = plugin();
    // SAFETY: QEMU gave the block for the time of its callback, and the indices are below its number of instructions.
    unsafe {
        for index in 0..api::qemu_plugin_tb_n_insns(block) {
            let instruction = api::qemu_plugin_tb_get_insn(block, index);
            let rip = api::qemu_plugin_insn_vaddr(instruction);
            let user = rip as *mut c_void;
            if let Some((callback, registers)) = crate::frame::callback(&plugin.storm, rip)
                .map(|callback| (callback, Registers::Read))
                .or_else(|| {
                    crate::storm::callback(&plugin.storm, rip)
                        .map(|callback| (callback, Registers::ReadWrite))
                })
            {
                api::qemu_plugin_register_vcpu_insn_exec_cb(instruction, callback, registers, user);
            }
            api::qemu_plugin_register_vcpu_mem_cb(
                instruction,
                stored,
                Registers::No,
                api::STORES,
                user,
            );
        }
    }
}

extern "C" fn stored(cpu: c_uint, info: u32, virt: u64, rip: *mut c_void) {
    let plugin = plugin();
    let counters = plugin.counters(cpu);
    // SAFETY: `info` and `virt` are those of this callback, and `place` is used before it returns.
    let (size, phys) = unsafe {
        let size = 1 << api::qemu_plugin_mem_size_shift(info);
        let place = api::qemu_plugin_get_hwaddr(info, virt);
        if place.is_null() {
            add(&counters.unseen_stores, 1);
            return;
        }
        if api::qemu_plugin_hwaddr_is_io(place) {
            add(&counters.device_stores, 1);
            return;
        }
        (size, api::qemu_plugin_hwaddr_phys_addr(place))
    };
    let Some(ram) = plugin.ram.get() else {
        fail(&anyhow::anyhow!(
            "a store before the guest's RAM was mapped"
        ));
    };
    if phys + size > ram.len() {
        add(&counters.device_stores, 1);
        return;
    }
    let found = probe(&plugin.table, ram, phys, size);
    add(&counters.stores, 1);
    add(&counters.words, found.words);
    if found.short > 0 {
        add(&counters.short_runs, found.short);
    }
    if let Some(run) = &found.run {
        let place = Place {
            rip: rip as u64,
            virt,
            phys: run.start,
            size,
            pushed: false,
        };
        plugin.found(cpu, run, &place);
    }
}
