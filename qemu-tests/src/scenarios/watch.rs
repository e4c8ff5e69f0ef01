// SPDX-License-Identifier: GPL-2.0

//! Every store of a machine's whole life, from power-on through the prompt to a file system in use, with each engine that QEMU can run:
//! none of them may put a piece of a secret into RAM, not for an instant.
//!
//! Secrets are random, so an equality by chance does not come back at the same instruction with other secrets: a leak is what does.

pub(super) mod controls;
pub(super) mod newer_qemu;

use std::collections::BTreeSet;

use ::watcher::config::Storm;
use anyhow::{ensure, Result};
use fs_err as fs;
use tresor::class::Class;

use super::engines::faster_than;
use super::lab::{excerpt, Lab};
use crate::enrollment::{random, Enrollment, TEST_ITERATIONS};
use crate::guest::Guest;
use crate::machine::{Config, Machine};
use crate::proof::Counts;
use crate::scan::Scanner;
use crate::secrets::{Pattern, Secrets};
use crate::unpacked::Programs;
use crate::volume::{disk, Files, Volume, TRESOR};
use crate::watch::Sight;
use crate::watcher::symbols::Symbols;
use crate::watcher::{self, Plan, Watched};

/// A machine's life has fewer stores than this only if the plugin did not see them.
const MIN_STORES: u64 = 20_000_000;
/// Bytes that are written to the volume before there is a file system: the slowest engine needs some seconds for them.
const RAW_BYTES: u64 = 2 << 20;
/// Stream of the raw content.
const RAW: u64 = 4100;
const FILES: Files = Files {
    count: 5,
    seed: 4200,
};

pub(super) fn avx(lab: &mut Lab<'_>) -> Result<()> {
    watch(lab, Class::Avx)
}

pub(super) fn aesni(lab: &mut Lab<'_>) -> Result<()> {
    watch(lab, Class::Aesni)
}

pub(super) fn ssse3(lab: &mut Lab<'_>) -> Result<()> {
    watch(lab, Class::Ssse3)
}

fn watch(lab: &mut Lab<'_>, class: Class) -> Result<()> {
    watch_in(lab, class, None).map(drop)
}

fn watch_in(lab: &mut Lab<'_>, class: Class, qemu: Option<&Programs>) -> Result<Watched> {
    let watched = without_leak(lab, |lab, symbols| life(lab, class, symbols, qemu))?;
    lab.results.expect_right()?;
    Ok(watched)
}

