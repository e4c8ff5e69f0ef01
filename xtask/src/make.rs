// SPDX-License-Identifier: GPL-2.0
//! The kernel's make, with everything that it needs to build Rust and to build the same image twice.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::fetch;
use crate::paths::Workspace;
use crate::process;
use crate::tools;

/// Programs and sources that a kernel build uses.
#[derive(Clone)]
pub(crate) struct Toolchain {
    path: OsString,
    libclang: PathBuf,
    rust_lib_src: PathBuf,
}

impl Toolchain {
    /// Finds or makes all of them.
    pub(crate) fn ready(workspace: &Workspace) -> Result<Self> {
        let mut dirs = vec![fetch::bindgen(workspace)?];
        dirs.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        Ok(Self {
            path: env::join_paths(dirs)?,
            libclang: tools::libclang_dir()
                .context("libclang is missing: run `cargo xtask setup`")?,
            rust_lib_src: fetch::rust_lib_src(workspace)?,
        })
    }

    /// Everything about the tools that changes what is built.
    pub(crate) fn identity(&self) -> Result<String> {
        let mut text = format!(
            "{} {}\n",
            self.libclang.display(),
            self.rust_lib_src.display()
        );
        for (program, argument) in [
            ("rustc", "-vV"),
            ("gcc", "--version"),
            ("ld", "--version"),
            ("bindgen", "--version"),
        ] {
            text.push_str(&process::output(
                Command::new(program).arg(argument).env("PATH", &self.path),
            )?);
        }
        Ok(text)
    }
}

/// make for one tree and one build directory.
pub(crate) struct Make {
    tools: Toolchain,
    tree: PathBuf,
    out: PathBuf,
}

impl Make {
    /// Makes the build directory.
    pub(crate) fn new(tools: &Toolchain, tree: PathBuf, out: PathBuf) -> Result<Self> {
        fs_err::create_dir_all(&out)?;
        Ok(Self {
            tools: tools.clone(),
            tree,
            out,
        })
    }

    /// The build directory.
    pub(crate) fn out(&self) -> &Path {
        &self.out
    }

    /// `make -jN O=... targets`.
    pub(crate) fn command(&self, targets: &[&str]) -> Command {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut make = Command::new("make");
        make.arg("-C").arg(&self.tree).arg(format!("-j{jobs}"));
        let mut out = OsString::from("O=");
        out.push(&self.out);
        make.arg(out).args(targets);
        make.env("PATH", &self.tools.path)
            .env("LIBCLANG_PATH", &self.tools.libclang)
            .env("RUST_LIB_SRC", &self.tools.rust_lib_src)
            .env("LC_ALL", "C")
            // The image must not depend on who built it, where and when.
            .env("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970")
            .env("KBUILD_BUILD_USER", "tresor")
            .env("KBUILD_BUILD_HOST", "localhost")
            .env("KBUILD_BUILD_VERSION", "1");
        // A surrounding make's or cargo's settings are not meant for the kernel.
        for name in [
            "MAKEFLAGS",
            "MAKELEVEL",
            "MFLAGS",
            "RUSTFLAGS",
            "LD_LIBRARY_PATH",
            "CARGO",
            "ARCH",
            "CROSS_COMPILE",
        ] {
            make.env_remove(name);
        }
        make
    }
}
