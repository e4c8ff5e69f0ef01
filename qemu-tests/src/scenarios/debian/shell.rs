// SPDX-License-Identifier: GPL-2.0

//! A person at the serial line of a Debian system: logs in and types commands.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{ensure, Context as _, Result};

use super::{BOOT_LIMIT, STOCK_PROMPT};
use crate::console::PROMPT;
use crate::debian::ROOT_PASSWORD;
use crate::machine::Machine;

/// For a command that does little.
const LIMIT: Duration = Duration::from_secs(120);
/// What the shell prints before it reads a command.
const READY: &str = "# ";

/// How many commands were typed, in any machine: each has an end of its own.
static TYPED: AtomicU32 = AtomicU32::new(0);

/// The shell of root.
pub(super) struct Shell<'a> {
    machine: &'a mut Machine,
}

impl<'a> Shell<'a> {
    /// Waits for the login of a machine that boots, and logs in. Fails if anybody asks for a pass phrase before.
    pub(super) fn log_in(machine: &'a mut Machine) -> Result<Self> {
        let console = &mut machine.console;
        let (which, _) = console.wait_for_any(&["login: ", PROMPT, STOCK_PROMPT], BOOT_LIMIT)?;
        ensure!(
            which == 0,
            "a pass phrase is asked for again{}",
            console.tail()
        );
        console.type_line(b"root")?;
        console.wait_for("Password: ", LIMIT)?;
        console.type_line(ROOT_PASSWORD.as_bytes())?;
        console.wait_for(READY, LIMIT)?;
        Ok(Self { machine })
    }

    /// The shell of a machine on which somebody is logged in.
    pub(super) fn of(machine: &'a mut Machine) -> Self {
        Self { machine }
    }

    /// Runs a command that must succeed and returns what it printed, among it what the kernel logged meanwhile.
    pub(super) fn ok(&mut self, command: &str) -> Result<String> {
        let number = TYPED.fetch_add(1, Ordering::Relaxed);
        // The terminal shows what is typed: what is printed at the end is cut in two there.
        self.begin(&format!("{command}; echo \"[end\"\"ed {number}: $?]\""))?;
        let console = &mut self.machine.console;
        let ended = console
            .wait_for(&format!("[ended {number}: "), LIMIT)
            .and_then(|said| Ok((said, console.wait_for("]", LIMIT)?)));
        let (said, status) = ended.with_context(|| format!("`{command}`"))?;
        ensure!(status == "0", "`{command}` ended with {status}: {said}");
        Ok(said)
    }

    /// Types a command, of whose end nobody knows.
    pub(super) fn begin(&mut self, command: &str) -> Result<()> {
        let line = format!("{{ {command}; }} 2>&1");
        self.machine.console.type_line(line.as_bytes())
    }
}