/// Fails if the same instructions store secrets in two lives of a machine, or if its stores were not seen.
pub(super) fn expect_no_leak(
    lab: &mut Lab<'_>,
    life: impl Fn(&mut Lab<'_>, &Symbols) -> Result<Watched>,
) -> Result<()> {
    without_leak(lab, life).map(drop)
}

fn without_leak(
    lab: &mut Lab<'_>,
    life: impl Fn(&mut Lab<'_>, &Symbols) -> Result<Watched>,
) -> Result<Watched> {
    let symbols = Symbols::read(&lab.context.system_map)?;
    let (watched, leaking) = twice(lab, |lab| life(lab, &symbols))?;
    note(lab, &watched, &symbols)?;
    ensure!(
        leaking.is_empty(),
        "secrets were stored to RAM, twice, by the same instructions:\n    {}",
        watched.describe(&leaking, &symbols).join("\n    ")
    );
    ensure!(
        watched.stores > MIN_STORES,
        "only {} stores were watched: the plugin did not see all of them",
        watched.stores
    );
    Ok(watched)
}

/// Does it once, and if that finds a secret in RAM, once more with other secrets. Returns the last counts, and the instructions that stored
/// a secret both times.
pub(super) fn twice(
    lab: &mut Lab<'_>,
    mut run: impl FnMut(&mut Lab<'_>) -> Result<Watched>,
) -> Result<(Watched, BTreeSet<u64>)> {
    lab.enrollment = fresh()?;
    let first = run(lab)?;
    if first.leaking().is_empty() {
        return Ok((first, BTreeSet::new()));
    }
    lab.enrollment = fresh()?;
    let second = run(lab)?;
    let both = &first.leaking() & &second.leaking();
    Ok((second, both))
}

/// A random pass phrase, which no other text in RAM resembles, and a random slot for it.
fn fresh() -> Result<Enrollment> {
    let pass_phrase = random::<32>()?.map(|byte| b'a' + byte % 26);
    Enrollment::new(&pass_phrase, TEST_ITERATIONS)
}

/// Leaves the counts beside the logs.
pub(super) fn note(lab: &Lab<'_>, watched: &Watched, symbols: &Symbols) -> Result<()> {
    let mut text = format!(
        "{} stores watched, {} to devices, {} frames pushed by the CPU, QEMU told of {} interrupts and exceptions\n\
         {} leaks\n\
         {} runs of 4 to 7 bytes, {:.1} expected by chance\n\
         {} stores of the pass phrase, by\n",
        watched.stores,
        watched.device_stores,
        watched.frames,
        watched.events,
        watched.leaks,
        watched.short_runs,
        watched.short_runs_expected,
        watched.pass_phrase,
    );
    for place in watched.describe(&watched.storing_pass_phrase(), symbols) {
        text.push_str(&format!("    {place}\n"));
    }
    text.push_str("secrets stored by\n");
    for place in watched.describe(&watched.leaking(), symbols) {
        text.push_str(&format!("    {place}\n"));
    }
    fs::write(lab.dir.join("watched.txt"), text)?;
    let counts = Counts {
        stores_watched: watched.stores,
        leaks: watched.leaks,
        nmis: watched.injected,
        nmis_in_window: watched.in_windows,
        ..Counts::default()
    };
    lab.leave_counts(counts)
}

/// From power-on to the end of a volume's use.
fn life(
    lab: &mut Lab<'_>,
    class: Class,
    symbols: &Symbols,
    qemu: Option<&Programs>,
) -> Result<Watched> {
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let key = lab.enrollment.volume_key(&handle)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    config.cmdline += &format!(" tresor.disable={}", faster_than(class));
    arm(lab, &mut config, secrets.patterns(), symbols.quiet())?;
    if let Some(qemu) = qemu {
        newer_qemu::in_newer(lab, &mut config, qemu)?;
    }

    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    expect_engine(&mut guest, class)?;
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;
    guest.fill(&volume.mapper(), RAW, RAW_BYTES)?;
    lab.results
        .read_back(&mut guest, &volume.mapper(), RAW, RAW_BYTES)?;
    volume.close(&mut guest)?;
    let units = disk::check_start(&lab.volume_image(), &key, 512, RAW, RAW_BYTES)?;
    lab.results.add(units);
    volume.open(&mut guest)?;
    volume.make_fs(&mut guest)?;
    volume.mount(&mut guest)?;
    FILES.write(&mut guest)?;
    FILES.expect(&mut guest)?;
    let sight = Sight::of(&mut machine, &secrets)?;
    volume.unmount(&mut guest)?;
    volume.close(&mut guest)?;
    let watched = finish(lab, machine, &secrets)?;
    // After the store watcher, which names the instruction.
    if watched.leaks == 0 {
        sight.expect_nothing_in_ram()?;
    }
    Ok(watched)
}

/// Has every store of the machine watched, and interrupts ready at the places of `storm`.
pub(super) fn arm(
    lab: &Lab<'_>,
    config: &mut Config,
    patterns: Vec<Pattern>,
    storm: Storm,
) -> Result<()> {
    // Addresses of the kernel are those of System.map then, and addresses of programs the same in each run.
    config.cmdline += " nokaslr norandmaps";
    config.watch = Some(Plan {
        library: watcher::build(&lab.context.work_dir)?,
        patterns,
        storm,
    });
    Ok(())
}

pub(super) fn expect_engine(guest: &mut Guest, class: Class) -> Result<()> {
    let log = guest.dmesg()?;
    let engine = format!("tresor: engine: {}", class.name());
    ensure!(
        log.lines().any(|line| line.ends_with(&engine)),
        "the log does not say `{engine}`:\n{}",
        excerpt(&log)
    );
    Ok(())
}

/// Ends the machine and takes its counts. Output to the serial line is no store, so its log is searched here.
pub(super) fn finish(lab: &Lab<'_>, mut machine: Machine, secrets: &Secrets) -> Result<Watched> {
    machine.qmp.stop()?;
    let watched = machine.watcher()?.watched()?;
    let log = machine
        .ram()
        .parent()
        .unwrap_or(&lab.dir)
        .join("serial.log");
    drop(machine);
    let printed = Scanner::new(secrets.patterns()).scan(&fs::read(&log)?);
    ensure!(
        printed.is_empty(),
        "secrets were printed on the serial console: {printed:?}"
    );
    Ok(watched)
}
