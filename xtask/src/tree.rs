// SPDX-License-Identifier: GPL-2.0
//! The kernel tree that is built: Debian's source, unpacked once, or a copy of a person's own tree.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::base::Base;
use crate::fetch;
use crate::layer::{write_atomically, Files, Layer};
use crate::logged;
use crate::overlay;
use crate::patches;
use crate::paths::Workspace;
use crate::process;
use crate::progress::Progress;
use crate::space;

/// Files in a kernel tree, for the progress bar.
const TREE_FILES: u64 = 100_000;

/// One kernel source and everything that belongs to it.
pub(crate) struct Source {
    dir: PathBuf,
    /// What the tree was made from: part of the stamp.
    pub(crate) identity: String,
}

impl Source {
    /// The tree that is built.
    pub(crate) fn tree(&self) -> PathBuf {
        self.dir.join("linux")
    }

    /// Build directory (`O=`) of the kernel.
    pub(crate) fn out(&self) -> PathBuf {
        self.dir.join("out")
    }

    /// Build directory of the control kernel.
    pub(crate) fn controls(&self) -> PathBuf {
        self.dir.join("out-controls")
    }

    /// Build directory of the kernel with what distributions turn on.
    pub(crate) fn distribution(&self) -> PathBuf {
        self.dir.join("out-distribution")
    }

    /// Where packages for people are built.
    pub(crate) fn packages(&self) -> PathBuf {
        self.dir.join("deb")
    }

    /// Build directory of the lint run.
    pub(crate) fn lint(&self) -> PathBuf {
        self.dir.join("lint")
    }

    /// Our changes in the tree.
    pub(crate) fn layer(&self) -> Layer {
        Layer::new(&self.tree(), &self.dir.join("pristine"))
    }

    /// The file that says what the tree was made from. It is written last: a tree without it is incomplete.
    fn identity_file(&self) -> PathBuf {
        self.dir.join("source")
    }

    fn is_made_from(&self, identity: &str) -> bool {
        fs_err::read_to_string(self.identity_file())
            .is_ok_and(|text| text.lines().next() == Some(identity))
    }

    fn complete(&self) -> Result<()> {
        write_atomically(
            &self.identity_file(),
            format!("{}\n", self.identity).as_bytes(),
        )
    }
}

/// Debian's source package, fetched and unpacked when it is not there.
pub(crate) fn debian(workspace: &Workspace, base: &Base) -> Result<Source> {
    let dir = workspace.kernel().join("debian");
    let identity = format!("{} {} {}", base.package, base.version, base.sha256);
    let source = Source { dir, identity };
    if source.is_made_from(&source.identity) {
        return Ok(source);
    }
    let unpacked = fetch::beside(&source.dir, "unpacked");
    let scratch = fetch::beside(&source.dir, "partial");
    // First of all, because what an interrupted run left takes the space that is asked for next.
    for dir in [&source.dir, &unpacked, &scratch] {
        fetch::remove_dir(dir)?;
    }
    space::require(&workspace.target, space::TREE)?;
    let (package, version) = fetch::kernel_source(workspace, base)?;
    fetch::unpack_deb(&package, &unpacked)?;
    let archive = unpacked.join(format!("usr/src/{}.tar.xz", base.package));
    fs_err::create_dir_all(&scratch)?;
    logged::listed(
        Command::new("tar")
            .args(["--strip-components=1", "-xvf"])
            .arg(&archive)
            .arg("-C")
            .arg(&scratch),
        Progress::new(
            format!("unpacking {} {version}", base.package),
            Some(TREE_FILES),
        ),
    )?;
    check_version(&scratch, base)?;
    fs_err::create_dir_all(&source.dir)?;
    fs_err::rename(&scratch, source.tree())?;
    fs_err::remove_dir_all(&unpacked)?;
    source.complete()?;
    Ok(source)
}

