// SPDX-License-Identifier: GPL-2.0

//! CPUs that go and come while verified I/O runs: one that comes after the pass phrase has no S, and its requests still work.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Result};
use guest_init::protocol::LoadReport;

use super::lab::{Lab, PATIENCE};
use crate::guest::Guest;
use crate::machine::Machine;
use crate::volume::{Volume, TRESOR};
use crate::watch;

/// Bytes of each load thread's part.
pub(super) const PART: u64 = 2 << 20;

/// A volume whose requests run on the CPU that submits them, so that binding a thread decides where the cipher runs.
fn volume() -> Volume {
    Volume {
        options: vec![
            "--perf-same_cpu_crypt",
            "--perf-no_read_workqueue",
            "--perf-no_write_workqueue",
        ],
        ..Volume::new(TRESOR, 64, 512)
    }
}

/// Opens it and makes sure that dm-crypt took the options: without them the CPU under test would do nothing.
pub(super) fn open(guest: &mut Guest) -> Result<Volume> {
    let volume = volume();
    volume.open(guest)?;
    let table = guest.run_ok(&["dmsetup", "table", volume.name])?;
    for option in ["same_cpu_crypt", "no_read_workqueue", "no_write_workqueue"] {
        ensure!(
            table.contains(option),
            "dm-crypt did not take {option}: {table}"
        );
    }
    Ok(volume)
}

pub(super) fn set_online(guest: &mut Guest, cpu: u32, online: bool) -> Result<()> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/online");
    guest.write_file(&path, if online { b"1" } else { b"0" })?;
    let state = guest.read_text(&path)?;
    ensure!(
        state.trim() == if online { "1" } else { "0" },
        "CPU {cpu} did not change: {state}"
    );
    Ok(())
}

/// Waits until the load has verified `bytes` more than in `before`, without an error.
pub(super) fn expect_progress(
    guest: &mut Guest,
    before: &LoadReport,
    bytes: u64,
) -> Result<LoadReport> {
    let begin = Instant::now();
    loop {
        let now = guest.load_status()?;
        ensure!(now.errors == 0, "verified I/O failed: {now:?}");
        if now.verified >= before.verified + bytes {
            return Ok(now);
        }
        if begin.elapsed() > PATIENCE {
            bail!("verified I/O stands still: {now:?}");
        }
        sleep(Duration::from_millis(50));
    }
}

fn expect_holders(
    lab: &Lab<'_>,
    machine: &mut Machine,
    holders: impl Fn(u32) -> bool,
) -> Result<()> {
    for cpu in watch::registers(machine, lab.enrollment.s())? {
        ensure!(
            cpu.holds_secret == holders(cpu.cpu),
            "CPU {} {} S in its registers",
            cpu.cpu,
            if cpu.holds_secret { "has" } else { "lacks" }
        );
    }
    Ok(())
}

pub(super) fn offline_online_under_load(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    lab.add_disks(&mut config, 64)?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = open(&mut guest)?;
    for cpu in 0..lab.cpus {
        guest.start_load(
            &volume.mapper(),
            Some(cpu as usize),
            u64::from(cpu) * PART,
            PART,
        )?;
    }
    guest.start_load(&volume.mapper(), None, u64::from(lab.cpus) * PART, PART)?;
    let mut progress = expect_progress(&mut guest, &LoadReport::default(), PART)?;
    for _ in 0..2 {
        for online in [false, true] {
            for cpu in 1..lab.cpus {
                set_online(&mut guest, cpu, online)?;
                progress = expect_progress(&mut guest, &progress, PART / 4)?;
            }
        }
    }
    // Only CPU 0 was never off.
    expect_holders(lab, &mut machine, |cpu| cpu == 0)?;
    let report = guest.stop_load()?;
    ensure!(
        report.errors == 0 && report.verified > 0,
        "verified I/O failed: {report:?}"
    );
    volume.close(&mut guest)
}

pub(super) fn late_cpu(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    config.cmdline.push_str(" maxcpus=1");
    lab.add_disks(&mut config, 64)?;
    let mut machine = lab.start(&config)?;
    machine
        .console
        .answer_prompt(lab.enrollment.pass_phrase(), PATIENCE)?;
    let mut guest = machine.guest()?;
    expect_holders(lab, &mut machine, |cpu| cpu == 0)?;
    let volume = open(&mut guest)?;
    // Every CPU but the first comes after the pass phrase; each gets a thread that submits only there.
    for cpu in 1..lab.cpus {
        set_online(&mut guest, cpu, true)?;
        guest.start_load(
            &volume.mapper(),
            Some(cpu as usize),
            u64::from(cpu) * PART,
            PART,
        )?;
    }
    let progress = expect_progress(&mut guest, &LoadReport::default(), PART)?;
    expect_progress(&mut guest, &progress, PART)?;
    expect_holders(lab, &mut machine, |cpu| cpu == 0)?;
    let report = guest.stop_load()?;
    ensure!(
        report.errors == 0 && report.verified >= 2 * PART,
        "requests of CPUs without S failed: {report:?}"
    );
    volume.close(&mut guest)
}
