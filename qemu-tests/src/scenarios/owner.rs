// SPDX-License-Identifier: GPL-2.0

//! Others who want DR0-DR3: perf and ptrace. They may not touch S, and with `tresor=off` they work, which shows that the attempts here
//! are real.

use anyhow::{ensure, Result};
use guest_init::protocol::Breakpoint;

use super::lab::Lab;
use crate::guest::Guest;
use crate::machine::{Config, Machine};

/// `EBUSY`: the registers belong to somebody else.
pub(super) const EBUSY: i32 = 16;
/// Command line option that gives the debug registers back.
pub(super) const OFF: &str = "tresor=off";

pub(super) fn breakpoints_are_refused(lab: &mut Lab<'_>) -> Result<()> {
    let config = lab.config();
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    for how in [Breakpoint::Perf, Breakpoint::Ptrace] {
        expect(&mut guest, how, Some(EBUSY), false)?;
    }
    lab.expect_secret_everywhere(&mut machine)
}

pub(super) fn off_gives_breakpoints_back(lab: &mut Lab<'_>) -> Result<()> {
    let (_machine, mut guest) = start_off(lab, "")?;
    for how in [Breakpoint::Perf, Breakpoint::Ptrace] {
        expect(&mut guest, how, None, true)?;
    }
    let ciphers = guest.read_text("/proc/crypto")?;
    ensure!(
        ciphers.contains("xts") && !ciphers.contains("tresor"),
        "with {OFF} there must be no cipher of ours:\n{ciphers}"
    );
    Ok(())
}

/// Tries to set a breakpoint.
pub(super) fn expect(
    guest: &mut Guest,
    how: Breakpoint,
    refusal: Option<i32>,
    fires: bool,
) -> Result<()> {
    let (errno, fired) = guest.try_breakpoint(how)?;
    ensure!(
        (errno, fired) == (refusal, fires),
        "{how:?}: error {errno:?} instead of {refusal:?}; fired: {fired}"
    );
    Ok(())
}

/// A machine with the driver off: a pass phrase is not asked for even with a slot.
pub(super) fn start_off(lab: &mut Lab<'_>, option: &str) -> Result<(Machine, Guest)> {
    let mut config = lab.config();
    config.cmdline += &format!(" {option}");
    start_off_with(lab, config)
}

/// The same with other things about the machine.
pub(super) fn start_off_with(lab: &mut Lab<'_>, mut config: Config) -> Result<(Machine, Guest)> {
    config.cmdline += &format!(" {OFF}");
    let mut machine = lab.start(&config)?;
    let guest = machine.guest()?;
    Ok((machine, guest))
}
