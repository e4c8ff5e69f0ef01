// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask bench`: the engines' speed beside the kernel's own and others, by the package `bench`, which is built optimised for it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::base::Base;
use crate::lock;
use crate::paths::Workspace;
use crate::process;
use crate::setup::{self, Need};
use crate::tree;

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// Write all ratios.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the plot.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Take less than a minute (after building); the figures are a little less steady.
    #[arg(long)]
    quick: bool,
    /// XTS-AES-128 instead of XTS-AES-256.
    #[arg(long)]
    aes128: bool,
    /// The kernel source tree whose engines are the baseline, instead of Debian's; it is only read.
    #[arg(long, value_name = "DIR")]
    kernel_src: Option<PathBuf>,
}

/// Gets a kernel tree, builds the package `bench` and runs it.
pub(crate) fn run(workspace: &Workspace, options: &Options, no_install: bool) -> Result<()> {
    let tree = match &options.kernel_src {
        Some(tree) => tree.clone(),
        None => {
            setup::ensure(workspace, Need::Build, no_install)?;
            let _lock = lock::take(&workspace.kernel())?;
            tree::debian(workspace, &Base::read(&workspace.patches())?)?.tree()
        }
    };
    let mut cargo = Command::new("cargo");
    cargo
        .args(["run", "--quiet", "--release", "--manifest-path"])
        .arg(workspace.root.join("bench/Cargo.toml"))
        .args(["--features", "aws-lc", "--", "--kernel-tree"])
        .arg(tree);
    for (option, file) in [("--json", &options.json), ("--svg", &options.svg)] {
        if let Some(file) = file {
            cargo.arg(option).arg(file);
        }
    }
    for (option, given) in [("--quick", options.quick), ("--aes128", options.aes128)] {
        if given {
            cargo.arg(option);
        }
    }
    eprintln!("building the measurement ...");
    process::shown(&mut cargo)
}
