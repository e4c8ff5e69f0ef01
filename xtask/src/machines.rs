// SPDX-License-Identifier: GPL-2.0
//! The tests that boot the built kernel under QEMU.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use qemu_tests::cryptsetup_suite;
use qemu_tests::cryptsetups::Release;
use qemu_tests::scenarios::{self, Context, Scenario};

use crate::lock::{self, Lock};
use crate::overlay;
use crate::paths::Workspace;
use crate::runner::{Filter, Outcome, Tally};
use crate::unpacked::{self, BOCHS, GDB, NEWER_QEMU, TPM};

/// Machines that run at the same time. Each may have several busy CPUs, so more would only make waits time out.
const MACHINES: usize = 2;

/// The wanted scenarios.
pub(crate) fn wanted(filter: Filter<'_>) -> Vec<Scenario> {
    scenarios::all()
        .into_iter()
        .filter(|scenario| filter.takes(&scenario.name))
        .collect()
}

/// Whether a scenario needs Bochs.
fn is_in_bochs(scenario: &Scenario) -> bool {
    scenario.name.starts_with(scenarios::BOCHS)
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

/// Runs the scenarios, each on a machine of its own.
pub(crate) fn run(
    workspace: &Workspace,
    image: &Image,
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
    // Scenarios fail without the programs that they need; the others still run.
    let mut fetch = |wanted: fn(&Scenario) -> bool, packages, name| {
        if !scenarios.iter().any(wanted) {
            return None;
        }
        unpacked::programs(workspace, packages)
            .map_err(|error| tally.record(name, Outcome::Failed(format!("{error:#}")), None))
            .ok()
    };
    context.bochs = fetch(is_in_bochs, &BOCHS, "bochs::setup");
    context.newer_qemu = fetch(
        Scenario::is_in_newer_qemu,
        &NEWER_QEMU,
        "qemu::newer_qemu::setup",
    );
    context.gdb = fetch(Scenario::needs_gdb, &GDB, "qemu::setup_gdb");
    context.tpm = fetch(Scenario::needs_tpm, &TPM, "qemu::setup_tpm");
    if scenarios.iter().any(Scenario::needs_suite) {
        let made = unpacked::suite_source(workspace).and_then(|source| {
            let programs = unpacked::programs(workspace, &unpacked::SUITE)?;
            cryptsetup_suite::make_image(&programs, &source, &image.work_dir)
        });
        match made {
            Ok(disk) => context.suite = Some(disk),
            Err(error) => tally.record(
                "qemu::setup_cryptsetup_suite",
                Outcome::Failed(format!("{error:#}")),
                None,
            ),
        }
    }
    for release in Release::ALL {
        let wants = |scenario: &Scenario| scenario.cryptsetup() == Some(release);
        if !scenarios.iter().any(wants) {
            continue;
        }
        let made = unpacked::programs(workspace, &unpacked::cryptsetup(release))
            .and_then(|all| release.add_to(&context.initramfs, &all, &image.work_dir));
        match made {
            Ok(initramfs) => context.cryptsetups.push((release, initramfs)),
            Err(error) => tally.record(
                &format!("qemu::setup{}", release.mark().trim_end_matches('_')),
                Outcome::Failed(format!("{error:#}")),
                None,
            ),
        }
    }
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
