// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask test`: every kind of test in one list, and only what the filter can match is prepared.

use std::process::ExitCode;

use anyhow::{Error, Result};

use crate::hygiene::{self, NO_WARNINGS};
use crate::kernel;
use crate::machines;
use crate::paths::Workspace;
use crate::runner::{Filter, Outcome, Tally};
use crate::setup::{self, Need};
use crate::unit;

/// The tests that read vectors of a Debian package.
const VECTORS: &str = "unit::tresor::cavp::";

/// Runs the wanted tests. The exit code says whether all passed.
pub(crate) fn run(
    workspace: &Workspace,
    filter: Option<&str>,
    no_install: bool,
) -> Result<ExitCode> {
    let filter = Filter(filter);
    let mut tally = Tally::default();
    if filter.may_take(VECTORS) {
        // Without them the tests that read them fail; the others still run.
        if let Err(error) = setup::ensure(workspace, Need::Vectors, no_install) {
            let name = format!("{VECTORS}setup");
            tally.record(&name, Outcome::Failed(format!("{error:#}")), None);
        }
    }
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
    let tree_checks = hygiene::tree_check_names(filter);
    let scenarios = machines::wanted(filter);
    let mut built_checks: Vec<String> = scenarios
        .iter()
        .map(|scenario| scenario.name.clone())
        .collect();
    if filter.takes(NO_WARNINGS) {
        built_checks.push(NO_WARNINGS.to_owned());
    }
    if tree_checks.is_empty() && built_checks.is_empty() {
        return Ok(());
    }
    let need = if scenarios.is_empty() {
        Need::Build
    } else {
        Need::BuildAndRun
    };
    setup::ensure(workspace, need, no_install)?;

    let kernel = match kernel::prepare(workspace, None) {
        Ok(kernel) => kernel,
        Err(error) => {
            let names = tree_checks
                .into_iter()
                .map(str::to_owned)
                .chain(built_checks);
            blocked(tally, "hygiene::kernel::prepare", &error, names);
            return Ok(());
        }
    };
    hygiene::run_on_tree(workspace, &kernel, filter, tally);
    if built_checks.is_empty() {
        return Ok(());
    }
    let image = match kernel
        .build(workspace)
        .and_then(|bzimage| machines::image(workspace, &bzimage, "test"))
    {
        Ok(image) => image,
        Err(error) => {
            blocked(tally, "hygiene::kernel::build", &error, built_checks);
            return Ok(());
        }
    };
    if filter.takes(NO_WARNINGS) {
        tally.run(NO_WARNINGS, || hygiene::no_warnings(&kernel.warnings()?));
    }
    // The kernel tree is free again for other builds: the machines have a copy of the image.
    drop(kernel);
    if !scenarios.is_empty() {
        machines::run(&image, scenarios, tally);
    }
    Ok(())
}

/// Records a step that failed and the tests that could not be tried without it.
fn blocked(tally: &mut Tally, step: &str, error: &Error, names: impl IntoIterator<Item = String>) {
    tally.record(step, Outcome::Failed(format!("{error:#}")), None);
    for name in names {
        tally.record(&name, Outcome::Skipped(format!("{step} failed")), None);
    }
}
