// SPDX-License-Identifier: GPL-2.0
//! Getting what is built from: the kernel source package, Rust's core sources, bindgen.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};
use sha2::{Digest, Sha256};

use crate::apt::Apt;
use crate::base::Base;
use crate::paths::Workspace;
use crate::process;

/// bindgen of a version the kernel is known to build with.
const BINDGEN_VERSION: &str = "0.72.1";

/// Downloads the kernel's source package. Returns its path and version.
///
/// The pinned version is checked against its pinned SHA-256. When Debian has moved on, the newest version of the same
/// series serves, said out loud: then only apt's signature check vouches for it.
pub(crate) fn kernel_source(workspace: &Workspace, base: &Base) -> Result<(PathBuf, String)> {
    let mut seen = Vec::new();
    for apt in [
        Apt::for_download(workspace)?,
        Apt::for_later_releases(workspace)?,
    ] {
        apt.update()?;
        let versions = apt.versions(&base.package)?;
        let Some(version) = choose_version(&versions, base)? else {
            seen.extend(versions);
            continue;
        };
        let package = apt.download(&base.package, &version)?;
        if version == base.version {
            let sha256 = sha256_file(&package)?;
            if sha256 != base.sha256 {
                fs_err::remove_file(&package)?;
                bail!(
                    "{} {version} has SHA-256 {sha256}, expected {}: the download was damaged or replaced; run the command again",
                    base.package, base.sha256
                );
            }
        } else {
            eprintln!(
                "Debian no longer has {} {}: using {version}, vouched for by apt's signature check only",
                base.package, base.version
            );
        }
        return Ok((package, version));
    }
    bail!(
        "Debian has no {} any more (found: {}): give a kernel {} source with --kernel-src DIR",
        base.package,
        if seen.is_empty() {
            "none".to_owned()
        } else {
            seen.join(", ")
        },
        base.series()?
    )
}

/// The pinned version if it is there, else the newest (the first) of the same kernel series.
fn choose_version(versions: &[String], base: &Base) -> Result<Option<String>> {
    let prefix = format!("{}.", base.series()?);
    let pinned = versions.iter().find(|version| **version == base.version);
    let newest = || versions.iter().find(|version| version.starts_with(&prefix));
    Ok(pinned.or_else(newest).cloned())
}

/// SHA-256 of a file in hex.
fn sha256_file(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(&mut fs_err::File::open(path)?, &mut hash)?;
    Ok(hex::encode(hash.finalize()))
}

/// Version of the rustc in use, for example `1.95.0`.
pub(crate) fn rustc_version() -> Result<String> {
    let text = process::output(Command::new("rustc").arg("--version"))?;
    text.split_whitespace()
        .nth(1)
        .map(str::to_owned)
        .context("`rustc --version` printed no version")
}

/// Directory with the sources of Rust's core library for the rustc in use (`RUST_LIB_SRC`).
pub(crate) fn rust_lib_src(workspace: &Workspace) -> Result<PathBuf> {
    let sysroot =
        PathBuf::from(process::output(Command::new("rustc").args(["--print", "sysroot"]))?.trim());
    let component = sysroot.join("lib/rustlib/src/rust/library");
    if component.join("core/src/lib.rs").exists() {
        return Ok(component);
    }
    let version = rustc_version()?;
    let dir = workspace.target.join("rust-src").join(&version);
    let library = dir.join(format!("usr/src/rustc-{version}/library"));
    if library.join("core/src/lib.rs").exists() {
        return Ok(library);
    }

    eprintln!("rust-src {version}: not in the Rust toolchain, getting Debian's package");
    for apt in [
        Apt::for_download(workspace)?,
        Apt::for_later_releases(workspace)?,
    ] {
        apt.update()?;
        let versions = apt.versions("rust-src")?;
        if let Some(package) = versions
            .iter()
            .find(|package| package.starts_with(&format!("{version}+")))
        {
            let deb = apt.download("rust-src", package)?;
            unpack_deb(&deb, &dir)?;
            return Ok(library);
        }
    }
    // Only now: rustup changes the person's toolchain, the package stays below target/.
    let rustup = Command::new("rustup")
        .args(["component", "add", "rust-src"])
        .status();
    if rustup.is_ok_and(|status| status.success()) && component.join("core/src/lib.rs").exists() {
        return Ok(component);
    }
    bail!(
        "no rust-src for rustc {version}: neither Debian nor rustup has it. Use the rustc of a Debian release, or put the \
         sources into {}",
        component.display()
    )
}

/// Unpacks a package into a directory that exists only when complete.
pub(crate) fn unpack_deb(deb: &Path, dir: &Path) -> Result<()> {
    unpack_debs(&[deb.to_owned()], dir)
}

/// Unpacks packages, one over the other, into a directory that exists only when complete.
pub(crate) fn unpack_debs(debs: &[PathBuf], dir: &Path) -> Result<()> {
    let partial = beside(dir, "partial");
    remove_dir(&partial)?;
    fs_err::create_dir_all(&partial)?;
    for deb in debs {
        process::output(Command::new("dpkg").arg("-x").arg(deb).arg(&partial)).context(
            "the package could not be unpacked: check the free space, then run the command again",
        )?;
    }
    remove_dir(dir)?;
    fs_err::rename(partial, dir)?;
    Ok(())
}

/// `dir` with a longer name: where it is made before it takes its name.
pub(crate) fn beside(dir: &Path, what: &str) -> PathBuf {
    let mut path = dir.as_os_str().to_owned();
    path.push(".");
    path.push(what);
    PathBuf::from(path)
}

/// Removes what an interrupted run may have left.
pub(crate) fn remove_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs_err::remove_dir_all(dir)?;
    }
    Ok(())
}

/// Directory of the pinned bindgen, built when it is not there.
pub(crate) fn bindgen(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.tools();
    let bin = tools.join("bin");
    let version = Command::new(bin.join("bindgen")).arg("--version").output();
    if version.is_ok_and(|out| {
        String::from_utf8_lossy(&out.stdout).trim() == format!("bindgen {BINDGEN_VERSION}")
    }) {
        return Ok(bin);
    }
    eprintln!("building bindgen {BINDGEN_VERSION} (once, about two minutes)");
    process::shown(
        Command::new("cargo")
            .args([
                "install",
                "bindgen-cli",
                "--version",
                BINDGEN_VERSION,
                "--locked",
                "--quiet",
                "--root",
            ])
            .arg(&tools),
    )
    .context("bindgen could not be built: check the network, then run the command again")?;
    Ok(bin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(versions: &[&str]) -> Option<String> {
        let base = Base {
            package: "linux-source-7.3".into(),
            version: "7.3.4-1~bpo13+1".into(),
            sha256: String::new(),
        };
        let versions: Vec<String> = versions.iter().map(|&version| version.to_owned()).collect();
        choose_version(&versions, &base).expect("the base is well formed")
    }

    #[test]
    fn the_pinned_version_wins_over_a_newer_one() {
        assert_eq!(
            choose(&["7.3.6-1", "7.3.4-1~bpo13+1"]).as_deref(),
            Some("7.3.4-1~bpo13+1")
        );
    }

    #[test]
    fn else_the_newest_of_the_same_series() {
        assert_eq!(
            choose(&["7.4.1-1", "7.3.9-1", "7.3.6-1"]).as_deref(),
            Some("7.3.9-1")
        );
        assert_eq!(choose(&["7.30.1-1"]), None);
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn hashes_files() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs_err::write(file.path(), "abc").expect("it is ours");
        assert_eq!(
            sha256_file(file.path()).expect("readable"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
