// SPDX-License-Identifier: GPL-2.0

//! A long wait under pressure, and calls that make no sense.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use super::machine::{expect_quiet, expect_state, lock, unlock_with, waiting};
use crate::guest::Guest;
use crate::scenarios::lab::Lab;
use crate::volume::{Files, Volume, TRESOR};

/// More than the driver lets wait at once (128), and one for each task that is held up.
const MOST_WAITING: u64 = 128 + 64;
/// Writers of files that together are larger than RAM allows to be dirty.
const WRITERS: u32 = 6;
/// How long they wait for the key. Dirty pages are written after 5 s at the latest (see below).
const WAIT: Duration = Duration::from_secs(60);
/// The driver's error number for an agent where the kernel asks.
const ENODEV: i32 = 19;
/// RAM that must stay available meanwhile, in KiB: of 256 MiB.
const LEAST_AVAILABLE: u64 = 48 << 10;
const FILES: Files = Files {
    count: 6,
    seed: 1700,
};

/// Each writes a file of its own again and again, through the page cache, until told to end.
const WRITER: &str = "while [ -e /tmp/writers ]; do
    busybox dd if=/dev/zero of=/mnt/writer-N bs=64k count=24
    echo >> /tmp/writer-N
done
echo > /tmp/writer-N-ended";

/// Writers of a file system on a locked volume: the number of requests and the memory in use stay the same, nothing fails, and afterwards all is there.
pub(in super::super) fn writers_wait_in_bounded_memory(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    lab.add_disks(&mut config, 64)?;
    let (_machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;
    volume.make_fs(&mut guest)?;
    volume.mount(&mut guest)?;
    FILES.write(&mut guest)?;
    // Write back early and often.
    for (name, value) in [
        ("dirty_writeback_centisecs", "100"),
        ("dirty_expire_centisecs", "200"),
    ] {
        guest.write_file(&format!("/proc/sys/vm/{name}"), value.as_bytes())?;
    }
    guest.write_file("/tmp/writers", b"")?;
    for writer in 0..WRITERS {
        let script = WRITER.replace('N', &writer.to_string());
        let path = format!("/tmp/writer-{writer}.sh");
        guest.write_file(&path, script.as_bytes())?;
        let command = format!("busybox sh {path} >/dev/null 2>&1 </dev/null &");
        guest.run_ok(&["busybox", "sh", "-c", &command])?;
    }
    sleep(Duration::from_secs(5));

    lock(&mut guest)?;
    // Until the first writers have filled what they may.
    sleep(WAIT / 3);
    let early = (waiting(&mut guest)?, available(&mut guest)?);
    sleep(WAIT * 2 / 3);
    let late = (waiting(&mut guest)?, available(&mut guest)?);
    println!("    waiting requests and KiB available: {early:?}, later {late:?}");
    ensure!(
        early.0 > 0,
        "nothing waits although there are dirty pages and no key"
    );
    ensure!(
        late.0 <= MOST_WAITING,
        "{} requests wait, more than {MOST_WAITING}",
        late.0
    );
    ensure!(
        early.1.min(late.1) >= LEAST_AVAILABLE,
        "the wait eats memory: {early:?}, {late:?}"
    );
    expect_quiet(&mut guest)?;

    unlock_with(&mut guest, &[], lab.enrollment.pass_phrase(), "0")?;
    guest.run_ok(&["busybox", "rm", "/tmp/writers"])?;
    for writer in 0..WRITERS {
        let end =
            format!("while ! [ -e /tmp/writer-{writer}-ended ]; do busybox usleep 50000; done");
        guest.run_ok(&["busybox", "sh", "-c", &end])?;
        let rounds = guest.read_text(&format!("/tmp/writer-{writer}"))?;
        ensure!(!rounds.is_empty(), "writer {writer} wrote nothing");
    }
    guest.run_ok(&["busybox", "sync"])?;
    guest.write_file("/proc/sys/vm/drop_caches", b"3")?;
    FILES.expect(&mut guest)?;
    volume.unmount(&mut guest)?;
    guest.run_ok(&["e2fsck", "-f", "-n", &volume.mapper()])?;
    volume.close(&mut guest)?;
    expect_quiet(&mut guest)
}

/// KiB of RAM that programs can still have.
fn available(guest: &mut Guest) -> Result<u64> {
    let text = guest.read_text("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no MemAvailable")?.parse()?)
}

/// Calls of the device at random, from several threads: it refuses them, stays as it is, and works afterwards.
pub(in super::super) fn hammer(lab: &mut Lab<'_>) -> Result<()> {
    let config = lab.config();
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let seed = u64::from_le_bytes(crate::enrollment::random()?);
    println!("    seed {seed:#x}");
    let report = guest.hammer(seed, 4, 4_000)?;
    println!("    {report:?}");
    ensure!(
        report.done > 0 && report.refused > 0 && report.locks > 0,
        "the calls did not reach what they should: {report:?}"
    );
    // Not a machine of tresor.prompt=agent.
    let register = tresor::uapi::Agent::Register.encode();
    let (errno, _) = guest.call_device(tresor::uapi::AGENT, &register)?;
    ensure!(errno == ENODEV, "an agent nobody wants: error {errno}");
    expect_quiet(&mut guest)?;
    // At random it also locks; it cannot know the pass phrase.
    expect_state(&mut guest, "locked", 0)?;
    lab.expect_no_secret(&mut machine)?;
    unlock_with(&mut guest, &[], lab.enrollment.pass_phrase(), "0")?;
    lab.expect_secret_everywhere(&mut machine)
}
