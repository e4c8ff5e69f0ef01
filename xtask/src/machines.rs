// SPDX-License-Identifier: GPL-2.0
//! The tests that boot the built kernel under QEMU.

use std::path::{Path, PathBuf};

use anyhow::Result;
use qemu_tests::scenarios::{self, Context, Scenario};

use crate::lock::{self, Lock};
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

/// A boot image in a directory of its own, so that a build in another terminal does not change it in the middle.
pub(crate) struct Image {
    /// The copy of the bzImage.
    pub(crate) kernel: PathBuf,
    /// Where the machines' files go.
    pub(crate) work_dir: PathBuf,
    _lock: Lock,
}

/// Copies the boot image for one purpose.
pub(crate) fn image(workspace: &Workspace, bzimage: &Path, purpose: &str) -> Result<Image> {
    let work_dir = workspace.target.join("qemu").join(purpose);
    let lock = lock::take(&work_dir)?;
    let kernel = work_dir.join("bzImage");
    fs_err::copy(bzimage, &kernel)?;
    Ok(Image {
        kernel,
        work_dir,
        _lock: lock,
    })
}

/// Runs the scenarios, each on a machine of its own.
pub(crate) fn run(image: &Image, scenarios: Vec<Scenario>, tally: &mut Tally) {
    let context = match Context::prepare(&image.kernel, &image.work_dir) {
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
