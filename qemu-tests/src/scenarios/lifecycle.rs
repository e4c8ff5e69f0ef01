// SPDX-License-Identifier: GPL-2.0

//! Lock and unlock, sleep and CPUs that go and come, while volumes are in use: requests wait, nothing is lost, and a locked machine has no key anywhere.

pub(super) mod agent;
pub(super) mod checked;
pub(super) mod cpus;
pub(super) mod hibernation;
pub(super) mod machine;
pub(super) mod sleep;
pub(super) mod soak;
pub(super) mod uevents;
mod waiting;
pub(super) mod work;

use anyhow::{ensure, Result};
use guest_init::protocol::LoadReport;

use self::machine::{expect_quiet, expect_state, lock, standstill, unlock_with, Typed};
use super::hotplug::expect_progress;
use super::lab::Lab;
use crate::guest::Guest;
use crate::volume::{Volume, TRESOR};
use crate::watch::Sight;

pub(super) use waiting::{hammer, writers_wait_in_bounded_memory};

/// Bytes of each load thread's part.
const PART: u64 = 2 << 20;
/// Exit code of `tresorctl unlock` for a wrong pass phrase.
const WRONG_PASS_PHRASE: &str = "2";

/// How dm-crypt hands in the requests of a volume.
#[derive(Clone, Copy)]
enum Path {
    /// From its own workqueues.
    Workqueue,
    /// Where they come from: writes in the writer's context, reads in that of the disk's interrupt.
    Inline,
}

impl Path {
    fn volume(self) -> Volume {
        let options: &[_] = match self {
            Self::Workqueue => &[],
            Self::Inline => &["--perf-no_read_workqueue", "--perf-no_write_workqueue"],
        };
        Volume {
            options: options.into(),
            ..Volume::new(TRESOR, 64, 512)
        }
    }
}

pub(super) fn lock_under_load(lab: &mut Lab<'_>) -> Result<()> {
    lock_and_unlock(lab, Path::Workqueue)
}

pub(super) fn lock_under_load_inline(lab: &mut Lab<'_>) -> Result<()> {
    lock_and_unlock(lab, Path::Inline)
}

/// Twice: lock under load, look everywhere, a wrong pass phrase, the right one, and all goes on.
fn lock_and_unlock(lab: &mut Lab<'_>, path: Path) -> Result<()> {
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = path.volume();
    volume.open(&mut guest)?;
    start_load(lab, &mut guest, &volume)?;
    let mut progress = expect_progress(&mut guest, &LoadReport::default(), PART)?;
    for _ in 0..2 {
        Sight::of(&mut machine, &secrets)?.expect_nothing_in_ram()?;

        lock(&mut guest)?;
        lab.expect_no_secret(&mut machine)?;
        standstill(&mut guest)?;
        expect_state(&mut guest, "locked", 0)?;
        // The same search as above found S in the registers, so these are the right patterns.
        let sight = Sight::of(&mut machine, &secrets)?;
        ensure!(
            sight.hits.is_empty() && sight.keys.ours == 0,
            "secrets are in the RAM of a locked machine:{}",
            sight.first_hits()
        );

        let typed = Typed::begin(&mut machine, &mut guest)?;
        typed.answer_wrong(&mut machine, b"not this one")?;
        lab.expect_no_secret(&mut machine)?;
        typed.answer(&mut machine, lab.enrollment.pass_phrase())?;
        typed.expect_exit(&mut guest, "0")?;
        lab.expect_secret_everywhere(&mut machine)?;
        expect_state(&mut guest, "unlocked", lab.cpus)?;
        progress = expect_progress(&mut guest, &progress, PART)?;
    }
    finish(&volume, &mut guest)
}

/// A load thread bound to each CPU, and one that is not.
fn start_load(lab: &Lab<'_>, guest: &mut Guest, volume: &Volume) -> Result<()> {
    for cpu in 0..lab.cpus {
        let cpu = cpu as usize;
        guest.start_load(&volume.mapper(), Some(cpu), cpu as u64 * PART, PART)?;
    }
    guest.start_load(&volume.mapper(), None, u64::from(lab.cpus) * PART, PART)
}

/// The load ends without an error, the volume closes, and the kernel has nothing to complain about.
fn finish(volume: &Volume, guest: &mut Guest) -> Result<()> {
    let report = guest.stop_load()?;
    ensure!(
        report.errors == 0,
        "errors of the verified I/O: {:?}",
        report.first_error
    );
    volume.close(guest)?;
    expect_quiet(guest)
}

