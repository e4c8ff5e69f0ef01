// SPDX-License-Identifier: GPL-2.0

//! CPUs that go and come at random under verified I/O, and a machine that falls asleep in the middle of it. One that is off has nothing
//! of S.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use guest_init::protocol::LoadReport;

use super::super::controls::LEAK;
use super::super::hotplug::{self, expect_progress, set_online};
use super::super::lab::Lab;
use super::machine::unlock_with;
use super::sleep::{answer, expect_nothing_secret};
use super::work::{Work, LOAD};
use crate::console::ACCEPTED;
use crate::guest::Guest;
use crate::home;
use crate::machine::Machine;
use crate::sleep::{self as power, Sleep};
use crate::watch::{self, Sight};

/// Takes CPUs offline and online until its file is removed, and counts. It fails to while the machine goes to sleep, which does not matter.
const STORM: &str = "RANDOM=SEED; count=0
while [ -e /tmp/storm ]; do
    file=/sys/devices/system/cpu/cpu$((RANDOM % (CPUS - 1) + 1))/online
    read online <$file
    if echo $((1 - online)) >$file; then count=$((count + 1)); else busybox usleep 10000; fi
    echo $count >/tmp/storm-count
done
echo >/tmp/storm-ended";
/// How long a storm lasts before the machine sleeps, and after it.
const BEFORE_SLEEP: Duration = Duration::from_secs(20);
const AFTER_SLEEP: Duration = Duration::from_secs(10);
/// Changes that a storm must have made by the time it ends.
const CHANGES: u32 = 20;

/// What the control kernel is told, so that a CPU keeps S when it goes offline.
const KEEP: &[u8] = b"keep-offline";

/// A storm in the machine, until [`Storm::end`].
pub(super) struct Storm {
    cpus: u32,
}

impl Storm {
    /// Begins it, with random numbers from `seed`.
    pub(super) fn begin(guest: &mut Guest, cpus: u32, seed: u32) -> Result<Self> {
        let script = STORM
            .replace("SEED", &(seed % 32768).to_string())
            .replace("CPUS", &cpus.to_string());
        guest.run_ok(&["busybox", "rm", "-f", "/tmp/storm-ended"])?;
        guest.write_file("/tmp/storm", script.as_bytes())?;
        let command = "busybox sh /tmp/storm >/dev/null 2>&1 </dev/null &";
        guest.run_ok(&["busybox", "sh", "-c", command])?;
        Ok(Self { cpus })
    }

    /// Ends it, with all CPUs online; how many changes it made.
    pub(super) fn end(self, guest: &mut Guest) -> Result<u32> {
        let wait = "busybox rm /tmp/storm
            while ! [ -e /tmp/storm-ended ]; do busybox usleep 20000; done";
        guest.run_ok(&["busybox", "sh", "-c", wait])?;
        for cpu in 1..self.cpus {
            set_online(guest, cpu, true)?;
        }
        let count = guest.read_text("/tmp/storm-count")?;
        count.trim().parse().context("the storm's count")
    }
}

/// S is on CPU 0 alone, as after all others were off.
fn expect_only_first_holds(lab: &Lab<'_>, machine: &mut Machine) -> Result<()> {
    for cpu in watch::registers(machine, lab.enrollment.s())? {
        ensure!(
            cpu.holds_secret == (cpu.cpu == 0),
            "after all others were off, S must be on CPU 0 alone: {cpu:?}"
        );
    }
    Ok(())
}

/// Takes a CPU offline, whose registers must be empty then.
pub(in super::super) fn take_offline(
    machine: &mut Machine,
    guest: &mut Guest,
    cpu: u32,
) -> Result<()> {
    set_online(guest, cpu, false)?;
    let found = home::registers(machine)?
        .into_iter()
        .find(|registers| registers.cpu == cpu);
    let found = found.with_context(|| format!("QEMU shows no CPU {cpu}"))?;
    ensure!(
        *found.bytes() == [0; 32],
        "the registers of CPU {cpu}, which is offline, are not empty"
    );
    Ok(())
}

