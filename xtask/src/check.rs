// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask test`: every kind of test in one list, and only what the filter can match is prepared.

use std::process::ExitCode;

use anyhow::Result;

use crate::hygiene;
use crate::kernel;
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
    if checks.is_empty() {
        return Ok(());
    }
    setup::ensure(workspace, Need::BuildAndRun, no_install)?;
    let built = kernel::prepare(workspace, None)
        .and_then(|kernel| kernel.build(workspace).map(|bzimage| (kernel, bzimage)));
    match built {
        Ok((kernel, _)) => {
            hygiene::run_on_kernel(workspace, &kernel, filter, tally);
        }
        Err(error) => {
            tally.record(
                "hygiene::kernel::build",
                Outcome::Failed(format!("{error:#}")),
                None,
            );
            for name in checks {
                tally.record(
                    name,
                    Outcome::Skipped("the kernel was not built".to_owned()),
                    None,
                );
            }
        }
    }
    Ok(())
}
