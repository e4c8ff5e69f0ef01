// SPDX-License-Identifier: GPL-2.0

//! Interrupts at every instruction boundary of the window routines, and of whole calls of an engine, on every CPU, while every store is
//! watched: none may put a piece of a secret into RAM, and what is written to the volume must be right all the same.

mod controls;
mod outcome;
mod requests;

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use tresor::class::Class;
use watcher::shared::{Vector, IN_ENGINES, IN_WINDOWS, ONCE};

use super::cpu_features::expect_self_tests_passed;
use super::engines::faster_than;
use super::lab::{Lab, VOLUME};
use super::watch::{arm, expect_engine, finish, note, twice};
use crate::guest::Guest;
use crate::machine::Machine;
use crate::proof::{Counts, Depth};
use crate::volume::{disk, Volume, TRESOR};
use crate::watcher::symbols::Symbols;
pub(super) use controls::{control_cleared, without_guards};
use outcome::{in_windows, outcome, Outcome};

/// At most so many interrupts at every instruction of engines: more than a call of the slowest one.
const ENGINE_LIMIT: u64 = 40_000;
/// The same for the other modes: all of the key's derivation and expansion, and the first blocks.
const KIND_LIMIT: u64 = 4_000;
/// An interrupted machine is slow.
const STORM_LIMIT: Duration = Duration::from_secs(1800);
/// A part of the volume that one CPU writes and reads back in the storm.
const PART: u64 = 128 << 10;
/// Bytes that are written, and read back, while the engine is interrupted everywhere: a page, so eight data units.
const PAGE: u64 = 4096;
/// Streams of the content: before, and in the storm.
const BEFORE: u64 = 5100;
const IN_STORM: u64 = 5200;

pub(super) fn nmi_avx(lab: &mut Lab<'_>) -> Result<()> {
    harmless(lab, Class::Avx, Vector::Nmi, Extent::Everything)
}

pub(super) fn nmi_aesni(lab: &mut Lab<'_>) -> Result<()> {
    harmless(lab, Class::Aesni, Vector::Nmi, Extent::Everything)
}

/// In the windows only.
pub(super) fn nmi_in_windows(lab: &mut Lab<'_>) -> Result<()> {
    harmless(lab, Class::Aesni, Vector::Nmi, Extent::Windows)
}

pub(super) fn nmi_ssse3(lab: &mut Lab<'_>) -> Result<()> {
    harmless(lab, Class::Ssse3, Vector::Nmi, Extent::Everything)
}

pub(super) fn machine_check(lab: &mut Lab<'_>) -> Result<()> {
    harmless(lab, Class::Aesni, Vector::MachineCheck, Extent::Everything)
}

pub(super) fn debug(lab: &mut Lab<'_>) -> Result<()> {
    harmless(lab, Class::Aesni, Vector::Debug, Extent::Everything)
}

/// What a storm interrupts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// The windows, and whole calls of the engine: in the self tests, in the derivation of S, and in requests of every kind.
    Everything,
    /// The windows only, when S is stored and in requests of XTS.
    Windows,
}

fn harmless(lab: &mut Lab<'_>, class: Class, vector: Vector, extent: Extent) -> Result<()> {
    let wanted = match vector {
        Vector::Nmi => lab.context.nmis_in_window,
        _ => Depth::Quick.nmis_in_window(),
    };
    let outcome = storms(lab, class, vector, extent, wanted)?;
    ensure!(
        outcome.leaks.is_empty(),
        "interrupts made the kernel store secrets, twice at the same instructions:\n    {}",
        outcome.leaks.join("\n    ")
    );
    Ok(())
}

/// A storm, and if it finds secrets in RAM, another one with other secrets. Fails if it did not reach what it should, or if work went
/// wrong under it.
fn storms(
    lab: &mut Lab<'_>,
    class: Class,
    vector: Vector,
    extent: Extent,
    wanted: u64,
) -> Result<Outcome> {
    let symbols = Symbols::read(&lab.context.system_map)?;
    let mut last = None;
    let (watched, leaking) = twice(lab, |lab| {
        let outcome = storm(lab, class, vector, extent, wanted, &symbols)?;
        let watched = outcome.watched.clone();
        last = Some(outcome);
        Ok(watched)
    })?;
    let mut outcome = last.context("no storm")?;
    outcome.leaks = watched.describe(&leaking, &symbols);
    note(lab, &watched, &symbols)?;
    outcome.note(lab)?;
    if vector != Vector::Nmi {
        lab.leave_counts(Counts {
            stores_watched: watched.stores,
            leaks: watched.leaks,
            ..Counts::default()
        })?;
    }
    lab.results.expect_right()?;
    ensure!(
        watched.in_windows >= wanted,
        "only {} of {wanted} interrupts came in a window",
        watched.in_windows
    );
    ensure!(
        outcome.guard_hits == watched.in_windows || !outcome.leaks.is_empty(),
        "{} interrupts came in windows, but the guard counted {}",
        watched.in_windows,
        outcome.guard_hits
    );
    // Single steps through a routine that is not started again come after every second instruction only.
    ensure!(
        outcome.missed.is_empty() || !outcome.leaks.is_empty(),
        "these boundaries of windows were never interrupted: {:?}",
        outcome.missed
    );
    ensure!(
        extent == Extent::Windows
            || outcome.engine_interrupted * 10 > outcome.engine_boundaries * 9,
        "of {} boundaries in the engine only {} were interrupted",
        outcome.engine_boundaries,
        outcome.engine_interrupted
    );
    Ok(outcome)
}

