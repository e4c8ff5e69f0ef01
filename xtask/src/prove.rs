// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask prove`: every method of the proof on the shipped kernel, with its controls, and the matrix.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;
use qemu_tests::proof::{self, Depth, Method, Proof, Setting};
use qemu_tests::scenarios::Context;
use qemu_tests::unpacked::Programs;

use crate::kernel::{self, Kernel};
use crate::machines::{self, Image};
use crate::paths::Workspace;
use crate::progress::clock;
use crate::runner::{Filter, Outcome, Tally};
use crate::setup::{self, Need};
use crate::unpacked::{self, NEWER_QEMU};

/// Prefix of the names of the tests that `cargo xtask test` makes of the methods.
pub(crate) const FAMILY: &str = "prove::";

/// The environment variable that tells the storm scenarios how many interrupts must come in windows.
const STORM: &str = "TRESOR_STORM";

/// Options of `cargo xtask prove`.
#[derive(Args)]
pub(crate) struct Options {
    /// As few repetitions as show that everything works (the default).
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// The long run: 100,000 NMIs in windows for each engine class, and the mutants.
    #[arg(long)]
    full: bool,
    /// Only what reads the machine code; no machine is booted.
    #[arg(long = "static")]
    static_only: bool,
    /// Write the figures.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Builds the kernel and runs the proof. The exit code says whether it holds.
pub(crate) fn run(workspace: &Workspace, options: &Options, no_install: bool) -> Result<ExitCode> {
    let depth = match options.full {
        true => Depth::Full,
        false => Depth::Quick,
    };
    let mut methods = proof::methods();
    methods.retain(|method| !options.static_only || !method.boots());
    if options.full {
        std::env::set_var(STORM, depth.nmis_in_window().to_string());
    }
    let machines = methods.iter().any(|method| method.boots());
    let need = if machines {
        Need::BuildAndRun
    } else {
        Need::Build
    };
    setup::ensure(workspace, need, no_install)?;
    let kernel = kernel::prepare(workspace, None)?;
    let built = Built::new(workspace, &kernel, depth, machines)?;
    // The tree is free again for other builds: the machines have a copy of the image.
    drop(kernel);
    let started = Instant::now();
    let progress = |step: &str| eprintln!("[{:>7}] {step}", clock(started.elapsed()));
    let proof = Proof::run(&methods, &built.setting(depth, &progress));
    println!("{}", proof::text(&proof));
    if let Some(file) = &options.json {
        fs_err::write(file, proof::json(&proof)).context("the figures could not be written")?;
        eprintln!("written: {}", file.display());
    }
    Ok(if proof.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The methods that are wanted as tests.
pub(crate) fn wanted(filter: Filter<'_>) -> Vec<Box<dyn Method>> {
    // Unasked, only what no other test does: the scenarios of the others are among the tests of `qemu::`.
    let asked = filter.0.is_some_and(|text| text.starts_with("prove"));
    let mut methods = proof::methods();
    methods
        .retain(|method| filter.takes(&test_name(method.as_ref())) && (asked || !method.boots()));
    methods
}

/// The name of a method as a test.
pub(crate) fn test_name(method: &dyn Method) -> String {
    format!("{FAMILY}{}", method.name())
}

/// Runs methods as tests, with few repetitions.
pub(crate) fn test(
    workspace: &Workspace,
    kernel: &Kernel,
    methods: &[Box<dyn Method>],
    tally: &mut Tally,
) {
    let machines = methods.iter().any(|method| method.boots());
    let built = match Built::new(workspace, kernel, Depth::Quick, machines) {
        Ok(built) => built,
        Err(error) => {
            tally.record(
                &format!("{FAMILY}prepare"),
                Outcome::Failed(format!("{error:#}")),
                None,
            );
            return;
        }
    };
    for method in methods {
        tally.run(&test_name(method.as_ref()), || {
            let setting = built.setting(Depth::Quick, &|_| ());
            let failures = method.run(&setting)?.failures(method.name());
            anyhow::ensure!(failures.is_empty(), "{}", failures.join("\n"));
            Ok(())
        });
    }
}

/// QEMU 11.1. Where it cannot be had the proof goes on, and says what was not done.
fn newer_qemu(workspace: &Workspace) -> Option<Programs> {
    unpacked::programs(workspace, &NEWER_QEMU)
        .inspect_err(|error| eprintln!("QEMU 11.1 cannot be had: {error:#}"))
        .ok()
}

/// The shipped kernel, as the methods want it.
struct Built {
    vmlinux: PathBuf,
    controls: Option<PathBuf>,
    machines: Option<(Context, Image)>,
}

impl Built {
    fn new(workspace: &Workspace, kernel: &Kernel, depth: Depth, machines: bool) -> Result<Self> {
        let bzimage = kernel.build(workspace)?;
        let mut built = Self {
            vmlinux: kernel.source.out().join("vmlinux"),
            controls: None,
            machines: None,
        };
        if machines {
            let mut image = machines::image(workspace, &bzimage, "prove")?;
            image.add_controls(&kernel.build_controls(workspace)?)?;
            image.add_distribution(&kernel.build_distribution(workspace)?)?;
            let newer_qemu = match depth {
                Depth::Full => newer_qemu(workspace),
                Depth::Quick => None,
            };
            let context = Context {
                newer_qemu,
                controls: image.controls.clone(),
                distribution: image.distribution.clone(),
                ..Context::prepare(&image.kernel, &image.work_dir)?
            };
            built.controls = Some(kernel.source.controls().join("vmlinux"));
            built.machines = Some((context, image));
        }
        Ok(built)
    }

    fn setting<'a>(&self, depth: Depth, progress: &'a (dyn Fn(&str) + Sync)) -> Setting<'a> {
        Setting {
            depth,
            vmlinux: self.vmlinux.clone(),
            controls: self.controls.clone(),
            machines: self.machines.as_ref().map(|(context, _)| context.clone()),
            progress,
        }
    }
}
