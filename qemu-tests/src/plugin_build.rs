// SPDX-License-Identifier: GPL-2.0

//! Compiling the plugins of QEMU, each a crate below this one.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};

/// Compiles the plugin `name` with `features`, comma-separated, and returns the path of the library. Its own target directory: flags and
/// lock must not disturb the build that is running.
pub(crate) fn build(name: &str, features: &str, work_dir: &Path) -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(name)
        .join("Cargo.toml");
    let target_dir = work_dir.join(name);
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--features", features])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target_dir)
        .output()
        .context("starting cargo")?;
    ensure!(
        output.status.success(),
        "compiling the plugin `{name}` failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(target_dir.join(format!("release/lib{name}.so")))
}
