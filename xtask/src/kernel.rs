// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask kernel`: from the sources to a bzImage.

use std::path::{Path, PathBuf};

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::base::{read_series, Base};
use crate::config::{self, Fragment};
use crate::layer::{write_atomically, Files};
use crate::lock::{self, Lock};
use crate::logged;
use crate::make::{Make, Toolchain};
use crate::overlay;
use crate::patches;
use crate::paths::Workspace;
use crate::progress::Progress;
use crate::space;
use crate::tree::{self, Source};

/// Steps of a full build with the first configuration, until a build here has counted them.
const BUILD_STEPS: u64 = 2100;

/// A patched tree, ready to be built.
pub(crate) struct Kernel {
    /// Where it came from.
    pub(crate) source: Source,
    /// The tools it is built with.
    pub(crate) tools: Toolchain,
    fragments: Vec<Fragment>,
    stamp: String,
    // Until the kernel is no longer used.
    _lock: Lock,
}

/// Gets the source, and puts patches and new files into it.
pub(crate) fn prepare(workspace: &Workspace, own_tree: Option<&Path>) -> Result<Kernel> {
    let lock = lock::take(&workspace.kernel())?;
    let base = Base::read(&workspace.patches())?;
    let series = read_series(&workspace.patches())?;
    let new = overlay::files(&workspace.root)?;
    let fragments = config::fragments(&workspace.configs())?;
    let source = match own_tree {
        Some(dir) => tree::own(workspace, &base, dir, &series, &new)?,
        None => tree::debian(workspace, &base)?,
    };
    let layer = source.layer();
    let files = overlay::combine(&layer, patches::patched_files(&layer, &series)?, &new)?;
    let tools = Toolchain::ready(workspace)?;
    let stamp = stamp(
        &source.identity,
        &tools.identity()?,
        &config::joined(&fragments),
        &files,
    );
    layer.apply(&files)?;
    Ok(Kernel {
        source,
        tools,
        fragments,
        stamp,
        _lock: lock,
    })
}

impl Kernel {
    /// make in the kernel's build directory.
    pub(crate) fn make(&self) -> Result<Make> {
        Make::new(&self.tools, self.source.tree(), self.source.out())
    }

    /// make in the build directory of the lint run.
    pub(crate) fn lint_make(&self) -> Result<Make> {
        Make::new(&self.tools, self.source.tree(), self.source.lint())
    }

    /// Writes the configuration for a build directory.
    pub(crate) fn configure(&self, make: &Make) -> Result<()> {
        config::generate(make, &self.fragments)
    }

    /// The boot image.
    pub(crate) fn bzimage(&self) -> PathBuf {
        self.source.out().join("arch/x86/boot/bzImage")
    }

    /// Warnings of the last build that did something.
    pub(crate) fn warnings(&self) -> Result<String> {
        Ok(fs_err::read_to_string(self.warnings_file())?)
    }

    fn warnings_file(&self) -> PathBuf {
        self.source.out().join("tresor.warnings")
    }

    fn stamp_file(&self) -> PathBuf {
        self.source.out().join("tresor.stamp")
    }

    fn is_up_to_date(&self) -> bool {
        self.bzimage().exists()
            && fs_err::read_to_string(self.stamp_file()).is_ok_and(|stamp| stamp == self.stamp)
    }

    /// Builds the boot image if anything changed, and returns it.
    pub(crate) fn build(&self, workspace: &Workspace) -> Result<PathBuf> {
        let bzimage = self.bzimage();
        if self.is_up_to_date() {
            eprintln!("kernel up to date: {}", workspace.show(&bzimage));
            return Ok(bzimage);
        }
        let out = self.source.out();
        let first = !out.join("vmlinux").exists();
        space::require(
            &workspace.target,
            if first { space::BUILD } else { space::REBUILD },
        )?;
        let make = self.make()?;
        self.configure(&make)?;
        let log = out.join("build.log");
        let total = first.then(|| counted_steps(&out));
        let warnings = logged::make(
            &mut make.command(&["bzImage"]),
            &log,
            Progress::new("building the kernel", total),
        )?;
        write_atomically(&self.warnings_file(), warnings.join("\n").as_bytes())?;
        if first {
            fs_err::copy(log.with_extension("steps"), out.join("full.steps"))?;
        }
        write_atomically(&self.stamp_file(), self.stamp.as_bytes())?;
        if !warnings.is_empty() {
            eprintln!(
                "the build gave {} warnings; the log is in {}",
                warnings.len(),
                workspace.show(&log)
            );
        }
        eprintln!("kernel: {}", workspace.show(&bzimage));
        Ok(bzimage)
    }
}

fn counted_steps(out: &Path) -> u64 {
    fs_err::read_to_string(out.join("full.steps"))
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(BUILD_STEPS)
}

/// Hash of everything the image depends on.
fn stamp(source: &str, tools: &str, fragments: &str, files: &Files) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // With its length, so that no two lists of parts give the same text.
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for text in [source, tools, fragments] {
        part(text.as_bytes());
    }
    for (path, content) in files {
        part(path.as_os_str().as_encoded_bytes());
        part(content);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_depends_on_every_part() {
        let files = |text: &str| Files::from([(PathBuf::from("f"), text.as_bytes().to_vec())]);
        let all = [
            stamp("s", "t", "c", &files("x")),
            stamp("S", "t", "c", &files("x")),
            stamp("s", "T", "c", &files("x")),
            stamp("s", "t", "C", &files("x")),
            stamp("s", "t", "c", &files("y")),
            stamp("st", "", "c", &files("x")),
            stamp("s", "t", "c", &Files::new()),
        ];
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(all[0], stamp("s", "t", "c", &files("x")));
    }
}
