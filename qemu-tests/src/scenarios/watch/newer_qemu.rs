// SPDX-License-Identifier: GPL-2.0

//! The same in QEMU 11.1, which tells the plugin of each interrupt and exception: the frames of all of them are read, whatever the handler.

use ::watcher::config::Storm;
use anyhow::{ensure, Context, Result};
use tresor::class::Class;

use super::{arm, note, watch_in};
use crate::enrollment::random;
use crate::machine::Config;
use crate::scenarios::lab::Lab;
use crate::secrets::{Family, Pattern, MIN_RUN};
use crate::unpacked::Programs;
use crate::watcher;
use crate::watcher::symbols::Symbols;

/// A machine's life has fewer interrupts and exceptions than this only if QEMU did not tell of them.
const MIN_EVENTS: u64 = 5_000;

/// A whole life.
pub(in super::super) fn whole_life(lab: &mut Lab<'_>) -> Result<()> {
    let qemu = newer(lab)?;
    let watched = watch_in(lab, Class::Avx, Some(&qemu))?;
    // Those at the handlers that the harness names are read there, too.
    ensure!(
        watched.events > MIN_EVENTS && watched.frames > watched.events,
        "QEMU told of {} interrupts and exceptions, and {} frames were read",
        watched.events,
        watched.frames
    );
    Ok(())
}

/// What is in frames that the CPU pushes must be found there: the stack pointer of a program that is interrupted.
pub(in super::super) fn control_frames(lab: &mut Lab<'_>) -> Result<()> {
    let qemu = newer(lab)?;
    let symbols = Symbols::read(&lab.context.system_map)?;
    let mut config = lab.config_without_slot();
    let pointer = random::<8>()?;
    let pattern = Pattern {
        label: "the stack pointer of a program".into(),
        family: Family::RoundKey,
        bytes: pointer.to_vec().into(),
        min_run: MIN_RUN,
    };
    arm(lab, &mut config, vec![pattern], Storm::default())?;
    in_newer(lab, &mut config, &qemu)?;
    let mut machine = lab.start(&config)?;
    machine
        .guest()?
        .spin_on_stack(u64::from_le_bytes(pointer))?;
    let watched = machine.watcher()?.watched()?;
    note(lab, &watched, &symbols)?;
    ensure!(
        watched.hits.iter().any(|hit| hit.pushed),
        "the control failed: no frame of {} has the stack pointer of the program that was interrupted: {:?}",
        watched.frames,
        watched.describe(&watched.leaking(), &symbols)
    );
    Ok(())
}

fn newer(lab: &Lab<'_>) -> Result<Programs> {
    let qemu = lab.context.newer_qemu.clone();
    qemu.context("QEMU 11.1 is not there: `cargo xtask test qemu::newer_qemu` fetches it")
}

/// Changes a machine with a watcher to one in another QEMU.
pub(super) fn in_newer(lab: &Lab<'_>, config: &mut Config, qemu: &Programs) -> Result<()> {
    let plan = config.watch.as_mut().context("there is no watcher")?;
    plan.library = watcher::build_v7(&lab.context.work_dir)?;
    config.qemu = Some(qemu.clone());
    Ok(())
}
