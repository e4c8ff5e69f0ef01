// SPDX-License-Identifier: GPL-2.0
//! What scenarios need beside a kernel: programs, other releases of cryptsetup, its tests, a Debian system.
//!
//! What cannot be had is a failure of its own, and the scenarios that need it fail; the others still run.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use qemu_tests::cryptsetup_suite;
use qemu_tests::cryptsetups::Release;
use qemu_tests::debian::Debian;
use qemu_tests::scenarios::{self, Context, Scenario};

use super::Image;
use crate::deb::{self, Profile};
use crate::debian;
use crate::paths::Workspace;
use crate::runner::{Outcome, Tally};
use crate::unpacked::{self, BOCHS, GDB, NEWER_QEMU, TPM};

/// Puts into the context what the scenarios need. `package` is that of a kernel, if one of them boots a Debian system with it.
pub(super) fn add(
    context: &mut Context,
    workspace: &Workspace,
    image: &Image,
    package: Option<&Path>,
    scenarios: &[Scenario],
    tally: &mut Tally,
) {
    let any = |wanted: fn(&Scenario) -> bool| scenarios.iter().any(wanted);
    let programs = |packages| unpacked::programs(workspace, packages);
    if any(is_in_bochs) {
        context.bochs = had(tally, "bochs::setup", programs(&BOCHS));
    }
    if any(Scenario::is_in_newer_qemu) {
        context.newer_qemu = had(tally, "qemu::newer_qemu::setup", programs(&NEWER_QEMU));
    }
    if any(Scenario::needs_gdb) {
        context.gdb = had(tally, "qemu::setup_gdb", programs(&GDB));
    }
    if any(Scenario::needs_tpm) {
        context.tpm = had(tally, "qemu::setup_tpm", programs(&TPM));
    }
    if any(Scenario::needs_debian) {
        context.debian = had(
            tally,
            "qemu::setup_debian",
            debian(workspace, image, package),
        );
    }
    if any(Scenario::needs_suite) {
        let made = suite(workspace, image);
        context.suite = had(tally, "qemu::setup_cryptsetup_suite", made);
    }
    for release in Release::ALL {
        if !scenarios
            .iter()
            .any(|scenario| scenario.cryptsetup() == Some(release))
        {
            continue;
        }
        let made = unpacked::programs(workspace, &unpacked::cryptsetup(release))
            .and_then(|all| release.add_to(&context.initramfs, &all, &image.work_dir));
        let name = format!("qemu::setup{}", release.mark().trim_end_matches('_'));
        if let Some(initramfs) = had(tally, &name, made) {
            context.cryptsetups.push((release, initramfs));
        }
    }
}

/// What was made, or its failure on record.
fn had<T>(tally: &mut Tally, name: &str, made: Result<T>) -> Option<T> {
    made.map_err(|error| tally.record(name, Outcome::Failed(format!("{error:#}")), None))
        .ok()
}

/// A disk with cryptsetup's own tests.
fn suite(workspace: &Workspace, image: &Image) -> Result<PathBuf> {
    let source = unpacked::suite_source(workspace)?;
    let programs = unpacked::programs(workspace, &unpacked::SUITE)?;
    cryptsetup_suite::make_image(&programs, &source, &image.work_dir)
}

/// Whether a scenario needs Bochs.
fn is_in_bochs(scenario: &Scenario) -> bool {
    scenario.name.starts_with(scenarios::BOCHS)
}

/// A Debian system with our packages.
fn debian(workspace: &Workspace, image: &Image, package: Option<&Path>) -> Result<Debian> {
    let package = package.context("there is no package of the kernel to install")?;
    let tools = deb::tools(workspace, Profile::Dev)?;
    let dir = image.work_dir.join("debian");
    debian::with_packages(workspace, &dir, &tools, package)
}