/// Three wrong pass phrases, another slot, an unlock from a file: what the program says.
pub(super) fn answers_of_unlock(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config_without_slot();
    lab.add_disks(&mut config, 64)?;
    let mut machine = lab.start(&config)?;
    let mut guest = machine.guest()?;
    expect_state(&mut guest, "locked", 0)?;
    unlock_with(&mut guest, &[], b"whatever", "5")?;

    let slot = lab.enrollment.slot_text();
    let slot = ["--slot", slot.as_str()];
    unlock_with(&mut guest, &slot, b"whatever", WRONG_PASS_PHRASE)?;
    lab.expect_no_secret(&mut machine)?;
    unlock_with(&mut guest, &slot, lab.enrollment.pass_phrase(), "0")?;
    lab.expect_secret_everywhere(&mut machine)?;

    // A wrong one does not take away what is there, and the right one may come twice.
    unlock_with(&mut guest, &slot, b"whatever", WRONG_PASS_PHRASE)?;
    lab.expect_secret_everywhere(&mut machine)?;
    expect_state(&mut guest, "unlocked", lab.cpus)?;
    unlock_with(&mut guest, &slot, lab.enrollment.pass_phrase(), "0")?;

    // Open volumes have keys of the first slot's secret: another one would make garbage of them.
    let other = crate::enrollment::Enrollment::new(b"another", crate::enrollment::TEST_ITERATIONS)?;
    let text = other.slot_text();
    for locked in [false, true] {
        if locked {
            lock(&mut guest)?;
        }
        unlock_with(&mut guest, &["--slot", &text], other.pass_phrase(), "6")?;
    }
    lab.expect_no_secret(&mut machine)?;

    // Another slot of that secret is as good as the first, but what it gives is known only afterwards: not while there is a key.
    let phrase = b"a second pass phrase";
    let second = lab.enrollment.another_slot(phrase)?;
    let second = ["--slot", second.as_str()];
    unlock_with(&mut guest, &second, b"whatever", WRONG_PASS_PHRASE)?;
    unlock_with(&mut guest, &second, phrase, "0")?;
    lab.expect_secret_everywhere(&mut machine)?;
    unlock_with(&mut guest, &slot, lab.enrollment.pass_phrase(), "6")?;
    lab.expect_secret_everywhere(&mut machine)?;
    expect_quiet(&mut guest)
}

/// `tresorctl lock --fail`: what waits and what comes fails, until the pass phrase is there.
pub(super) fn lock_and_fail(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    lab.add_disks(&mut config, 64)?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = Path::Workqueue.volume();
    volume.open(&mut guest)?;
    start_load(lab, &mut guest, &volume)?;
    expect_progress(&mut guest, &LoadReport::default(), PART)?;
    lock(&mut guest)?;
    standstill(&mut guest)?;

    guest.run_ok(&["tresorctl", "lock", "--fail"])?;
    // So the threads that waited go on, and say what they got.
    let report = guest.stop_load()?;
    let error = report.first_error.unwrap_or_default();
    ensure!(
        report.errors > 0 && error.contains("os error 5"),
        "requests that waited did not fail: {error}"
    );
    expect_state(&mut guest, "locked", 0)?;
    let typed = Typed::begin(&mut machine, &mut guest)?;
    typed.answer(&mut machine, lab.enrollment.pass_phrase())?;
    typed.expect_exit(&mut guest, "0")?;
    start_load(lab, &mut guest, &volume)?;
    expect_progress(&mut guest, &LoadReport::default(), PART)?;
    finish(&volume, &mut guest)
}

/// SysRq-x under load. The time is printed, not judged.
pub(super) fn sysrq_wipe(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    lab.add_disks(&mut config, 64)?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = Path::Workqueue.volume();
    volume.open(&mut guest)?;
    start_load(lab, &mut guest, &volume)?;
    let mut progress = expect_progress(&mut guest, &LoadReport::default(), PART)?;
    for by_keyboard in [true, false] {
        if by_keyboard {
            machine.qmp.press(&["alt", "sysrq", "x"])?;
        } else {
            guest.write_file("/proc/sysrq-trigger", b"x")?;
        }
        standstill(&mut guest)?;
        lab.expect_no_secret(&mut machine)?;
        expect_state(&mut guest, "locked", 0)?;
        let typed = Typed::begin(&mut machine, &mut guest)?;
        typed.answer(&mut machine, lab.enrollment.pass_phrase())?;
        typed.expect_exit(&mut guest, "0")?;
        progress = expect_progress(&mut guest, &progress, PART)?;
    }
    let log = guest.dmesg()?;
    for time in machine::times_of_wipes(&log)? {
        println!("    SysRq-x to the last CPU's wipe: {time:.6} s of guest time");
    }
    finish(&volume, &mut guest)
}
