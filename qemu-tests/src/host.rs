// SPDX-License-Identifier: GPL-2.0

//! Programs of the host that make disks and the like.

use std::process::Command;

use anyhow::{ensure, Context, Result};

/// Runs a program to its end. An error quotes what it said if it failed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
