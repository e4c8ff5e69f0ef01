// SPDX-License-Identifier: GPL-2.0

//! The control kernel: each leak that leaves something in RAM or on a disk must be found there, or finding nothing elsewhere
//! would mean nothing.
//!
//! The kernel's side, and what each channel does: `rust/tresor/asm/leaks.S`.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use fs_err as fs;

use super::lab::Lab;
use crate::guest::Guest;
use crate::machine::Machine;
use crate::scan::{Hit, Scanner};
use crate::secrets::{Family, Secrets};
use crate::volume::disk;
use crate::watch::Sight;

/// Write a channel's name here, and it leaks.
pub(super) const LEAK: &str = "/sys/kernel/debug/tresor/leak";
/// What leaked to the page of the leaks goes to the disk, and back to the page cache.
const TO_DISK: &str =
    "busybox dd if=/sys/kernel/debug/tresor/leaked of=/dev/vda bs=4096 count=1 oflag=direct";
const FROM_DISK: &str = "busybox dd if=/dev/vda of=/dev/null bs=4096 count=1";

const UNTIL_OVER: &str = "until [ -e /tmp/over ]; do busybox usleep 100000; done";
/// How often RAM is searched for a leak that is there for some seconds, and the time in between.
const LOOKS: u32 = 60;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What must find a channel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FoundBy {
    /// A scan of RAM, afterwards.
    Ram,
    /// The same, and Debian's aeskeyfind.
    RamAndKeyFind,
    /// A scan of RAM while the leak waits: it is gone afterwards, or may be overwritten.
    RamMeanwhile,
    /// The check of the code (and no scan): nothing goes to memory.
    Code,
}

/// Every channel that the kernel offers, in its order.
const CHANNELS: &[(&str, FoundBy)] = &[
    ("spill", FoundBy::Ram),
    ("push", FoundBy::RamMeanwhile),
    ("xsave", FoundBy::Ram),
    ("rep-movsb", FoundBy::Ram),
    ("schedule", FoundBy::RamAndKeyFind),
    ("interrupt-frame", FoundBy::RamMeanwhile),
    ("unwiped", FoundBy::Code),
    ("branch", FoundBy::Code),
    ("table", FoundBy::Code),
];

pub(super) fn leaks_are_found(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    let image = disk::create(&lab.dir.join("target.img"), 1 << 20)?;
    config.disks = vec![image.clone()];
    let secrets = lab.enrollment.secrets(&[])?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;

    let offered = guest.read_text(LEAK)?;
    let known: Vec<_> = CHANNELS.iter().map(|(name, _)| *name).collect();
    ensure!(
        offered.split_whitespace().eq(known.iter().copied()),
        "the control kernel offers `{}`; no check is named for some of these",
        offered.trim()
    );
    ensure!(
        guest.write_file(LEAK, b"no-such-channel").is_err(),
        "a channel that does not exist leaked"
    );
    Sight::of(&mut machine, &secrets)?
        .expect_nothing_in_ram()
        .context("before anything leaked")?;

    for &(channel, found_by) in CHANNELS {
        leak(&mut machine, &mut guest, &secrets, channel, found_by)
            .with_context(|| format!("channel {channel}"))?;
    }
    through_the_disk(&mut machine, &mut guest, &secrets, &image)
}

/// Lets one channel leak, looks, and clears what it left.
fn leak(
    machine: &mut Machine,
    guest: &mut Guest,
    secrets: &Secrets,
    channel: &str,
    found_by: FoundBy,
) -> Result<()> {
    let before = hits(machine, secrets)?.len();
    if found_by == FoundBy::RamMeanwhile {
        return meanwhile(machine, guest, secrets, channel);
    }
    guest.write_file(LEAK, channel.as_bytes())?;
    let hits = hits(machine, secrets)?;
    if found_by == FoundBy::Code {
        ensure!(
            hits.len() == before,
            "the scan found what should be in no memory: {hits:?}"
        );
        return Ok(());
    }
    ensure!(
        !of_s(&hits).is_empty(),
        "the control failed: the scan of RAM found nothing"
    );
    if found_by == FoundBy::RamAndKeyFind {
        let keys = Sight::of(machine, secrets)?.keys;
        ensure!(
            keys.ours > 0,
            "the control failed: aeskeyfind found {keys:?}"
        );
    }
    guest.write_file(LEAK, b"clear")
}

/// Looks again and again while the channel leaks. The guest's CPU is busy with the leak and cannot say when it is over.
fn meanwhile(
    machine: &mut Machine,
    guest: &mut Guest,
    secrets: &Secrets,
    channel: &str,
) -> Result<()> {
    let script = format!(
        "busybox rm -f /tmp/over
        (busybox sleep 1; echo {channel} > {LEAK}; echo > /tmp/over) >/dev/null 2>&1 </dev/null &"
    );
    guest.run_ok(&["busybox", "sh", "-c", &script])?;
    let mut found = false;
    for _ in 0..LOOKS {
        found = !of_s(&hits(machine, secrets)?).is_empty();
        if found {
            break;
        }
        sleep(BETWEEN_LOOKS);
    }
    guest.run_ok(&["busybox", "sh", "-c", UNTIL_OVER])?;
    ensure!(
        found,
        "the control failed: no scan of RAM found it while it was there"
    );
    Ok(())
}

/// The device reads the page of the leaks, and later writes it to RAM again: the disk has it, and then RAM, where no CPU has
/// stored it.
fn through_the_disk(
    machine: &mut Machine,
    guest: &mut Guest,
    secrets: &Secrets,
    image: &std::path::Path,
) -> Result<()> {
    let scanner = Scanner::new(secrets.patterns());
    let on_disk = || -> Result<bool> { Ok(!scanner.scan(&fs::read(image)?).is_empty()) };
    ensure!(!on_disk()?, "the disk has a secret before the leak");
    guest.write_file(LEAK, b"spill")?;
    guest.run_ok(&["busybox", "sh", "-c", TO_DISK])?;
    ensure!(
        on_disk()?,
        "the control failed: the scan of the disk found nothing"
    );
    guest.write_file(LEAK, b"clear")?;
    guest.write_file("/proc/sys/vm/drop_caches", b"3")?;
    let without = of_s(&hits(machine, secrets)?).len();
    guest.run_ok(&["busybox", "sh", "-c", FROM_DISK])?;
    let with = of_s(&hits(machine, secrets)?).len();
    ensure!(
        with > without,
        "the control failed: what the device wrote to RAM was not found"
    );
    Ok(())
}

fn hits(machine: &mut Machine, secrets: &Secrets) -> Result<Vec<Hit>> {
    machine.qmp.stop()?;
    let hits = Scanner::new(secrets.patterns()).scan_file(machine.ram())?;
    machine.qmp.cont()?;
    Ok(hits)
}

/// The hits that the channels make: S and its round keys.
fn of_s(hits: &[Hit]) -> Vec<&Hit> {
    hits.iter()
        .filter(|hit| matches!(hit.family, Family::RegisterSecret | Family::RoundKey))
        .collect()
}
