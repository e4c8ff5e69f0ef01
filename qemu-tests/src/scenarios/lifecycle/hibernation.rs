// SPDX-License-Identifier: GPL-2.0

//! Hibernation of a machine with a key is refused; one that has nothing to do with the driver is not kept from it.

use anyhow::{bail, ensure, Result};

use super::super::lab::{Lab, PATIENCE};
use crate::guest::Guest;

/// What a program writes, and where, to hibernate the machine.
const STATE: &str = "/sys/power/state";
const IMAGE: &[u8] = b"disk";
/// What the driver logs.
const REFUSED: &str = "hibernation is refused";

/// Asks for it, and expects to be refused by the driver.
pub(super) fn expect_refused(guest: &mut Guest) -> Result<()> {
    if guest.write_file(STATE, IMAGE).is_ok() {
        bail!("the machine has hibernated and come back");
    }
    ensure!(
        guest.dmesg()?.contains(REFUSED),
        "nobody refused to hibernate a machine with a key"
    );
    Ok(())
}

/// The control: there is no slot, so it is not this driver that says no, but the lack of a place for the image.
pub(in super::super) fn not_refused_without_slot(lab: &mut Lab<'_>) -> Result<()> {
    let config = lab.config_without_slot();
    let mut machine = lab.start(&config)?;
    let mut guest = machine.guest()?;
    guest.begin_write_file(STATE, IMAGE)?;
    machine
        .console
        .wait_for("hibernation: hibernation exit", PATIENCE)?;
    // Devices were suspended for the image.
    machine.reconnect(&mut guest)?;
    if guest.finish_write_file(PATIENCE).is_ok() {
        bail!("the machine has hibernated and come back");
    }
    let log = guest.dmesg()?;
    ensure!(
        !log.contains(REFUSED) && log.contains("PM: Cannot get swap writer"),
        "a machine without a slot must get as far as to look for swap"
    );
    Ok(())
}
