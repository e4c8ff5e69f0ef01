// SPDX-License-Identifier: GPL-2.0

//! What a person meets at boot: the prompt, and every way to answer it.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Result};
use fs_err as fs;

use super::lab::{excerpt, Lab, PATIENCE, VOLUME};
use crate::console::{ACCEPTED, DAMAGED, PROMPT, WITHOUT_KEY, WRONG};
use crate::guest::Guest;
use crate::machine::{Config, Machine};
use crate::volume::{Volume, TRESOR};

/// Least delay after the third wrong pass phrase; it grows with every further one.
const THIRD_DELAY: Duration = Duration::from_secs(1);

pub(super) fn right_pass_phrase(lab: &mut Lab<'_>) -> Result<()> {
    let config = lab.config();
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    ensure!(
        guest.cpus() == lab.cpus as usize,
        "{} CPUs came up",
        guest.cpus()
    );
    guest.run_ok(&["busybox", "true"])?;
    lab.expect_secret_everywhere(&mut machine)
}

pub(super) fn wrong_three_times_then_right(lab: &mut Lab<'_>) -> Result<()> {
    let config = lab.config();
    let mut machine = lab.start(&config)?;
    machine.console.wait_prompt(PATIENCE)?;
    let mut delays = Vec::new();
    // Near misses: one byte less, one more, one changed.
    for wrong in [
        "correct horse batter",
        "correct horse battery ",
        "Correct horse battery",
        "x",
    ] {
        machine.console.type_line(wrong.as_bytes())?;
        let (which, _) = machine.console.wait_for_any(&[WRONG, ACCEPTED], PATIENCE)?;
        ensure!(which == 0, "{wrong:?} was accepted");
        let begin = Instant::now();
        lab.expect_no_secret(&mut machine)?;
        machine.console.wait_prompt(PATIENCE)?;
        delays.push(begin.elapsed());
    }
    ensure!(
        delays[2] >= THIRD_DELAY
            && delays[2] > 2 * delays[0]
            && delays[3] > delays[2] + THIRD_DELAY,
        "after three wrong pass phrases the delay must grow; the delays were {delays:?}"
    );
    machine.console.type_line(lab.enrollment.pass_phrase())?;
    lab.expect_unlocked(&mut machine).map(drop)
}

pub(super) fn no_slot_no_prompt(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config_without_slot();
    not_waiting(&mut config);
    lab.add_disks(&mut config, 64)?;
    let mut machine = lab.start(&config)?;
    let mut guest = machine.guest()?;
    expect_no_prompt(&machine)?;
    expect_no_encryption(lab, &mut machine, &mut guest)
}

pub(super) fn ctrl_c(lab: &mut Lab<'_>) -> Result<()> {
    // Whatever was typed before does not matter.
    without_key(lab, b"correct horse battery\x03")
}

pub(super) fn empty_line(lab: &mut Lab<'_>) -> Result<()> {
    without_key(lab, b"\r")
}

fn without_key(lab: &mut Lab<'_>, typed: &[u8]) -> Result<()> {
    let mut config = lab.config();
    not_waiting(&mut config);
    lab.add_disks(&mut config, 64)?;
    let mut machine = lab.start(&config)?;
    machine.console.wait_prompt(PATIENCE)?;
    machine.console.write(typed)?;
    machine.console.wait_for(WITHOUT_KEY, PATIENCE)?;
    let mut guest = machine.guest()?;
    let log = guest.dmesg()?;
    ensure!(
        log.contains(WITHOUT_KEY),
        "dmesg does not tell that there is no key:\n{}",
        excerpt(&log)
    );
    expect_no_encryption(lab, &mut machine, &mut guest)
}

pub(super) fn damaged_slot(lab: &mut Lab<'_>) -> Result<()> {
    let text = lab.enrollment.slot_text();
    let last = if text.ends_with('0') { '1' } else { '0' };
    let damaged = format!("{}{last}", &text[..text.len() - 1]);
    unusable_slot(lab, &damaged)
}

pub(super) fn unknown_slot_version(lab: &mut Lab<'_>) -> Result<()> {
    let text = lab.enrollment.slot_text();
    unusable_slot(lab, &format!("9{}", &text[1..]))
}

pub(super) fn empty_slot(lab: &mut Lab<'_>) -> Result<()> {
    unusable_slot(lab, "")
}

fn unusable_slot(lab: &mut Lab<'_>, slot: &str) -> Result<()> {
    let mut config = Config {
        cmdline: format!("tresor.slot={slot}"),
        ..lab.config_without_slot()
    };
    not_waiting(&mut config);
    lab.add_disks(&mut config, 64)?;
    let mut machine = lab.start(&config)?;
    machine.console.wait_for(DAMAGED, PATIENCE)?;
    let mut guest = machine.guest()?;
    expect_no_prompt(&machine)?;
    let log = guest.dmesg()?;
    ensure!(
        log.contains(DAMAGED),
        "dmesg does not tell of the damaged slot:\n{}",
        excerpt(&log)
    );
    expect_no_encryption(lab, &mut machine, &mut guest)
}

fn expect_no_prompt(machine: &Machine) -> Result<()> {
    ensure!(
        !machine.console.text().contains(PROMPT),
        "there must be no prompt{}",
        machine.console.tail()
    );
    Ok(())
}

/// A machine on which requests fail while there is no S, so that something can be said about them.
fn not_waiting(config: &mut Config) {
    config.cmdline += " tresor.wait=0";
}

/// Without S: setkey works, encryption and decryption fail clearly, and not one byte, under a zero key or any other, reaches the disk.
fn expect_no_encryption(lab: &Lab<'_>, machine: &mut Machine, guest: &mut Guest) -> Result<()> {
    lab.expect_no_secret(machine)?;
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(guest)?;
    for (what, result) in [
        ("writing", guest.fill(&volume.mapper(), 1, VOLUME)),
        (
            "reading",
            guest.difference(&volume.mapper(), 1, 4096).map(drop),
        ),
    ] {
        match result {
            Ok(()) => bail!("{what} the volume succeeded without a key"),
            Err(error) => ensure!(
                format!("{error:#}").contains("os error 5"),
                "{what} the volume without a key must be an I/O error, but: {error:#}"
            ),
        }
    }
    let disk = fs::read(lab.volume_image())?;
    if let Some(at) = disk.iter().position(|&byte| byte != 0) {
        bail!("without a key something was written to the disk, first at byte {at}");
    }
    Ok(())
}
