// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask demo`: the demonstration on a machine that this command sets up by itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use qemu_tests::demo::{self, DemoOptions, PassPhrase};
use qemu_tests::report;

use crate::kernel;
use crate::machines;
use crate::paths::Workspace;
use crate::progress::clock;

/// Options of `cargo xtask demo`.
#[derive(Args)]
pub(crate) struct Options {
    /// Type the first line of FILE at the prompt instead of asking a person.
    #[arg(long, value_name = "FILE")]
    pass_phrase_file: Option<PathBuf>,
    /// Write the report as one self-contained page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the figures.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// CPUs of the machine.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    cpus: u32,
}

/// Builds the kernel, runs the demonstration and writes its reports.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let image = {
        let kernel = kernel::prepare(workspace, None)?;
        let bzimage = kernel.build(workspace)?;
        machines::image(workspace, &bzimage, "demo")?
    };
    let started = Instant::now();
    let report = demo::run(&DemoOptions {
        kernel: image.kernel.clone(),
        work_dir: image.work_dir.clone(),
        pass_phrase: match &options.pass_phrase_file {
            Some(file) => PassPhrase::File(file.clone()),
            None => PassPhrase::Interactive,
        },
        cpus: options.cpus,
        progress: &|step| eprintln!("[{:>7}] {step}", clock(started.elapsed())),
    })?;
    println!("{}", report::text(&report));
    write(options.html.as_deref(), || report::html(&report))?;
    write(options.json.as_deref(), || report::json(&report))?;
    Ok(if report.verdict().passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn write(file: Option<&Path>, text: impl FnOnce() -> String) -> Result<()> {
    if let Some(file) = file {
        fs_err::write(file, text()).context("the report could not be written")?;
        eprintln!("written: {}", file.display());
    }
    Ok(())
}