/// The storm, with both kinds of sleep in the middle, under I/O on a file system that is encrypted where it is submitted, so on all CPUs.
pub(in super::super) fn storm(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    power::prepare(&mut config);
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    for cpu in 1..lab.cpus {
        take_offline(&mut machine, &mut guest, cpu)?;
    }
    for cpu in 1..lab.cpus {
        set_online(&mut guest, cpu, true)?;
    }
    expect_only_first_holds(lab, &mut machine)?;

    let volume = hotplug::open(&mut guest)?;
    let (work, mut progress) = Work::start_on(&mut guest, volume, handle, lab.cpus)?;
    let mut all_changes = 0;
    for (round, how) in [Sleep::ToRam, Sleep::ToIdle].into_iter().enumerate() {
        let dirty = Work::leave_dirty(&mut guest, round as u64)?;
        let storm = Storm::begin(&mut guest, lab.cpus, round as u32 + 1)?;
        progress = run_for(&mut guest, BEFORE_SLEEP, &progress)?;
        power::fall_asleep(&mut machine, &mut guest, how)?;
        expect_nothing_secret(lab, &mut machine, &secrets)?;
        wake_and_answer(lab, &mut machine, &mut guest, how)?;
        progress = run_for(&mut guest, AFTER_SLEEP, &progress)?;
        let changes = storm.end(&mut guest)?;
        ensure!(changes >= CHANGES, "the storm made {changes} changes only");
        all_changes += changes;
        dirty.expect(&mut guest)?;
    }
    println!("    {all_changes} times that a CPU went or came");
    for cpu in 1..lab.cpus {
        take_offline(&mut machine, &mut guest, cpu)?;
        set_online(&mut guest, cpu, true)?;
    }
    expect_only_first_holds(lab, &mut machine)?;
    progress = expect_progress(&mut guest, &progress, LOAD)?;

    // One that is off all the time, and comes after the machine has slept.
    take_offline(&mut machine, &mut guest, 1)?;
    for how in [Sleep::ToRam, Sleep::ToIdle] {
        sleep_and_answer(lab, &mut machine, &mut guest, how)?;
        progress = expect_progress(&mut guest, &progress, LOAD)?;
    }
    set_online(&mut guest, 1, true)?;

    // The next unlock reaches all, and the same search as above has something to find.
    sleep_and_answer(lab, &mut machine, &mut guest, Sleep::ToRam)?;
    Sight::of(&mut machine, &secrets)?.expect_nothing_in_ram()?;
    expect_progress(&mut guest, &progress, LOAD)?;
    work.end(lab, &mut guest).map(drop)
}

/// Sleeps once, and types the pass phrase.
fn sleep_and_answer(
    lab: &Lab<'_>,
    machine: &mut Machine,
    guest: &mut Guest,
    how: Sleep,
) -> Result<()> {
    power::fall_asleep(machine, guest, how)?;
    wake_and_answer(lab, machine, guest, how)
}

fn wake_and_answer(
    lab: &Lab<'_>,
    machine: &mut Machine,
    guest: &mut Guest,
    how: Sleep,
) -> Result<()> {
    power::wake(machine, how)?;
    answer(machine, lab.enrollment.pass_phrase(), ACCEPTED)?;
    power::finish(machine, guest)
}

/// Lets the load run for a while, in which it must get on without an error.
fn run_for(guest: &mut Guest, time: Duration, before: &LoadReport) -> Result<LoadReport> {
    sleep(time);
    expect_progress(guest, before, LOAD)
}

/// The control: a kernel that does not wipe the registers of a CPU that goes offline is caught.
pub(in super::super) fn keeps_offline(lab: &mut Lab<'_>) -> Result<()> {
    let config = lab.config();
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    take_offline(&mut machine, &mut guest, 1).context("before the kernel was told to keep S")?;
    set_online(&mut guest, 1, true)?;
    // The next unlock gives S to this CPU again.
    unlock_with(&mut guest, &[], lab.enrollment.pass_phrase(), "0")?;
    lab.expect_secret_everywhere(&mut machine)?;
    guest.write_file(LEAK, KEEP)?;
    ensure!(
        take_offline(&mut machine, &mut guest, 1).is_err(),
        "the control failed: a CPU went offline with S, and the check did not see it"
    );
    let kept = watch::registers(&mut machine, lab.enrollment.s())?;
    ensure!(
        kept.iter().all(|cpu| cpu.holds_secret),
        "the control kernel was told to keep S on CPU 1, which is offline: {kept:?}"
    );
    Ok(())
}
