// SPDX-License-Identifier: GPL-2.0

//! A crash into another Linux, which writes the dump of the crashed one: neither its RAM nor the dump has anything of our secrets, and no CPU
//! has anything in its registers. The key of a stock volume in the same machine must be found in both.

use std::io::Read;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use fs_err as fs;

use super::ends::{later, leftovers, CRASH, PANIC};
use super::hotplug::expect_progress;
use super::kexec::{add_linux, device, load_linux, nothing_in_ram};
use super::lab::{Lab, PATIENCE, VOLUME};
use crate::enrollment::random;
use crate::guest::Guest;
use crate::keyfind;
use crate::scan::Scanner;
use crate::secrets::{Family, Pattern, VolumeKey};
use crate::volume::{disk, Volume, STOCK, TRESOR};
use crate::watch::Sight;

/// RAM of the machine in MiB, and the part of it in which the other kernel runs.
const MEMORY_MIB: u32 = 512;
const CRASH_MEMORY: &str = "crashkernel=192M";
/// One CPU, so that the others stay as the crash left them.
const CRASH_CMDLINE: &str =
    "console=ttyS0,115200 panic=-1 loglevel=7 no_timer_check nr_cpus=1 reset_devices";
/// Bytes of each load thread's part.
const PART: u64 = 2 << 20;
/// What a dump begins with.
const ELF: &[u8] = b"\x7fELF";

pub(super) fn crash_dump(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let stock_key = random::<64>()?;
    config.memory_mib = MEMORY_MIB;
    config.cmdline = format!("{} {CRASH_MEMORY}", config.cmdline);
    config.disks.extend([
        disk::create(&lab.dir.join("stock.img"), VOLUME)?,
        disk::create_stick(&lab.dir.join("stock-key.img"), &stock_key)?,
    ]);
    let linux = add_linux(lab, &mut config)?;
    let dump_device = device(config.disks.len())?;
    let dump = disk::create(&lab.dir.join("dump.img"), u64::from(MEMORY_MIB) << 20)?;
    config.disks.push(dump.clone());
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    load_linux(&mut guest, &linux, CRASH_CMDLINE, true)?;
    let loaded = guest.read_text("/sys/kernel/kexec_crash_loaded")?;
    ensure!(loaded.trim() == "1", "no kernel is loaded for a crash");
    work(lab, &mut guest)?;
    Sight::of(&mut machine, &secrets)?
        .expect_nothing_in_ram()
        .context("with a kernel loaded for a crash")?;

    later(&mut guest, CRASH)?;
    machine.follow(guest);
    machine.console.wait_for(PANIC[0], PATIENCE)?;
    let mut guest = machine
        .guest()
        .context("the kernel for the crash did not come up")?;
    let (with_address, _) = leftovers(&mut machine)?;
    ensure!(
        with_address.is_empty(),
        "the next kernel found something in DR0-DR3 of the CPUs {with_address:?}"
    );
    let theirs = Scanner::new(stock_patterns(lab, &stock_key)?);
    nothing_in_ram(&mut machine, &secrets).context("after the crash")?;
    machine.qmp.stop()?;
    ensure!(
        !theirs.scan_file(machine.ram())?.is_empty(),
        "the control failed: the stock volume's key is not in RAM"
    );
    machine.qmp.cont()?;

    let bytes = write_dump(&mut guest, &dump_device)?;
    drop(machine);
    expect_dump(&dump, bytes)?;
    let hits = Scanner::new(secrets.patterns()).scan_file(&dump)?;
    ensure!(hits.is_empty(), "the crash dump has {hits:?}");
    ensure!(
        !theirs.scan_file(&dump)?.is_empty(),
        "the control failed: the stock volume's key is not in the crash dump"
    );
    let keys = keyfind::count_keys(&dump, &secrets)?;
    ensure!(
        keys.ours == 0 && keys.all > 0,
        "aeskeyfind in the crash dump: {keys:?}, and not keys of which none is ours"
    );
    Ok(())
}

/// Both volumes in use on all CPUs; the machine crashes in the middle of it.
fn work(lab: &Lab<'_>, guest: &mut Guest) -> Result<()> {
    let stock = Volume {
        device: "/dev/vdc",
        key_device: "/dev/vdd",
        name: "stock",
        ..Volume::new(STOCK, 64, 512)
    };
    let volume = Volume::new(TRESOR, 64, 512);
    for volume in [&stock, &volume] {
        volume.open(guest)?;
        for cpu in 0..lab.cpus {
            let part = u64::from(cpu) * PART;
            guest.start_load(&volume.mapper(), Some(cpu as usize), part, PART)?;
        }
    }
    expect_progress(guest, &Default::default(), 2 * PART).map(drop)
}

/// K1 and K2 of the stock volume.
pub(super) fn stock_patterns(lab: &Lab<'_>, key: &[u8]) -> Result<Vec<Pattern>> {
    let mut secrets = lab.enrollment.secrets(&[])?;
    secrets.volume_keys = vec![VolumeKey::from_xts_key(key)?];
    let mut patterns = secrets.patterns();
    patterns.retain(|pattern| pattern.family == Family::VolumeKey);
    Ok(patterns)
}

/// Copies the dump to a disk; returns its length.
fn write_dump(guest: &mut Guest, device: &str) -> Result<u64> {
    let target = format!("of={device}");
    let dd = ["busybox", "dd", "if=/proc/vmcore", &target, "bs=1048576"];
    guest.run_ok(&[&dd[..], &["conv=fsync"]].concat())?;
    let size = guest.run_ok(&["busybox", "stat", "-c", "%s", "/proc/vmcore"])?;
    size.trim().parse().context("the length of /proc/vmcore")
}

/// It is a dump, of most of RAM.
fn expect_dump(dump: &Path, bytes: u64) -> Result<()> {
    ensure!(
        bytes > u64::from(MEMORY_MIB) << 19,
        "the dump has only {bytes} bytes"
    );
    let mut start = [0; ELF.len()];
    fs::File::open(dump)?.read_exact(&mut start)?;
    ensure!(start == ELF, "what was written is no crash dump");
    Ok(())
}
