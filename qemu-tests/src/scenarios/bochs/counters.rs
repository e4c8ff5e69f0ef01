// SPDX-License-Identifier: GPL-2.0

//! S in performance counters of Intel's. Bochs's do not count; they keep what is written to them, as stopped ones of a real CPU do. AMD's
//! have numbers that Bochs 3.0 takes for no register.

use std::ops::RangeInclusive;

use anyhow::{ensure, Context as _, Result};
use guest_init::protocol::MsrAccess;
use rustix::io::Errno;

use super::{start, unlocked, volumes, CPU_MODEL, PATIENCE};
use crate::bochs::msrs::Msr;
use crate::guest::Guest;
use crate::home::Home;
use crate::machine::Config;
use crate::scenarios::lab::{excerpt, Lab};

/// IA32_A_PMC0 to 7, the counters of the CPU `tigerlake` under the names that take all their bits (CPUID leaf 10: eight of 48 bits).
const COUNTERS: RangeInclusive<u32> = 0x4c1..=0x4c8;
/// Bits of each.
const WIDTH: u32 = 48;
/// A register that is nobody's.
const OTHER: u32 = 0x2c;
/// Something to find there.
const MARK: u64 = 0x0bad_cafe_1234_5678;

/// What the log says of a store that was taken, and of one that was not.
const TAKEN: &str = "tresor: store: performance counters, checked on each CPU";
const TOO_FEW: &str = "has too few performance counters: no cipher";

fn config(lab: &Lab<'_>) -> Config {
    Config {
        cpu_model: CPU_MODEL.into(),
        ..lab.config()
    }
}

/// The counters, each with `stuck` bits, and another register.
fn msrs(stuck: u64) -> Vec<Msr> {
    let counter = |number| Msr {
        number,
        width: WIDTH,
        stuck,
    };
    let other = Msr {
        number: OTHER,
        width: 64,
        stuck: 0,
    };
    COUNTERS.map(counter).chain([other]).collect()
}

/// The prompt, volumes with the ciphertext that S makes, and nobody else gets at the registers.
pub(in super::super) fn intel(lab: &mut Lab<'_>) -> Result<()> {
    lab.home = Home::IntelCounters;
    let (_machine, mut guest) = unlocked(lab, &config(lab), &msrs(0))?;
    let log = guest.dmesg()?;
    ensure!(
        log.contains(TAKEN),
        "the log does not say `{TAKEN}`:\n{}",
        excerpt(&log)
    );
    volumes(lab, &mut guest)?;
    for msr in COUNTERS {
        for how in [MsrAccess::Read, MsrAccess::ReadByCall, MsrAccess::Write(0)] {
            let (errno, _) = guest.access_msr(0, msr, how)?;
            ensure!(
                errno == Errno::PERM.raw_os_error(),
                "{how:?} of {msr:#x}: error {errno} instead of EPERM"
            );
        }
    }
    control(&mut guest)?;
    // What was tried has changed nothing.
    volumes(lab, &mut guest)
}

/// A register of nobody's can be written and read in the same ways.
fn control(guest: &mut Guest) -> Result<()> {
    let (written, _) = guest.access_msr(0, OTHER, MsrAccess::Write(MARK))?;
    for how in [MsrAccess::Read, MsrAccess::ReadByCall] {
        let (errno, value) = guest.access_msr(0, OTHER, how)?;
        ensure!(
            (written, errno, value) == (0, 0, MARK),
            "the control failed: {how:?} of {OTHER:#x}: errors {written} and {errno}, {value:#x}"
        );
    }
    Ok(())
}

/// Counters that lose one bit: the store is refused, and there is no cipher.
pub(in super::super) fn too_narrow(lab: &mut Lab<'_>) -> Result<()> {
    lab.home = Home::IntelCounters;
    let stuck = 1 << (WIDTH - 1);
    let mut machine = start(lab, &config(lab), &msrs(stuck))?;
    machine
        .console
        .wait_for("not asking for a pass phrase", PATIENCE)
        .context("asked in spite of counters that lose a bit")?;
    let mut guest = machine.guest()?;
    let log = guest.dmesg()?;
    ensure!(
        log.contains(TOO_FEW) && !log.contains(TAKEN),
        "the log does not say `{TOO_FEW}`:\n{}",
        excerpt(&log)
    );
    let ciphers = guest.read_text("/proc/crypto")?;
    ensure!(!ciphers.contains("tresor"), "there is a cipher:\n{ciphers}");
    Ok(())
}
