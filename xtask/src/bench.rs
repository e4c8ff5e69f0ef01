// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask bench`: the engines' speed beside the kernel's own and others, by the package `bench`, which is built optimised for it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;
use qemu_tests::cost;
use qemu_tests::scenarios::Context;

use crate::base::Base;
use crate::kernel;
use crate::lock;
use crate::machines;
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
    /// Measure nothing: calculate how fast the engines could be at best, on every core that is known, and whether the bars can be met.
    #[arg(long, conflicts_with_all = ["json", "svg", "quick", "aes128"])]
    bounds: bool,
    /// Count instructions in the built kernel under QEMU instead: driver, crypto API and dm-crypt, with and without batching.
    #[arg(long, conflicts_with_all = ["svg", "quick", "aes128", "kernel_src", "bounds"])]
    kernel: bool,
}

/// Counts the instructions in the kernel.
fn in_kernel(workspace: &Workspace, options: &Options, no_install: bool) -> Result<()> {
    setup::ensure(workspace, Need::BuildAndRun, no_install)?;
    let image = {
        let kernel = kernel::prepare(workspace, None)?;
        let bzimage = kernel.build(workspace)?;
        machines::image(workspace, &bzimage, "cost")?
    };
    let context = Context::prepare(&image.kernel, &image.work_dir)?;
    let figures = cost::measure(&context, &image.work_dir, &|step| eprintln!("{step} ..."))?;
    println!("{}", cost::text(&figures));
    if let Some(file) = &options.json {
        fs_err::write(file, serde_json::to_vec_pretty(&figures)?)?;
    }
    Ok(())
}

/// Gets a kernel tree, builds the package `bench` and runs it.
pub(crate) fn run(workspace: &Workspace, options: &Options, no_install: bool) -> Result<()> {
    if options.kernel {
        return in_kernel(workspace, options, no_install);
    }
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
        .args(if options.bounds {
            [].as_slice()
        } else {
            &["--features", "aws-lc"]
        })
        .args(["--", "--kernel-tree"])
        .arg(tree);
    for (option, file) in [("--json", &options.json), ("--svg", &options.svg)] {
        if let Some(file) = file {
            cargo.arg(option).arg(file);
        }
    }
    for (option, given) in [
        ("--quick", options.quick),
        ("--aes128", options.aes128),
        ("--bounds", options.bounds),
    ] {
        if given {
            cargo.arg(option);
        }
    }
    eprintln!("building the measurement ...");
    process::shown(&mut cargo)
}