/// A copy of a person's own tree, which itself is never changed.
pub(crate) fn own(
    workspace: &Workspace,
    base: &Base,
    from: &Path,
    series: &[PathBuf],
    new: &Files,
) -> Result<Source> {
    let from = from
        .canonicalize()
        .with_context(|| format!("--kernel-src {}: no such directory", from.display()))?;
    check_version(&from, base)?;
    if from.join(overlay::DRIVER_DIR).exists() {
        bail!(
            "{} is already patched ({} is in it): give an unpatched tree",
            from.display(),
            overlay::DRIVER_DIR
        );
    }
    // Reading the person's tree only: nothing is recorded before the copy is made.
    let theirs = Layer::new(&from, &workspace.kernel().join("none"));
    let patched = patches::patched_files(&theirs, series)
        .with_context(|| format!("--kernel-src {}", from.display()))?;
    overlay::combine(&theirs, patched, new)?;

    let name = hex::encode(&Sha256::digest(from.as_os_str().as_encoded_bytes())[..6]);
    let identity = format!("own tree {}", fingerprint(&from)?);
    let source = Source {
        dir: workspace.kernel().join(format!("own-{name}")),
        identity,
    };
    if source.is_made_from(&source.identity) {
        return Ok(source);
    }
    if source.identity_file().exists() {
        fs_err::remove_file(source.identity_file())?;
        source.layer().apply(&Files::new())?;
    } else {
        space::require(&workspace.target, space::TREE)?;
    }
    fs_err::create_dir_all(source.tree())?;
    let mut origin = from.clone().into_os_string();
    origin.push("/");
    logged::listed(
        Command::new("rsync")
            .args(["-av", "--delete", "--exclude=/.git"])
            .arg(origin)
            .arg(source.tree()),
        Progress::new(format!("copying {}", from.display()), Some(TREE_FILES)),
    )?;
    if [".config", "include/config", "include/generated"]
        .iter()
        .any(|built| source.tree().join(built).exists())
    {
        // A build in another directory needs a clean source.
        process::output(
            Command::new("make")
                .arg("mrproper")
                .current_dir(source.tree()),
        )?;
    }
    source.complete()?;
    Ok(source)
}

/// Changes when any file of the tree does.
fn fingerprint(tree: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let files = WalkDir::new(tree)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != ".git");
    for entry in files {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if !metadata.is_dir() {
            let modified = metadata.modified()?;
            hash.update(format!(
                "{} {} {modified:?}\n",
                entry.path().display(),
                metadata.len()
            ));
        }
    }
    Ok(hex::encode(hash.finalize()))
}

fn check_version(tree: &Path, base: &Base) -> Result<()> {
    let makefile = fs_err::read_to_string(tree.join("Makefile"))
        .ok()
        .and_then(|text| makefile_version(&text))
        .with_context(|| format!("{} is not a kernel source tree", tree.display()))?;
    let series = base.series()?;
    if !belongs_to(&makefile, series) {
        bail!("{} is Linux {makefile}, but the patches are for Linux {series}.y: give a {series} tree", tree.display());
    }
    Ok(())
}

/// A release of the series: `7.3` or `7.3.4`, no release candidate.
fn belongs_to(version: &str, series: &str) -> bool {
    version.strip_prefix(series).is_some_and(|rest| {
        rest.is_empty()
            || rest
                .strip_prefix('.')
                .is_some_and(|sub| sub.parse::<u32>().is_ok())
    })
}

fn makefile_version(text: &str) -> Option<String> {
    let get = |name: &str| {
        text.lines()
            .take(10)
            .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='))
            .map(str::trim)
    };
    let (version, patchlevel) = (get("VERSION")?, get("PATCHLEVEL")?);
    let (sublevel, extra) = (get("SUBLEVEL")?, get("EXTRAVERSION")?);
    Some(format!("{version}.{patchlevel}.{sublevel}{extra}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKEFILE: &str =
        "# SPDX-License-Identifier: GPL-2.0\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\nNAME = X\n";

    #[test]
    fn versions_of_trees() {
        assert_eq!(makefile_version(MAKEFILE).as_deref(), Some("7.3.4"));
        assert_eq!(
            makefile_version(&MAKEFILE.replace("N =\n", "N = -rc2\n")).as_deref(),
            Some("7.3.4-rc2")
        );
        assert_eq!(makefile_version("all:\n\techo\n"), None);
    }

    #[test]
    fn another_version_is_refused() {
        for good in ["7.3.4", "7.3.0", "7.3.17"] {
            assert!(belongs_to(good, "7.3"), "{good}");
        }
        for bad in ["6.12.117", "7.30.1", "7.4.0", "7.3.0-rc2", "17.3.4"] {
            assert!(!belongs_to(bad, "7.3"), "{bad}");
        }
    }

    #[test]
    fn a_changed_tree_has_another_fingerprint() -> Result<()> {
        let dir = tempfile::tempdir()?;
        write_atomically(&dir.path().join("a"), b"one")?;
        let before = fingerprint(dir.path())?;
        assert_eq!(before, fingerprint(dir.path())?);
        write_atomically(&dir.path().join("a"), b"other")?;
        assert_ne!(before, fingerprint(dir.path())?);
        Ok(())
    }
}
