// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask kernel deb`: Debian packages of a kernel with the driver, for a configuration of one's own.

use std::path::{Path, PathBuf};

use anyhow::{ensure, Result};

use crate::config;
use crate::kernel::Kernel;
use crate::logged;
use crate::paths::Workspace;
use crate::progress::Progress;
use crate::space;

/// What the packages' versions and the kernel's release end with.
pub(crate) const SUFFIX: &str = "-tresor";

/// The build directory, beside the packages.
pub(crate) const BUILD: &str = "build";

/// Builds the packages in `dir` from the configuration in `file` and returns their paths.
///
/// What the driver needs is changed in it, and said. The build stays in a directory of its own beside the packages, so that a second
/// call compiles only what changed.
pub(crate) fn build(
    workspace: &Workspace,
    kernel: &Kernel,
    dir: &Path,
    file: &Path,
) -> Result<Vec<PathBuf>> {
    let theirs = fs_err::read_to_string(file)?;
    ensure!(
        theirs.contains("CONFIG_X86_64=y"),
        "{} is no configuration of a kernel for x86-64: give the one of a running kernel, /boot/config-*",
        file.display()
    );
    let out = dir.join(BUILD);
    let first = !out.join("vmlinux").exists();
    let needed = match first {
        true if theirs.contains("CONFIG_MODULES=y") => space::PACKAGES,
        true => space::BUILD,
        false => space::REBUILD,
    };
    fs_err::create_dir_all(&out)?;
    space::require(&workspace.target, needed)?;

    let make = kernel.make_in(&out)?;
    let ours = config::fragments(&workspace.configs().join("deb"))?;
    let changes = config::adapt(&make, &theirs, &ours)?;
    if changes.is_empty() {
        eprintln!("the configuration stays as it is");
    } else {
        eprintln!("changed in the configuration, because the driver needs it:");
        for change in changes {
            eprintln!("  {change}");
        }
    }
    // Those of an earlier version would look like results.
    for package in packages(dir)? {
        fs_err::remove_file(package)?;
    }
    let mut command = make.command(&["bindeb-pkg"]);
    // Also where the configuration says nothing: it must not replace a kernel of the same version.
    if !theirs.contains(&format!("CONFIG_LOCALVERSION=\"{SUFFIX}\"")) {
        command.arg(format!("LOCALVERSION={SUFFIX}"));
    }
    command.env("KDEB_CHANGELOG_DIST", "unstable");
    // Nobody's name or host in the packages.
    command
        .env("DEBFULLNAME", "tresor")
        .env("DEBEMAIL", "root@localhost");
    let progress = Progress::new("building the packages".to_owned(), None);
    logged::make(&mut command, &dir.join("build.log"), progress)?;
    let packages = packages(dir)?;
    ensure!(
        packages.iter().any(|package| is_image(package)),
        "the build ended without a package of a kernel: see {}",
        workspace.show(&dir.join("build.log"))
    );
    Ok(packages)
}

/// Whether a package is that of the kernel itself, without debug information.
pub(crate) fn is_image(package: &Path) -> bool {
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("linux-image-") && !name.contains("-dbg_")
}

/// The packages in a directory, in the order of their names.
fn packages(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut packages = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            packages.push(path);
        }
    }
    packages.sort();
    Ok(packages)
}
