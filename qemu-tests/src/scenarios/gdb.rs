// SPDX-License-Identifier: GPL-2.0

//! gdb inside the machine: its watchpoints in hardware are refused, those in software work, and S stays where it is.

use std::io::Write;

use anyhow::{ensure, Context, Result};
use fs_err as fs;

use super::lab::Lab;
use super::owner::OFF;
use crate::debugger::{self, WATCHED};
use crate::guest::Guest;
use crate::machine::Config;

/// What gdb says when ptrace refuses a debug register.
const REFUSED: &str = "Couldn't write debug register: Device or resource busy.";

pub(super) fn watchpoints(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    add_gdb(lab, &mut config)?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let (variable, value) = WATCHED;
    let watch = format!("watch {variable}");
    let said = session(
        lab,
        &mut guest,
        &[
            &watch,
            "continue",
            "delete 2",
            "set can-use-hw-watchpoints 0",
            &watch,
            "continue",
        ],
    )?;
    ensure!(
        said.contains(&format!("Hardware watchpoint 2: {variable}")) && said.contains(REFUSED),
        "gdb does not say that the hardware watchpoint was refused:\n{said}"
    );
    // gdb numbers it and shows it as one in software.
    expect_fired(&said, &format!("\nWatchpoint 3: {variable}"), value)?;
    lab.expect_secret_everywhere(&mut machine)?;
    drop(machine);

    // The control: without the driver the same watchpoint works in hardware.
    let mut off = lab.config_without_slot();
    off.cmdline = OFF.into();
    off.initramfs = config.initramfs;
    let mut machine = lab.start(&off)?;
    let said = session(lab, &mut machine.guest()?, &[&watch, "continue"])?;
    expect_fired(
        &said,
        &format!("\nHardware watchpoint 2: {variable}"),
        value,
    )
}

fn add_gdb(lab: &Lab<'_>, config: &mut Config) -> Result<()> {
    let programs = lab
        .context
        .gdb
        .as_ref()
        .context("Debian's gdb was not fetched")?;
    config.initramfs = debugger::add_to(&config.initramfs, programs, &lab.dir)?;
    Ok(())
}

/// What gdb said, on both of its outputs. It stays with the logs.
fn session(lab: &Lab<'_>, guest: &mut Guest, commands: &[&str]) -> Result<String> {
    let ended = debugger::session(guest, commands)?;
    let said = format!("\n{}\n{}", ended.stdout, ended.stderr);
    let mut log = fs::File::options()
        .append(true)
        .create(true)
        .open(lab.dir.join("gdb.log"))?;
    log.write_all(said.as_bytes())?;
    Ok(said)
}

/// The watchpoint was set as named, and showed the variable's change after that.
fn expect_fired(said: &str, set: &str, value: &str) -> Result<()> {
    let after = said.split(set).nth(2);
    ensure!(
        after.is_some_and(|after| after.contains(&format!("New value = {value}"))),
        "the watchpoint did not fire:\n{said}"
    );
    Ok(())
}
