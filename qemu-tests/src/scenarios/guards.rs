// SPDX-License-Identifier: GPL-2.0

//! The entry guards: NMI, #MC and #DB before every instruction of a window, and all RAM searched for S when the handler runs.
//!
//! By QEMU's gdbstub, one boundary after the other: the machine stops there, the event is made pending, and the machine goes
//! on to the C function of its handler, where all registers have been stored. On the control kernel, which has no guards, the
//! same must find S.

use anyhow::{bail, ensure, Context, Result};
use guest_init::protocol::LoadReport;
use serde_json::json;

use super::hotplug::expect_progress;
use super::lab::{Lab, PATIENCE};
use crate::console::ACCEPTED;
use crate::gdbstub::Gdb;
use crate::guest::Guest;
use crate::machine::{Config, Machine};
use crate::proof::Counts;
use crate::scan::Scanner;
use crate::secrets::{Family, Secrets};
use crate::volume::{disk, Volume, TRESOR};
use crate::watcher::symbols::Symbols;

/// The volume whose requests run through the window, in bytes: small, as each is interrupted many times.
const VOLUME: u64 = 1 << 20;
/// Test content of the volume.
const SEED: u64 = 77;
/// A CPU of Intel's, whose machine checks the kernel can survive (Intel SDM Vol. 3, 16.6: recovery), with AES-NI and AVX.
const CPU_MODEL: &str = "Haswell";
/// Trap flag.
const TF: u32 = 1 << 8;
/// More instructions than a window has: stepping has gone astray.
const MAX_BOUNDARIES: usize = 64;

/// What interrupts the window.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Nmi,
    /// An uncorrected error that needs no action (SDM Vol. 3, 16.6.2: memory scrubbing).
    MachineCheck,
    /// By the trap flag, so after the instruction.
    Debug,
}

impl Event {
    /// The C function of the handler, and the counter of the guard in debugfs.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Nmi => ("exc_nmi", "nmi"),
            Self::MachineCheck => ("exc_machine_check", "machine_check"),
            Self::Debug => ("exc_debug", "debug"),
        }
    }

    /// How often the guard must hit if the event happens once at each of `boundaries`.
    fn expected_hits(self, boundaries: usize) -> usize {
        match self {
            Self::Nmi | Self::MachineCheck => boundaries,
            // After the return the CPU is out of the window.
            Self::Debug => boundaries - 1,
        }
    }

    fn make_pending(self, machine: &mut Machine, gdb: &mut Gdb) -> Result<()> {
        match self {
            Self::Nmi => machine.qmp.execute("inject-nmi", json!({})).map(drop),
            Self::MachineCheck => {
                // CPU, bank, status (valid, uncorrected, enabled, MISC and ADDR valid, signalled; no action required),
                // MCG_STATUS (RIPV, MCIP), an address where there is no RAM.
                let said = machine
                    .qmp
                    .human("mce 0 3 0xbd000000000000c0 5 0x7ffff000 0x8c")?;
                ensure!(said.trim().is_empty(), "QEMU injects no #MC: {said}");
                Ok(())
            }
            Self::Debug => gdb.set_flags(TF),
        }
    }
}

/// What happened at the boundaries of a window.
struct Seen {
    boundaries: usize,
    /// At so many of them something of S was in RAM when the handler ran.
    leaked: usize,
}

pub(super) fn nmi_in_load(lab: &mut Lab<'_>) -> Result<()> {
    guarded_load(lab, Event::Nmi)
}

pub(super) fn machine_check_in_load(lab: &mut Lab<'_>) -> Result<()> {
    guarded_load(lab, Event::MachineCheck)
}

pub(super) fn debug_exception_in_load(lab: &mut Lab<'_>) -> Result<()> {
    guarded_load(lab, Event::Debug)
}

pub(super) fn nmi_in_store(lab: &mut Lab<'_>) -> Result<()> {
    let (seen, hits) = in_store(lab, Event::Nmi)?;
    expect_guarded(&seen, Event::Nmi, hits)
}

/// On the control kernel, which has no guards.
pub(super) fn nmi_unguarded(lab: &mut Lab<'_>) -> Result<()> {
    for (seen, hits) in [in_load(lab, Event::Nmi)?, in_store(lab, Event::Nmi)?] {
        expect_leaks(&seen, hits)?;
    }
    Ok(())
}

/// The same with #MC and #DB.
pub(super) fn exceptions_unguarded(lab: &mut Lab<'_>) -> Result<()> {
    for event in [Event::MachineCheck, Event::Debug] {
        let (seen, hits) = in_load(lab, event)?;
        expect_leaks(&seen, hits).context(event.names().0)?;
    }
    Ok(())
}

fn guarded_load(lab: &mut Lab<'_>, event: Event) -> Result<()> {
    let (seen, hits) = in_load(lab, event)?;
    expect_guarded(&seen, event, hits)
}

fn expect_guarded(seen: &Seen, event: Event, hits: usize) -> Result<()> {
    ensure!(
        seen.leaked == 0,
        "S was in RAM at {} of {} boundaries",
        seen.leaked,
        seen.boundaries
    );
    ensure!(
        hits == event.expected_hits(seen.boundaries),
        "{hits} hits counted by the guard at {} boundaries",
        seen.boundaries
    );
    Ok(())
}

fn expect_leaks(seen: &Seen, hits: usize) -> Result<()> {
    ensure!(
        seen.leaked > 0 && hits == 0,
        "the control failed: S in RAM at {} of {} boundaries, and {hits} hits of a guard that is not there",
        seen.leaked,
        seen.boundaries
    );
    Ok(())
}

