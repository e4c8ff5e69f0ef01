// SPDX-License-Identifier: GPL-2.0
//! Asks before anything that cannot be taken back, or that weakens the protection.

use std::io::{self, IsTerminal, Write};

use anyhow::{ensure, Context};

/// Says what will happen and waits for `YES`, unless `yes` says that the person has agreed already.
///
/// # Errors
///
/// If the answer is another one, or there is nobody to ask.
pub(crate) fn ask(what: &str, yes: bool) -> anyhow::Result<()> {
    eprintln!("{what}");
    if yes {
        return Ok(());
    }
    ensure!(
        io::stdin().is_terminal(),
        "nothing was done: standard input is no terminal to ask on; give --yes if you agree"
    );
    eprint!("Type YES (in capital letters) to go on: ");
    io::stderr()
        .flush()
        .context("cannot write to the terminal")?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .context("cannot read from the terminal")?;
    ensure!(answer.trim_end() == "YES", "nothing was done");
    Ok(())
}