/// A machine in which S is stored and loaded under interrupts at every boundary.
fn storm(
    lab: &mut Lab<'_>,
    class: Class,
    vector: Vector,
    extent: Extent,
    wanted: u64,
    symbols: &Symbols,
) -> Result<Outcome> {
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let key = lab.enrollment.volume_key(&handle)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    config.cmdline += &format!(" tresor.disable={}", faster_than(class));
    arm(
        lab,
        &mut config,
        secrets.patterns(),
        symbols.storm(class, lab.home)?,
    )?;

    let mut machine = lab.start(&config)?;
    let storms = |machine: &mut Machine, places, limit| -> Result<()> {
        let each = if places == 0 { "off" } else { "on" };
        let shared = &machine.watcher()?.shared;
        if places == 0 {
            shared.end_storm();
        } else {
            shared.start_storm(vector, places, limit);
        }
        machine
            .qmp
            .human(&format!("one-insn-per-tb {each}"))
            .map(drop)
    };
    let everything = extent == Extent::Everything;
    // The self tests have requests of every kind, with answers that the kernel knows; and S goes into the registers of every CPU while the
    // storm is on.
    machine.console.wait_for("Linux version", STORM_LIMIT)?;
    if everything {
        storms(&mut machine, IN_WINDOWS | IN_ENGINES | ONCE, u64::MAX)?;
    }
    machine.console.wait_prompt(STORM_LIMIT)?;
    if !everything {
        storms(&mut machine, IN_WINDOWS, u64::MAX)?;
    }
    machine.console.type_line(lab.enrollment.pass_phrase())?;
    let mut guest = lab.expect_unlocked(&mut machine)?;
    storms(&mut machine, 0, 0)?;
    expect_engine(&mut guest, class)?;

    if everything {
        requests::each_kind(&mut guest, &mut lab.results, |on| match on {
            true => storms(&mut machine, IN_WINDOWS | IN_ENGINES, KIND_LIMIT),
            false => storms(&mut machine, 0, 0),
        })?;
        for units in requests::check(lab, &handle)? {
            lab.results.add(units);
        }
    }
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;
    let path = volume.mapper();
    guest.fill(&path, BEFORE, VOLUME)?;
    if everything {
        storms(&mut machine, IN_WINDOWS | IN_ENGINES, ENGINE_LIMIT)?;
        guest.fill(&path, IN_STORM, PAGE)?;
        storms(&mut machine, IN_WINDOWS | IN_ENGINES, ENGINE_LIMIT)?;
        lab.results.read_back(&mut guest, &path, IN_STORM, PAGE)?;
    }
    storms(&mut machine, IN_WINDOWS, u64::MAX)?;
    for cpu in 0..lab.cpus as usize {
        guest.start_load(&path, Some(cpu), cpu as u64 * PART, PART)?;
    }
    until_enough(&machine, &mut guest, wanted)?;
    lab.results.add_load(&guest.stop_load()?);
    guest.fill(&path, IN_STORM, PART)?;
    storms(&mut machine, 0, 0)?;
    lab.results.read_back(&mut guest, &path, IN_STORM, PART)?;
    lab.expect_secret_everywhere(&mut machine)?;
    expect_self_tests_passed(&guest.read_text("/proc/crypto")?)?;
    let guard_hits = guard_hits(&mut guest, vector)?;
    volume.close(&mut guest)?;

    machine.qmp.stop()?;
    let mut outcome = outcome(&machine, symbols, class, vector)?;
    outcome.guard_hits = guard_hits;
    outcome.watched = finish(lab, machine, &secrets)?;
    let units = disk::check_start(&lab.volume_image(), &key, 512, IN_STORM, PART)?;
    lab.results.add(units);
    Ok(outcome)
}

/// The kernel's own count.
fn guard_hits(guest: &mut Guest, vector: Vector) -> Result<u64> {
    let name = match vector {
        Vector::MachineCheck => "machine_check",
        Vector::Debug => "debug",
        Vector::Nmi | Vector::Clear | Vector::None => "nmi",
    };
    let path = format!("/sys/kernel/debug/tresor/window_hits/{name}");
    let text = guest.read_text(&path)?;
    text.trim()
        .parse()
        .with_context(|| format!("{path} has no number but `{text}`"))
}

/// Waits until the windows have had all their interrupts, each CPU its share, and some work was read back.
fn until_enough(machine: &Machine, guest: &mut Guest, wanted: u64) -> Result<()> {
    let begin = Instant::now();
    let on_each = wanted.div_ceil(u64::from(machine.cpus()));
    loop {
        sleep(Duration::from_millis(500));
        let load = guest.load_status()?;
        if load.errors > 0 {
            // Counted when the threads end.
            return Ok(());
        }
        ensure!(load.threads > 0, "nothing works under the storm: {load:?}");
        let counts = in_windows(&machine.watcher()?.shared, machine.cpus());
        if load.verified > 0 && counts.iter().all(|count| *count >= on_each) {
            return Ok(());
        }
        ensure!(
            begin.elapsed() < STORM_LIMIT,
            "the storm did not get as far as it should within {} s: {counts:?} interrupts in windows, {load:?}",
            STORM_LIMIT.as_secs(),
        );
    }
}
