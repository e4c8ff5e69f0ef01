// SPDX-License-Identifier: GPL-2.0

//! The driver in a kernel that looks for mistakes while it runs: the order of locks, sleeping where it is not allowed, objects and pages used
//! after they were freed, arrays left, memory lost. Each check that finds something says so in the log, where a control must be found.

use anyhow::{ensure, Context, Result};

use super::super::hotplug::expect_progress;
use super::super::lab::Lab;
use super::machine::{expect_quiet, expect_state, lock, unlock_with};
use super::sleep::answer;
use super::work::{Work, LOAD};
use crate::console::ACCEPTED;
use crate::enrollment::random;
use crate::guest::Guest;
use crate::sleep::{self, Sleep};

/// Turns on what is built in and costs time; KFENCE looks at an allocation every 10 ms.
const CHECKS: &str =
    " slab_debug=FZP page_poison=1 debug_objects kmemleak=on kfence.sample_interval=10";
/// RAM in MiB: the checks need some, too.
const MEMORY_MIB: u32 = 512;
/// Calls of the device at random, from each of as many threads.
const CALLS: u64 = 1500;
const THREADS: u64 = 4;
/// Lost memory is found by looking twice.
const LEAKS: &str = "/sys/kernel/debug/kmemleak";
/// A mistake on request: a write to freed memory.
const PROVOKE: &str = "/sys/kernel/debug/provoke-crash/DIRECT";
const MISTAKE: &[u8] = b"WRITE_AFTER_FREE";

/// Calls at random, locked and unlocked under load, CPUs that go and come, both kinds of sleep.
pub(in super::super) fn whole_life(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    sleep::prepare(&mut config);
    config.memory_mib = MEMORY_MIB;
    config.cmdline.push_str(CHECKS);
    let handle = lab.add_disks(&mut config, 64)?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    expect_checks(&mut guest)?;

    let seed = u64::from_le_bytes(random()?);
    println!("    seed {seed:#x}");
    let report = guest.hammer(seed, THREADS, CALLS)?;
    println!("    {report:?}");
    ensure!(report.done > 0 && report.refused > 0 && report.locks > 0);
    expect_quiet(&mut guest).context("after calls at random")?;
    unlock_with(&mut guest, &[], lab.enrollment.pass_phrase(), "0")?;

    let (work, mut progress) = Work::start(&mut guest, handle)?;
    lock(&mut guest)?;
    expect_state(&mut guest, "locked", 0)?;
    unlock_with(&mut guest, &[], lab.enrollment.pass_phrase(), "0")?;
    progress = expect_progress(&mut guest, &progress, LOAD)?;
    for online in ["0", "1"] {
        guest.write_file("/sys/devices/system/cpu/cpu1/online", online.as_bytes())?;
        progress = expect_progress(&mut guest, &progress, LOAD)?;
    }
    for how in [Sleep::ToRam, Sleep::ToIdle] {
        sleep::fall_asleep(&mut machine, &mut guest, how)?;
        sleep::wake(&mut machine, how)?;
        answer(&mut machine, lab.enrollment.pass_phrase(), ACCEPTED)?;
        sleep::finish(&mut machine, &mut guest)?;
        progress = expect_progress(&mut guest, &progress, LOAD)?;
    }
    work.end(lab, &mut guest)?;
    expect_nothing_lost(&mut guest)?;
    // A check that has found something turns itself off.
    expect_checks(&mut guest)?;
    control(&mut guest)
}

/// The checks are on.
fn expect_checks(guest: &mut Guest) -> Result<()> {
    let locks = guest.read_text("/proc/lockdep_stats")?;
    let on = locks
        .lines()
        .find_map(|line| line.trim().strip_prefix("debug_locks:"));
    ensure!(
        on.is_some_and(|on| on.trim() == "1"),
        "the order of locks is not checked (any more): {locks}"
    );
    let log = guest.dmesg()?;
    ensure!(
        log.contains("kfence: initialized"),
        "KFENCE does not look at allocations"
    );
    Ok(())
}

/// No memory that nobody knows of any more.
fn expect_nothing_lost(guest: &mut Guest) -> Result<()> {
    for _ in 0..2 {
        guest.write_file(LEAKS, b"scan")?;
    }
    let lost = guest.read_text(LEAKS)?;
    ensure!(
        !lost.contains("tresor") && !lost.contains("skcipher"),
        "memory is lost: {lost}"
    );
    Ok(())
}

/// A mistake that somebody else makes on purpose is in the log, where it would be if the driver made it.
fn control(guest: &mut Guest) -> Result<()> {
    expect_quiet(guest)?;
    guest.write_file(PROVOKE, MISTAKE)?;
    ensure!(
        expect_quiet(guest).is_err(),
        "the control failed: a write to freed memory is not in the log"
    );
    Ok(())
}
