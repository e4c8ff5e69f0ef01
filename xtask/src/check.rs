// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask test`: every kind of test in one list, and only what the filter can match is prepared.

use std::process::ExitCode;

use anyhow::{Error, Result};
use qemu_tests::scenarios::{OnRequest, Scenario};

use crate::hygiene::{self, NO_WARNINGS};
use crate::kernel;
use crate::machines;
use crate::packaged::{self, KERNEL_PACKAGE};
use crate::paths::Workspace;
use crate::prove;
use crate::runner::{Filter, Outcome, Tally};
use crate::setup::{self, Need};
use crate::unit;

/// How the names of unit tests begin that need more than cargo brings, and what.
const UNIT_NEEDS: [(&str, Need); 3] = [
    ("unit::tresor::cavp", Need::Vectors),
    ("unit::tresorctl::", Need::Tresorctl),
    ("unit::qemu-tests::", Need::Harness),
];

/// Runs the wanted tests. The exit code says whether all passed.
pub(crate) fn run(
    workspace: &Workspace,
    filter: Option<&str>,
    no_install: bool,
) -> Result<ExitCode> {
    let filter = Filter(filter);
    let mut tally = Tally::default();
    tally.stage("unit tests");
    for (tests, need) in UNIT_NEEDS {
        if !filter.may_take(tests) {
            continue;
        }
        // Without them the tests that need them fail; the others still run.
        if let Err(error) = setup::ensure(workspace, need, no_install) {
            let name = format!("{}::setup", tests.trim_end_matches(':'));
            tally.record(&name, Outcome::Failed(format!("{error:#}")), None);
        }
    }
    if filter.may_take("unit::") {
        // A workspace that does not compile fails this test; the others still run.
        if let Err(error) = unit::run(workspace, filter, &mut tally) {
            tally.record("unit::compile", Outcome::Failed(format!("{error:#}")), None);
        }
    }
    tally.stage("rules");
    hygiene::run(workspace, filter, &mut tally);
    packaged::run(workspace, filter, no_install, &mut tally);
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
    let mut scenarios = machines::wanted(filter);
    scenarios.retain(|scenario| {
        let asked = |some: &OnRequest| filter.0.is_some_and(|text| some.is_asked_for(text));
        let why = match scenario.on_request() {
            Some(some) if !asked(some) => some.why,
            _ if scenario.needs_debian() && !rustix::process::geteuid().is_root() => {
                "only root can make a Debian system to boot"
            }
            _ => return true,
        };
        tally.record(&scenario.name, Outcome::Skipped(why.to_owned()), None);
        false
    });
    let mut built_checks: Vec<String> = scenarios
        .iter()
        .map(|scenario| scenario.name.clone())
        .collect();
    if filter.takes(NO_WARNINGS) {
        built_checks.push(NO_WARNINGS.to_owned());
    }
    if filter.takes(KERNEL_PACKAGE) {
        built_checks.push(KERNEL_PACKAGE.to_owned());
    }
    let methods = prove::wanted(filter);
    built_checks.extend(
        methods
            .iter()
            .map(|method| prove::test_name(method.as_ref())),
    );
    if tree_checks.is_empty() && built_checks.is_empty() {
        return Ok(());
    }
    let need = if scenarios.is_empty() && methods.iter().all(|method| !method.boots()) {
        Need::Build
    } else {
        Need::BuildAndRun
    };
    tally.stage("packages, sources");
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
    tally.stage("rules of the kernel");
    hygiene::run_on_tree(workspace, &kernel, filter, tally);
    if built_checks.is_empty() {
        return Ok(());
    }
    tally.stage("kernel");
    let mut image = match kernel
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
    if scenarios.iter().any(Scenario::is_control) {
        tally.stage("control kernel");
        if let Err(error) = kernel
            .build_controls(workspace)
            .and_then(|bzimage| image.add_controls(&bzimage))
        {
            let (controls, others): (Vec<_>, _) =
                scenarios.into_iter().partition(Scenario::is_control);
            let names = controls.into_iter().map(|scenario| scenario.name);
            blocked(tally, "hygiene::kernel::build_controls", &error, names);
            scenarios = others;
        }
    }
    if scenarios.iter().any(Scenario::is_on_distribution) {
        tally.stage("kernel with what distributions turn on");
        if let Err(error) = kernel
            .build_distribution(workspace)
            .and_then(|bzimage| image.add_distribution(&bzimage))
        {
            let (without, others): (Vec<_>, _) = scenarios
                .into_iter()
                .partition(Scenario::is_on_distribution);
            let names = without.into_iter().map(|scenario| scenario.name);
            blocked(tally, "hygiene::kernel::build_distribution", &error, names);
            scenarios = others;
        }
    }
    let mut package = None;
    if filter.takes(KERNEL_PACKAGE) || scenarios.iter().any(Scenario::needs_debian) {
        tally.stage("packages of the kernel");
        match packaged::kernel(workspace, &kernel, no_install) {
            Ok(image) => {
                if filter.takes(KERNEL_PACKAGE) {
                    tally.run(KERNEL_PACKAGE, || packaged::kernel_content(&kernel, &image));
                }
                package = Some(image);
            }
            Err(error) => {
                let (debian, others): (Vec<_>, _) =
                    scenarios.into_iter().partition(Scenario::needs_debian);
                let names = debian.into_iter().map(|scenario| scenario.name);
                let content = filter.takes(KERNEL_PACKAGE);
                let names = names.chain(content.then(|| KERNEL_PACKAGE.to_owned()));
                blocked(tally, "package::kernel::build", &error, names);
                scenarios = others;
            }
        }
    }
    if !methods.is_empty() {
        tally.stage("static proof");
        // While the tree is ours: it must never be waited for with the image's directory taken.
        prove::test(workspace, &kernel, &methods, tally);
    }
    // The kernel tree is free again for other builds: the machines have a copy of the image.
    drop(kernel);
    if !scenarios.is_empty() {
        tally.stage("machines");
        machines::run(workspace, &image, package.as_deref(), scenarios, tally);
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
