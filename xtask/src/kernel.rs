// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask kernel`: from the sources to a bzImage.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::base::{read_series, Base};
use crate::config::{self, Fragment};
use crate::fetch;
use crate::layer::{write_atomically, Files};
use crate::lock::{self, Lock};
use crate::logged;
use crate::make::{Make, Toolchain};
use crate::overlay;
use crate::patches;
use crate::paths::Workspace;
use crate::process;
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
    shipped: Build,
    controls: Build,
    distribution: Build,
    // Until the kernel is no longer used.
    _lock: Lock,
}

/// A build directory and what is to be in it.
struct Build {
    /// What progress and messages call it.
    name: &'static str,
    out: PathBuf,
    fragments: Vec<Fragment>,
    /// What make is to make.
    targets: &'static [&'static str],
    stamp: String,
}

/// Gets the source, and puts patches and new files into it.
pub(crate) fn prepare(workspace: &Workspace, own_tree: Option<&Path>) -> Result<Kernel> {
    let lock = lock::take(&workspace.kernel())?;
    let base = Base::read(&workspace.patches())?;
    let series = read_series(&workspace.patches())?;
    let new = overlay::files(&workspace.root)?;
    let source = match own_tree {
        Some(dir) => tree::own(workspace, &base, dir, &series, &new)?,
        None => tree::debian(workspace, &base)?,
    };
    let layer = source.layer();
    let files = overlay::combine(&layer, patches::patched_files(&layer, &series)?, &new)?;
    let tools = Toolchain::ready(workspace)?;
    let identity = tools.identity()?;
    let build = |name, out, fragments: Vec<Fragment>, targets| {
        let config = config::joined(&fragments);
        let stamp = stamp(&source.identity, &identity, &config, &files);
        Build {
            name,
            out,
            fragments,
            targets,
            stamp,
        }
    };
    let with = |more: Option<&str>| -> Result<Vec<Fragment>> {
        let mut all = config::fragments(&workspace.configs())?;
        if let Some(dir) = more {
            all.extend(config::fragments(&workspace.configs().join(dir))?);
        }
        Ok(all)
    };
    let image = &["bzImage"];
    let shipped = build("kernel", source.out(), with(None)?, image);
    let controls = build(
        "control kernel",
        source.controls(),
        with(Some("controls"))?,
        image,
    );
    let distribution = build(
        "kernel with what distributions turn on",
        source.distribution(),
        with(Some("distribution"))?,
        &["bzImage", "modules"],
    );
    layer.apply(&files)?;
    Ok(Kernel {
        source,
        tools,
        shipped,
        controls,
        distribution,
        _lock: lock,
    })
}

impl Kernel {
    /// make in the kernel's build directory.
    pub(crate) fn make(&self) -> Result<Make> {
        self.make_in(&self.shipped.out)
    }

    /// make in the build directory of the lint run.
    pub(crate) fn lint_make(&self) -> Result<Make> {
        self.make_in(&self.source.lint())
    }

    /// make in any build directory.
    pub(crate) fn make_in(&self, out: &Path) -> Result<Make> {
        Make::new(&self.tools, self.source.tree(), out.to_owned())
    }

    /// Writes the configuration for a build directory.
    pub(crate) fn configure(&self, make: &Make) -> Result<()> {
        config::generate(make, &self.shipped.fragments)
    }

    /// Warnings of the last build that did something.
    pub(crate) fn warnings(&self) -> Result<String> {
        Ok(fs_err::read_to_string(self.shipped.warnings_file())?)
    }

    /// Builds the boot image if anything changed, and returns it.
    pub(crate) fn build(&self, workspace: &Workspace) -> Result<PathBuf> {
        self.bring_up_to_date(workspace, &self.shipped)
    }

    /// Builds the control kernel, which leaks on request, and returns its boot image.
    pub(crate) fn build_controls(&self, workspace: &Workspace) -> Result<PathBuf> {
        self.build_beside(workspace, &self.controls)
    }

    /// Builds the kernel with what distributions turn on, and returns its boot image. Nearly all of it is compiled anew.
    pub(crate) fn build_distribution(&self, workspace: &Workspace) -> Result<PathBuf> {
        self.build_beside(workspace, &self.distribution)
    }

    /// Begins as a copy of the finished build, so that only what the configuration changes is compiled.
    fn build_beside(&self, workspace: &Workspace, build: &Build) -> Result<PathBuf> {
        if !build.out.exists() {
            self.build(workspace)?;
            eprintln!("copying the build for the {} ...", build.name);
            copy_build(workspace, &self.shipped.out, &build.out)?;
        }
        self.bring_up_to_date(workspace, build)
    }

    fn bring_up_to_date(&self, workspace: &Workspace, build: &Build) -> Result<PathBuf> {
        let (name, bzimage) = (build.name, build.bzimage());
        if build.is_up_to_date() {
            eprintln!("{name} up to date: {}", workspace.show(&bzimage));
            return Ok(bzimage);
        }
        let out = &build.out;
        let first = !out.join("vmlinux").exists();
        space::require(
            &workspace.target,
            if first { space::BUILD } else { space::REBUILD },
        )?;
        let make = self.make_in(out)?;
        config::generate(&make, &build.fragments)?;
        let log = out.join("build.log");
        let total = first.then(|| counted_steps(out));
        let warnings = logged::make(
            &mut make.command(build.targets),
            &log,
            Progress::new(format!("building the {name}"), total),
        )?;
        write_atomically(&build.warnings_file(), warnings.join("\n").as_bytes())?;
        if first {
            fs_err::copy(log.with_extension("steps"), out.join("full.steps"))?;
        }
        write_atomically(&build.stamp_file(), build.stamp.as_bytes())?;
        if !warnings.is_empty() {
            eprintln!(
                "the build gave {} warnings; the log is in {}",
                warnings.len(),
                workspace.show(&log)
            );
        }
        eprintln!("{name}: {}", workspace.show(&bzimage));
        Ok(bzimage)
    }
}

/// Copies a finished build to a directory where a similar one is to be made.
pub(crate) fn copy_build(workspace: &Workspace, from: &Path, to: &Path) -> Result<()> {
    space::require(&workspace.target, space::BUILD)?;
    let partial = fetch::beside(to, "partial");
    fetch::remove_dir(&partial)?;
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    process::output(
        Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .args([from, &partial]),
    )?;
    Ok(fs_err::rename(&partial, to)?)
}

impl Build {
    /// The boot image.
    fn bzimage(&self) -> PathBuf {
        self.out.join("arch/x86/boot/bzImage")
    }

    fn warnings_file(&self) -> PathBuf {
        self.out.join("tresor.warnings")
    }

    fn stamp_file(&self) -> PathBuf {
        self.out.join("tresor.stamp")
    }

    fn is_up_to_date(&self) -> bool {
        self.bzimage().exists()
            && fs_err::read_to_string(self.stamp_file()).is_ok_and(|stamp| stamp == self.stamp)
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
