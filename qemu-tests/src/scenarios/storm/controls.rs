// SPDX-License-Identifier: GPL-2.0

//! The controls of the storms: what must be found when the guards are missing, and when a result is wrong.

use anyhow::{ensure, Result};
use tresor::class::Class;
use watcher::shared::{Vector, IN_WINDOWS};

use super::{storms, Extent, IN_STORM, PART};
use crate::proof::Counts;
use crate::scenarios::lab::Lab;
use crate::scenarios::watch::{arm, finish};
use crate::volume::{disk, Volume, TRESOR};
use crate::watcher::symbols::Symbols;

/// How many interrupts must come in windows of the control kernel.
const IN_WINDOW: u64 = 1_000;
/// How often a piece of S is cleared: in some calls of a window, at each of its instructions.
const CLEARED: u64 = 64;

/// The control kernel's entries have no guard: the same interrupts in windows must find S on the stacks of their handlers.
pub(in super::super) fn without_guards(lab: &mut Lab<'_>) -> Result<()> {
    for (vector, entry) in [
        (Vector::Nmi, "asm_exc_nmi"),
        (Vector::MachineCheck, "paranoid_entry"),
        (Vector::Debug, "paranoid_entry"),
    ] {
        let outcome = storms(lab, Class::Aesni, vector, Extent::Windows, IN_WINDOW)?;
        ensure!(
            outcome.leaks.iter().any(|leak| leak.contains(entry)),
            "the control failed: a storm of {vector:?} on a kernel without guards found no piece of S stored by {entry}: {:?}",
            outcome.leaks
        );
    }
    Ok(())
}

/// A mistake instead of interrupts, which must make wrong results: a piece of S is cleared in the window, and the window goes on. The very
/// same counting must find them, or finding none under a storm would mean nothing.
pub(in super::super) fn control_cleared(lab: &mut Lab<'_>) -> Result<()> {
    let symbols = Symbols::read(&lab.context.system_map)?;
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let key = lab.enrollment.volume_key(&handle)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let storm = symbols.storm(Class::Aesni, lab.home)?;
    arm(lab, &mut config, secrets.patterns(), storm)?;
    let (machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;
    let shared = &machine.watcher()?.shared;
    shared.start_storm(Vector::Clear, IN_WINDOWS, CLEARED);
    guest.fill(&volume.mapper(), IN_STORM, PART)?;
    shared.end_storm();
    lab.results
        .read_back(&mut guest, &volume.mapper(), IN_STORM, PART)?;
    let read = lab.results;
    volume.close(&mut guest)?;
    finish(lab, machine, &secrets)?;
    let units = disk::check_start(&lab.volume_image(), &key, 512, IN_STORM, PART)?;
    lab.results.add(units);
    lab.leave_counts(Counts::default())?;
    let counted = Counts::left_in(&lab.dir).wrong_results;
    ensure!(
        read.wrong() > 0 && counted > read.wrong() && lab.results.expect_right().is_err(),
        "the control failed: a piece of S was cleared in the window, and of the results {read:?} were wrong when read, {:?} in all",
        lab.results
    );
    Ok(())
}
