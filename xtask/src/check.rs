// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask test`: every kind of test in one list, and only what the filter can match is prepared.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::hygiene;
use crate::kernel;
use crate::machines;
use crate::paths::Workspace;
use crate::runner::{Filter, Outcome, Tally};
use crate::setup::{self, Need};
use crate::unit;

/// Runs the wanted tests. The exit code says whether all passed.
pub(crate) fn run(
    workspace: &Workspace,
    filter: Option<&str>,
    no_install: bool,
) -> Result<ExitCode> {
    let filter = Filter(filter);
    let mut tally = Tally::default();
    if filter.may_take("unit::") {
        // A workspace that does not compile fails this test; the others still run.
        if let Err(error) = unit::run(workspace, filter, &mut tally) {
            tally.record("unit::compile", Outcome::Failed(format!("{error:#}")), None);
        }
    }
    hygiene::run(workspace, filter, &mut tally);
    on_kernel(workspace, filter, no_install, &mut tally)?;
    Ok(tally.finish())
}

fn on_kernel(
    workspace: &Workspace,
    filter: Filter<'_>,
    no_install: bool,
    tally: &mut Tally,
) -> Result<()> {
    let checks = hygiene::kernel_check_names(filter);
    let scenarios = machines::wanted(filter);
    if checks.is_empty() && scenarios.is_empty() {
        return Ok(());
    }
    let need = if scenarios.is_empty() {
        Need::Build
    } else {
        Need::BuildAndRun
    };
    setup::ensure(workspace, need, no_install)?;
    let own_kernel = match build_and_check(workspace, filter, tally) {
        Ok(own_kernel) => own_kernel,
        Err(error) => {
            tally.record(
                "hygiene::kernel::build",
                Outcome::Failed(format!("{error:#}")),
                None,
            );
            let names = checks.into_iter().map(str::to_owned);
            for name in names.chain(scenarios.into_iter().map(|scenario| scenario.name)) {
                tally.record(
                    &name,
                    Outcome::Skipped("the kernel was not built".to_owned()),
                    None,
                );
            }
            return Ok(());
        }
    };
    if !scenarios.is_empty() {
        machines::run(&own_kernel.0, &own_kernel.1, scenarios, tally);
    }
    Ok(())
}

/// Builds the kernel and runs the checks on it. Returns a copy of the boot image and the directory for its machines; the
/// kernel tree is free again for other builds.
fn build_and_check(
    workspace: &Workspace,
    filter: Filter<'_>,
    tally: &mut Tally,
) -> Result<(PathBuf, PathBuf)> {
    let kernel = kernel::prepare(workspace, None)?;
    let bzimage = kernel.build(workspace)?;
    hygiene::run_on_kernel(workspace, &kernel, filter, tally);
    machines::own_kernel(workspace, &bzimage, "test")
}
