// SPDX-License-Identifier: GPL-2.0
//! The tests that boot the built kernel under QEMU.

mod needs;
mod repeat;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use qemu_tests::scenarios::{self, Context, Scenario};

use crate::lock::{self, Lock};
use crate::overlay;
use crate::paths::Workspace;
use crate::runner::{Filter, Outcome, Tally};
use repeat::Repeats;

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
    /// The copy of the control kernel's, if it was added.
    pub(crate) controls: Option<PathBuf>,
    /// The copy of that of the kernel with what distributions turn on, if it was added.
    pub(crate) distribution: Option<PathBuf>,
    /// Where the machines' files go.
    pub(crate) work_dir: PathBuf,
    _lock: Lock,
}

/// Copies the boot image and its symbols for one purpose.
pub(crate) fn image(workspace: &Workspace, bzimage: &Path, purpose: &str) -> Result<Image> {
    let work_dir = workspace.target.join("qemu").join(purpose);
    let lock = lock::take(&work_dir)?;
    Ok(Image {
        kernel: copy(bzimage, &work_dir)?,
        controls: None,
        distribution: None,
        work_dir,
        _lock: lock,
    })
}

impl Image {
    /// Copies those of the control kernel, too.
    pub(crate) fn add_controls(&mut self, bzimage: &Path) -> Result<()> {
        self.controls = Some(copy(bzimage, &self.work_dir.join("controls"))?);
        Ok(())
    }

    /// Copies those of the kernel with what distributions turn on, too.
    pub(crate) fn add_distribution(&mut self, bzimage: &Path) -> Result<()> {
        let dir = self.work_dir.join("distribution");
        self.distribution = Some(copy(bzimage, &dir)?);
        let module = out(bzimage)?
            .join(overlay::DRIVER_DIR)
            .join(scenarios::LIVEPATCH_MODULE);
        fs_err::copy(module, dir.join(scenarios::LIVEPATCH_MODULE))?;
        Ok(())
    }
}

/// The build directory of `out/arch/x86/boot/bzImage`.
fn out(bzimage: &Path) -> Result<&Path> {
    bzimage
        .ancestors()
        .nth(4)
        .context("the boot image is not in a kernel's build directory")
}

/// Copies a boot image and its symbols to a directory, and returns the image there.
fn copy(bzimage: &Path, dir: &Path) -> Result<PathBuf> {
    fs_err::create_dir_all(dir)?;
    let out = out(bzimage)?;
    for symbols in ["System.map", "vmlinux"] {
        fs_err::copy(out.join(symbols), dir.join(symbols))?;
    }
    let kernel = dir.join("bzImage");
    fs_err::copy(bzimage, &kernel)?;
    Ok(kernel)
}

/// Runs the scenarios, each on a machine of its own. `package` is that of the kernel, for those that boot a Debian system with it. What a machine did
/// not say in time on a host that emulates another one beside it is waited for once more, alone; it is told, and fails if it does not come then.
pub(crate) fn run(
    workspace: &Workspace,
    image: &Image,
    package: Option<&Path>,
    scenarios: Vec<Scenario>,
    tally: &mut Tally,
) {
    let mut context = match Context::prepare(&image.kernel, &image.work_dir) {
        Ok(context) => Context {
            controls: image.controls.clone(),
            distribution: image.distribution.clone(),
            ..context
        },
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
    needs::add(&mut context, workspace, image, package, &scenarios, tally);
    eprintln!(
        "{} machines to boot, {MACHINES} at a time ...",
        scenarios.len()
    );
    let tests = scenarios
        .into_iter()
        .map(|scenario| (scenario.name.clone(), scenario))
        .collect();
    let repeats = Repeats::default();
    tally.run_parallel(MACHINES, tests, |name, scenario| {
        let keep = || keep(&scenario.dir(&context));
        repeats.run(name, keep, || scenario.run(&context))
    });
    tally.repeated(repeats.names());
}

/// Moves the logs of a first try away; returns where they are.
fn keep(dir: &Path) -> Result<PathBuf> {
    let kept = dir.with_extension("first-try");
    if kept.exists() {
        fs_err::remove_dir_all(&kept)?;
    }
    fs_err::rename(dir, &kept)?;
    Ok(kept)
}
