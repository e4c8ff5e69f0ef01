// SPDX-License-Identifier: GPL-2.0
//! Where things are: the repository, and everything generated below its target directory.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository and its target directory.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// Top of the repository.
    pub(crate) root: PathBuf,
    /// Everything that is generated lives below this directory.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Finds the workspace that this program belongs to.
    ///
    /// Cargo says at run time where the manifest is; the path known at compile time serves when the program is started by
    /// hand.
    pub(crate) fn find() -> Result<Self> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_dir
            .parent()
            .context("xtask must be started inside its workspace: run `cargo xtask`")?
            .canonicalize()
            .context("the workspace that this xtask was built in is gone: run `cargo xtask`")?;
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => env::current_dir()?.join(dir),
            None => root.join("target"),
        };
        fs_err::create_dir_all(&target)?;
        Ok(Self { root, target })
    }

    /// The patches, series and base of kernel 7.3.
    pub(crate) fn patches(&self) -> PathBuf {
        self.root.join("kernel-patches/7.3")
    }

    /// The configuration fragments.
    pub(crate) fn configs(&self) -> PathBuf {
        self.root.join("kernel-patches/configs")
    }

    /// Parent of everything belonging to a kernel source.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.target.join("kernel/7.3")
    }

    /// Tools that are built here (bindgen).
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// A path as a person in the repository would write it.
    pub(crate) fn show(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}
