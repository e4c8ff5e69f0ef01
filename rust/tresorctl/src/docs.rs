// SPDX-License-Identifier: GPL-2.0
//! Man pages and completions of shells, from the same definitions as the help texts.

use std::env;
use std::path::PathBuf;

use anyhow::{ensure, Context};
use clap::Command;
use clap_complete::Shell;

/// Writes `tresorctl.1`, a page for each command, and a completion for each shell to the directory that is the only argument.
///
/// # Errors
///
/// There is no such directory, or a file cannot be written.
pub(crate) fn run(mut command: Command) -> anyhow::Result<()> {
    let dir = PathBuf::from(env::args_os().nth(1).context("give a directory")?);
    ensure!(dir.is_dir(), "there is no directory {}", dir.display());
    clap_mangen::generate_to(command.clone(), &dir).context("cannot write the man pages")?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, "tresorctl", &dir)
            .context("cannot write the completions")?;
    }
    Ok(())
}