/// The window of the home of S that is called in this way.
fn window(lab: &Lab<'_>, routine: &str) -> String {
    format!("{routine}{}", lab.home.suffix())
}

fn config(lab: &Lab<'_>) -> Config {
    Config {
        cpu_model: CPU_MODEL.into(),
        gdb: true,
        ..lab.config()
    }
}

/// `event` at each boundary of the window that takes S to the engines, under verified load; then the ciphertext is compared
/// with the oracle's. Also returns the guard's counter.
fn in_load(lab: &mut Lab<'_>, event: Event) -> Result<(Seen, usize)> {
    let mut config = config(lab);
    let handle = lab.add_disks(&mut config, 64)?;
    disk::create(&lab.volume_image(), VOLUME)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;
    let symbols = Symbols::parse(&guest.read_text("/proc/kallsyms")?);
    let start = symbols.address(&window(lab, "tresor_load_s"))?;
    let handler = symbols.address(event.names().0)?;

    guest.start_load(&volume.mapper(), None, 0, VOLUME)?;
    let mut gdb = machine.gdb()?;
    gdb.run_to(start)?;
    let boundaries = boundaries(&mut gdb, start)?;
    let leaked = at_each(
        &mut machine,
        &mut gdb,
        &boundaries,
        event,
        handler,
        &secrets,
    )?;
    gdb.detach()?;
    expect_progress(&mut guest, &LoadReport::default(), VOLUME)?;
    lab.results.add_load(&guest.stop_load()?);
    guest.fill(&volume.mapper(), SEED, VOLUME)?;
    let hits = hits(&mut guest, event)?;
    volume.close(&mut guest)?;
    lab.expect_secret_everywhere(&mut machine)?;
    drop(machine);
    let key = lab.enrollment.volume_key(&handle)?;
    lab.results.add(disk::check_start(
        &lab.volume_image(),
        &key,
        512,
        SEED,
        VOLUME,
    )?);
    lab.leave_counts(Counts::default())?;
    lab.results.expect_right()?;
    let boundaries = boundaries.len();
    Ok((Seen { boundaries, leaked }, hits))
}

/// `event` at each boundary of the window that stores S, while the right pass phrase is being accepted; then every CPU must
/// have the right S.
fn in_store(lab: &mut Lab<'_>, event: Event) -> Result<(Seen, usize)> {
    let config = Config {
        // So that addresses are those of System.map: the machine is stopped before it could tell others.
        cmdline: format!("{} nokaslr", lab.enrollment.cmdline()),
        ..config(lab)
    };
    let secrets = lab.enrollment.secrets(&[])?;
    let symbols = Symbols::read(&lab.context.system_map)?;
    let start = symbols.address(&window(lab, "tresor_store_s"))?;
    let handler = symbols.address(event.names().0)?;

    let mut machine = lab.start(&config)?;
    let mut gdb = machine.gdb()?;
    // The self tests of the cipher store a public S long before the prompt.
    gdb.run_to(start)?;
    let boundaries = boundaries(&mut gdb, start)?;
    gdb.let_run()?;
    machine.console.wait_prompt(PATIENCE)?;
    gdb.interrupt()?;
    machine.console.type_line(lab.enrollment.pass_phrase())?;
    let leaked = at_each(
        &mut machine,
        &mut gdb,
        &boundaries,
        event,
        handler,
        &secrets,
    )?;
    gdb.detach()?;
    machine.console.wait_for(ACCEPTED, PATIENCE)?;
    let mut guest = machine.guest()?;
    lab.expect_secret_everywhere(&mut machine)?;
    let hits = hits(&mut guest, event)?;
    let boundaries = boundaries.len();
    Ok((Seen { boundaries, leaked }, hits))
}

/// The addresses of the window's instructions, by executing it from its start. The machine stands right after it then.
fn boundaries(gdb: &mut Gdb, start: u64) -> Result<Vec<u64>> {
    let mut boundaries = vec![start];
    for _ in 0..MAX_BOUNDARIES {
        let rip = gdb.step()?;
        // A window has a block of 256 bytes to itself.
        if rip >> 8 != start >> 8 {
            return Ok(boundaries);
        }
        boundaries.push(rip);
    }
    bail!("the window at {start:#x} does not end")
}

/// Lets `event` happen at each boundary and searches all RAM when its handler runs: at how many was something of S there?
///
/// In rising order, so that one execution is enough whether it is begun again each time or not.
fn at_each(
    machine: &mut Machine,
    gdb: &mut Gdb,
    boundaries: &[u64],
    event: Event,
    handler: u64,
    secrets: &Secrets,
) -> Result<usize> {
    let mut patterns = secrets.patterns();
    // The pass phrase is in the buffer that it was typed into until its key is derived.
    patterns.retain(|pattern| pattern.family != Family::PassPhrase);
    let scanner = Scanner::new(patterns);
    let mut leaked = 0;
    for &boundary in boundaries {
        gdb.run_to(boundary)?;
        event.make_pending(machine, gdb)?;
        gdb.run_to(handler)
            .with_context(|| format!("{} at {boundary:#x}", event.names().1))?;
        leaked += usize::from(!scanner.scan_file(machine.ram())?.is_empty());
    }
    Ok(leaked)
}

fn hits(guest: &mut Guest, event: Event) -> Result<usize> {
    let path = format!("/sys/kernel/debug/tresor/window_hits/{}", event.names().1);
    let text = guest.read_text(&path)?;
    text.trim()
        .parse()
        .with_context(|| format!("{path} says {text:?}"))
}
