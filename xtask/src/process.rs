// SPDX-License-Identifier: GPL-2.0
//! Starting other programs: what failed is said in one message, and no child outlives us.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use anyhow::{bail, Context, Result};
use rustix::process::{set_parent_process_death_signal, Signal};

/// How many of the last lines of a failed program are shown.
const TAIL_LINES: usize = 15;

/// Makes the child end when this program ends, in whatever way.
pub(crate) fn die_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: the closure runs between fork and exec and makes a single system call, without allocation or locks.
    unsafe {
        command.pre_exec(|| {
            set_parent_process_death_signal(Some(Signal::TERM)).map_err(io::Error::from)
        })
    }
}

/// The command line as a person would type it, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

/// Runs the command without input and returns what it printed, whatever its exit status.
pub(crate) fn capture(command: &mut Command) -> Result<Output> {
    die_with_parent(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .output()
        .with_context(|| format!("cannot start `{}`; is it installed?", describe(command)))
}

/// Runs the command; its standard output on success, the tail of all it said on failure.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let out = capture(command)?;
    if !out.status.success() {
        bail!(
            "`{}` failed ({}):\n{}",
            describe(command),
            out.status,
            tail(&both(&out))
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Runs the command with its output shown to the person.
pub(crate) fn shown(command: &mut Command) -> Result<()> {
    let status = die_with_parent(command)
        .status()
        .with_context(|| format!("cannot start `{}`; is it installed?", describe(command)))?;
    if !status.success() {
        bail!(
            "`{}` failed ({status}); its messages are above",
            describe(command)
        );
    }
    Ok(())
}

/// Standard output and standard error as one text.
pub(crate) fn both(out: &Output) -> String {
    let mut text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&out.stderr));
    text
}

/// The last lines of a text, indented.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let start = lines.len().saturating_sub(TAIL_LINES);
    lines[start..]
        .iter()
        .map(|line| format!("  {line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_the_program_said() {
        let error = output(Command::new("sh").args(["-c", "echo broken pipe dream >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("broken pipe dream") && error.contains("3"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = output(&mut Command::new("no-such-program-here"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no-such-program-here"), "{error}");
    }

    #[test]
    fn the_tail_is_short() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        assert_eq!(tail(&text).lines().count(), TAIL_LINES);
        assert!(tail(&text).ends_with("line 99\n"));
    }
}
