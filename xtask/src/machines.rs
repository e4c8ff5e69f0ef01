// SPDX-License-Identifier: GPL-2.0
//! The tests that boot the built kernel under QEMU.

use std::path::{Path, PathBuf};

use anyhow::Result;
use qemu_tests::scenarios::{self, Context, Scenario};

use crate::paths::Workspace;
use crate::runner::{Filter, Outcome, Tally};

/// Machines that run at the same time. Each may have several busy CPUs, so more would only make waits time out.
const MACHINES: usize = 2;

/// The wanted scenarios.
pub(crate) fn wanted(filter: Filter<'_>) -> Vec<Scenario> {
    scenarios::all()
        .into_iter()
        .filter(|scenario| filter.takes(&scenario.name))
        .collect()
}

/// A copy of the boot image for one purpose, so that a build in another terminal does not change it in the middle.
pub(crate) fn own_kernel(
    workspace: &Workspace,
    bzimage: &Path,
    purpose: &str,
) -> Result<(PathBuf, PathBuf)> {
    let dir = workspace.target.join("qemu").join(purpose);
    fs_err::create_dir_all(&dir)?;
    let kernel = dir.join("bzImage");
    fs_err::copy(bzimage, &kernel)?;
    Ok((kernel, dir))
}

/// Runs the scenarios, each on a machine of its own.
pub(crate) fn run(kernel: &Path, work_dir: &Path, scenarios: Vec<Scenario>, tally: &mut Tally) {
    let context = match Context::prepare(kernel, work_dir) {
        Ok(context) => context,
        Err(error) => {
            tally.record("qemu::prepare", Outcome::Failed(format!("{error:#}")), None);
            for scenario in scenarios {
                tally.record(
                    &scenario.name,
                    Outcome::Skipped("there is no initramfs".to_owned()),
                    None,
                );
            }
            return;
        }
    };
    eprintln!(
        "{} machines to boot, {MACHINES} at a time ...",
        scenarios.len()
    );
    let tests = scenarios
        .into_iter()
        .map(|scenario| (scenario.name.clone(), scenario))
        .collect();
    tally.run_parallel(MACHINES, tests, |_, scenario| scenario.run(&context));
}
