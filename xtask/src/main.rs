// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask`: sets up, builds, tests and demonstrates the project.

mod apt;
mod base;
mod config;
mod fetch;
mod kernel;
mod layer;
mod logged;
mod make;
mod overlay;
mod patches;
mod paths;
mod process;
mod progress;
mod setup;
mod sources;
mod space;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::paths::Workspace;
use crate::setup::Need;

/// Sets up, builds, tests and demonstrates the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// Never install packages: refuse with the list of what is missing.
    #[arg(long, global = true)]
    no_install: bool,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building and running needs (the other commands do it by themselves).
    Setup,
    /// Fetch, patch, configure and build the kernel.
    #[command(subcommand)]
    Kernel(KernelTask),
}

#[derive(Subcommand)]
enum KernelTask {
    /// Build the boot image for QEMU.
    Build(KernelSource),
    /// Prepare the tree and write the configuration only.
    Config(KernelSource),
}

#[derive(Args)]
struct KernelSource {
    /// A kernel source tree of your own instead of Debian's; it is copied, never changed.
    #[arg(long, value_name = "DIR")]
    kernel_src: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    ctrlc::set_handler(|| {
        // Every file is written whole or not at all, so ending here is safe. Children get the signal themselves, or
        // when we are gone.
        eprintln!("\ninterrupted: run the command again, it continues where it stopped");
        std::process::exit(130);
    })
    .context("cannot watch for Ctrl-C")?;
    let workspace = Workspace::find()?;
    match &cli.command {
        Task::Setup => {
            setup::ensure(&workspace, Need::BuildAndRun, cli.no_install)?;
            eprintln!("everything is installed");
        }
        Task::Kernel(KernelTask::Build(source)) => {
            setup::ensure(&workspace, Need::Build, cli.no_install)?;
            kernel::prepare(&workspace, source.kernel_src.as_deref())?.build(&workspace)?;
        }
        Task::Kernel(KernelTask::Config(source)) => {
            setup::ensure(&workspace, Need::Build, cli.no_install)?;
            let kernel = kernel::prepare(&workspace, source.kernel_src.as_deref())?;
            let make = kernel.make()?;
            kernel.configure(&make)?;
            eprintln!(
                "configuration: {}",
                workspace.show(&make.out().join(".config"))
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
