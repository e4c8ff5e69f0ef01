// SPDX-License-Identifier: GPL-2.0
//! Format and lints: of the workspace by cargo, of the kernel files by the kernel's own build.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Result};

use crate::kernel::Kernel;
use crate::logged;
use crate::overlay;
use crate::paths::Workspace;
use crate::process;
use crate::progress::Progress;

/// clippy on our kernel objects, with the kernel's lint wall; the configuration's WERROR makes a warning an error.
pub(crate) fn kernel_clippy(kernel: &Kernel) -> Result<()> {
    let make = kernel.lint_make()?;
    kernel.configure(&make)?;
    let mut targets = vec!["CLIPPY=1", "prepare"];
    let driver = format!("{}/", overlay::DRIVER_DIR);
    if kernel.source.tree().join(overlay::DRIVER_DIR).exists() {
        targets.push(&driver);
    }
    let log = make.out().join("lint.log");
    let warnings = logged::make(
        &mut make.command(&targets),
        &log,
        Progress::new("clippy on the kernel's Rust files", None),
    )?;
    if !warnings.is_empty() {
        bail!(
            "the kernel's clippy build gave warnings:\n{}",
            warnings.join("\n")
        );
    }
    Ok(())
}

/// rustfmt with the kernel's settings on every Rust file that goes into the kernel.
pub(crate) fn kernel_rustfmt(workspace: &Workspace, tree: &Path) -> Result<()> {
    let files: Vec<PathBuf> = overlay::files(&workspace.root)?
        .keys()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| overlay::source_of(path))
        .map(|path| workspace.root.join(path))
        .collect();
    rustfmt(&files, tree)
}

fn rustfmt(files: &[PathBuf], config: &Path) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    expect_clean(
        Command::new("rustfmt")
            .args(["--check", "--edition", "2021", "--config-path"])
            .arg(config)
            .args(files),
    )
}

/// `cargo fmt` on the whole workspace.
pub(crate) fn workspace_rustfmt(workspace: &Workspace) -> Result<()> {
    expect_clean(
        Command::new("cargo")
            .args(["fmt", "--all", "--check"])
            .current_dir(&workspace.root),
    )
}

/// clippy on the whole workspace, warnings are errors.
pub(crate) fn workspace_clippy(dir: &Path) -> Result<()> {
    expect_clean(
        Command::new("cargo")
            .args([
                "clippy",
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ])
            .current_dir(dir),
    )
}

fn expect_clean(command: &mut Command) -> Result<()> {
    let out = process::capture(command)?;
    if !out.status.success() {
        bail!(
            "`{}` complains:\n{}",
            process::describe(command),
            process::both(&out)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badly_formatted_file_is_found() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("x.rs");
        fs_err::write(
            dir.path().join(".rustfmt.toml"),
            "newline_style = \"Unix\"\n",
        )?;
        fs_err::write(&file, "fn main() {}\n")?;
        rustfmt(std::slice::from_ref(&file), dir.path())?;
        fs_err::write(&file, "fn main( ) { }\n")?;
        assert!(rustfmt(&[file], dir.path()).is_err());
        Ok(())
    }

    #[test]
    fn a_lint_is_found() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let source = dir.path().join("src/lib.rs");
        fs_err::create_dir(dir.path().join("src"))?;
        fs_err::write(
            dir.path().join("Cargo.toml"),
            "[package]\nname = \"control\"\nedition = \"2021\"\n[workspace]\n",
        )?;
        fs_err::write(&source, "//! A control.\n")?;
        workspace_clippy(dir.path())?;
        fs_err::write(
            &source,
            "//! A control.\n/// Needless.\npub fn f(x: bool) -> bool { return x == true; }\n",
        )?;
        assert!(workspace_clippy(dir.path()).is_err());
        Ok(())
    }
}
