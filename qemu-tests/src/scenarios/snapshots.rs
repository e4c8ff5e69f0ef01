// SPDX-License-Identifier: GPL-2.0

//! RAM, and where it can be copied to, at moments at which people say that keys are found.

use anyhow::{bail, ensure, Context, Result};
use fs_err as fs;
use serde_json::json;

use super::hotplug::expect_progress;
use super::lab::{excerpt, Lab, VOLUME};
use crate::guest::Guest;
use crate::machine::Machine;
use crate::scan::Scanner;
use crate::secrets::Secrets;
use crate::volume::{disk, Files, Volume, TRESOR};
use crate::watch::Sight;

/// Size of the swap device in bytes.
const SWAP: u64 = 96 << 20;
/// A piece of what fills RAM, and how many at most. A quarter of the swap device must hold several: Linux writes more to it at once than
/// it needs, and ends everything if nothing is left.
const PIECE: u64 = 4 << 20;
const PIECES: u64 = 128;
const FILES: Files = Files {
    count: 4,
    seed: 1900,
};

pub(super) fn checkpoints(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let swap = disk::create(&lab.dir.join("swap.img"), SWAP)?;
    config.disks.push(swap.clone());
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;

    guest.start_load(&volume.mapper(), None, 0, VOLUME)?;
    let progress = expect_progress(&mut guest, &Default::default(), 1 << 20)?;
    look(&mut machine, &secrets, "under load")?;
    expect_progress(&mut guest, &progress, 1 << 20)?;
    guest.stop_load()?;

    volume.make_fs(&mut guest)?;
    volume.mount(&mut guest)?;
    FILES.write(&mut guest)?;
    look(&mut machine, &secrets, "idle")?;

    oops(&mut guest)?;
    look(&mut machine, &secrets, "after an oops")?;

    register_dumps(&mut machine, &mut guest)?;
    look(&mut machine, &secrets, "after register dumps")?;

    guest.write_file("/proc/sys/vm/drop_caches", b"1")?;
    look(&mut machine, &secrets, "after drop_caches")?;

    fill_swap(&mut guest)?;
    look(&mut machine, &secrets, "with the swap device full")?;
    FILES.expect(&mut guest)?;
    drop(machine);
    let hits = Scanner::new(secrets.patterns()).scan(&fs::read(&swap)?);
    ensure!(hits.is_empty(), "secrets are on the swap device: {hits:?}");
    Ok(())
}

fn look(machine: &mut Machine, secrets: &Secrets, when: &str) -> Result<()> {
    Sight::of(machine, secrets)?
        .expect_nothing_in_ram()
        .with_context(|| when.to_owned())
}

/// The kernel dereferences a null pointer for a process, which does not survive it.
fn oops(guest: &mut Guest) -> Result<()> {
    let crash = "echo EXCEPTION > /sys/kernel/debug/provoke-crash/DIRECT";
    let ended = guest.run(&["busybox", "sh", "-c", crash])?;
    let log = guest.dmesg()?;
    ensure!(
        ended.status != 0 && log.contains("Oops: ") && log.contains("---[ end trace"),
        "no oops: status {}, and the log ends with\n{}",
        ended.status,
        excerpt(&log)
    );
    Ok(())
}

/// SysRq-p at the console, with the registers that the key interrupted; SysRq-l, -t and -w with backtraces of CPUs and tasks.
fn register_dumps(machine: &mut Machine, guest: &mut Guest) -> Result<()> {
    machine
        .qmp
        .execute("chardev-send-break", json!({"id": "serial"}))?;
    machine.console.write(b"p")?;
    for key in ["l", "t", "w"] {
        guest.write_file("/proc/sysrq-trigger", key.as_bytes())?;
    }
    let log = guest.dmesg()?;
    for expected in ["CR2:", "RIP:", "sysrq: Show Regs", "sysrq: Show backtrace"] {
        ensure!(
            log.contains(expected),
            "no register dump: the log lacks {expected:?}:\n{}",
            excerpt(&log)
        );
    }
    for register in ["DR0:", "DR3:", "DR6:"] {
        ensure!(!log.contains(register), "the log shows {register}");
    }
    Ok(())
}

/// Fills RAM until three quarters of the swap device are in use.
fn fill_swap(guest: &mut Guest) -> Result<()> {
    let script = "busybox mkswap /dev/vdc && busybox swapon /dev/vdc && busybox mkdir /full &&
        busybox mount -t tmpfs -o size=1g none /full";
    guest.run_ok(&["busybox", "sh", "-c", script])?;
    for piece in 0..PIECES {
        guest.fill(&format!("/full/{piece}"), 7000 + piece, PIECE)?;
        let meminfo = guest.read_text("/proc/meminfo")?;
        if 4 * kilobytes(&meminfo, "SwapFree:")? < kilobytes(&meminfo, "SwapTotal:")? {
            return Ok(());
        }
    }
    bail!("nothing was swapped out")
}

fn kilobytes(meminfo: &str, name: &str) -> Result<u64> {
    meminfo
        .lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .with_context(|| format!("/proc/meminfo has no {name}"))
}
