// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask`: sets up, builds, tests and demonstrates the project.

mod apt;
mod base;
mod bench;
mod check;
mod checkpatch;
mod config;
mod deb;
mod debian;
mod demo;
mod export;
mod fetch;
mod hygiene;
mod kernel;
mod kernel_deb;
mod layer;
mod lint;
mod lock;
mod logged;
mod machines;
mod make;
mod overlay;
mod packaged;
mod patches;
mod paths;
mod process;
mod progress;
mod prove;
mod runner;
mod setup;
mod soak;
mod sources;
mod space;
mod tidy;
mod tools;
mod tree;
mod unit;
mod unpacked;

use std::io::stdin;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use rustix::termios::{tcgetattr, tcsetattr, OptionalActions};

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
    /// The tools that an encrypted machine needs beside its kernel.
    #[command(subcommand)]
    Tools(ToolsTask),
    /// Show it: a volume through a sleep of the machine, its key nowhere in RAM, and stock AES beside it.
    Demo(demo::Options),
    /// Look for leaks with every method, on the shipped kernel and on kernels that leak on purpose.
    Prove(prove::Options),
    /// Measure the engines beside the kernel's own, libraries and TRESOR's way.
    Bench(bench::Options),
    /// Let a machine sleep, lose CPUs, be locked and take NMIs at random, under verified I/O and with its stores watched.
    Soak(soak::Options),
    /// Run the tests whose name contains FILTER: unit::..., hygiene::..., package::..., prove::..., qemu::..., bochs::...
    Test {
        /// Part of a test's name.
        filter: Option<String>,
    },
}

#[derive(Subcommand)]
enum KernelTask {
    /// Build the boot image for QEMU.
    Build {
        /// Build the control kernel beside it, too, which leaks its keys on request.
        #[arg(long)]
        controls: bool,
        /// Build the kernel with what distributions turn on, too: kprobes, ftrace, live patching, kexec, kdump, KVM.
        #[arg(long)]
        distribution: bool,
        #[command(flatten)]
        source: KernelSource,
    },
    /// Prepare the tree and write the configuration only.
    Config(KernelSource),
    /// clippy, rustfmt and checkpatch on everything that goes into the kernel.
    Lint(KernelSource),
    /// Build Debian packages of the kernel with the driver for a configuration of your own.
    Deb {
        /// The configuration, for example /boot/config-$(uname -r); what the driver needs is changed in it, and said.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        #[command(flatten)]
        source: KernelSource,
    },
    /// Write the complete series of patches, as it would be mailed, into a new directory.
    Export {
        /// The directory.
        dir: PathBuf,
        #[command(flatten)]
        source: KernelSource,
    },
}

#[derive(Subcommand)]
enum ToolsTask {
    /// Build a Debian package of tresorctl with man pages, completions and the hooks for initramfs-tools and dracut.
    Deb,
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
    // A prompt that was showing no echo must not leave the person's terminal so.
    let terminal = tcgetattr(stdin()).ok();
    ctrlc::set_handler(move || {
        if let Some(terminal) = &terminal {
            let _ = tcsetattr(stdin(), OptionalActions::Now, terminal);
        }
        // Every file is written whole or not at all, so ending here is safe. Children get the signal themselves, or
        // when we are gone.
        eprintln!("\ninterrupted: run the command again, it continues where it stopped");
        std::process::exit(130);
    })
    .context("cannot watch for Ctrl-C")?;
    let workspace = Workspace::find()?;
    match &cli.command {
        Task::Setup => {
            for need in Need::ALL {
                setup::ensure(&workspace, need, cli.no_install)?;
            }
            eprintln!("everything is installed");
        }
        Task::Kernel(task) => {
            setup::ensure(&workspace, Need::Build, cli.no_install)?;
            if matches!(task, KernelTask::Deb { .. }) {
                setup::ensure(&workspace, Need::Packages, cli.no_install)?;
            }
            run_kernel(&workspace, task)?;
        }
        Task::Tools(ToolsTask::Deb) => {
            let package = deb::tools(&workspace, deb::Profile::Release)?;
            println!("{}", workspace.show(&package));
        }
        Task::Demo(options) => {
            setup::ensure(&workspace, Need::BuildAndRun, cli.no_install)?;
            return demo::run(&workspace, options);
        }
        Task::Prove(options) => return prove::run(&workspace, options, cli.no_install),
        Task::Bench(options) => bench::run(&workspace, options, cli.no_install)?,
        Task::Soak(options) => {
            setup::ensure(&workspace, Need::BuildAndRun, cli.no_install)?;
            soak::run(&workspace, options)?;
        }
        Task::Test { filter } => return check::run(&workspace, filter.as_deref(), cli.no_install),
    }
    Ok(ExitCode::SUCCESS)
}

fn run_kernel(workspace: &Workspace, task: &KernelTask) -> Result<()> {
    let (KernelTask::Build { source, .. }
    | KernelTask::Config(source)
    | KernelTask::Lint(source)
    | KernelTask::Deb { source, .. }
    | KernelTask::Export { source, .. }) = task;
    let kernel = kernel::prepare(workspace, source.kernel_src.as_deref())?;
    match task {
        KernelTask::Build {
            controls,
            distribution,
            ..
        } => {
            kernel.build(workspace)?;
            if *controls {
                kernel.build_controls(workspace)?;
            }
            if *distribution {
                kernel.build_distribution(workspace)?;
            }
        }
        KernelTask::Config(_) => {
            let make = kernel.make()?;
            kernel.configure(&make)?;
            eprintln!(
                "configuration: {}",
                workspace.show(&make.out().join(".config"))
            );
        }
        KernelTask::Lint(_) => {
            lint::kernel_rustfmt(workspace, &kernel.source.tree())?;
            hygiene::exported_checkpatch(workspace, &kernel)?;
            lint::kernel_clippy(&kernel)?;
            eprintln!("no findings");
        }
        KernelTask::Deb { config, .. } => {
            for package in kernel_deb::build(workspace, &kernel, &kernel.source.packages(), config)?
            {
                println!("{}", workspace.show(&package));
            }
        }
        KernelTask::Export { dir, .. } => {
            for patch in export::export(workspace, &kernel.source.layer(), dir)? {
                println!("{}", patch.display());
            }
        }
    }
    Ok(())
}
