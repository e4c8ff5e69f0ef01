// SPDX-License-Identifier: GPL-2.0
//! Long-running programs: progress from their lines, everything in a log, and the lines that matter when they fail.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{bail, Context, Result};

use crate::process::{describe, die_with_parent, tail};
use crate::progress::Progress;
use crate::space;

/// How many lines after the first error are shown.
const ERROR_LINES: usize = 30;

/// Runs a program that prints one line per file.
pub(crate) fn listed(command: &mut Command, mut progress: Progress) -> Result<()> {
    let mut last = String::new();
    let mut full = false;
    let status = each_line(command, |line| {
        progress.advance("");
        full |= space::ran_out(line);
        last.clear();
        last.push_str(line);
        Ok(())
    })?;
    if full {
        bail!("the disk is full: free some space and run the command again");
    }
    if !status.success() {
        bail!("`{}` failed ({status}): {last}", describe(command));
    }
    progress.finish();
    Ok(())
}

/// Runs make with its whole output in `log`. Returns the warnings among its lines.
pub(crate) fn make(
    command: &mut Command,
    log: &Path,
    mut progress: Progress,
) -> Result<Vec<String>> {
    let mut file = fs_err::File::create(log)?;
    let mut warnings = Vec::new();
    let status = each_line(command, |line| {
        // A full disk must not end in a message about the log.
        let _ = writeln!(file, "{line}");
        if let Some(step) = build_step(line) {
            progress.advance(step);
        } else if is_warning(line) {
            progress.say(line);
            warnings.push(line.to_owned());
        }
        Ok(())
    })?;
    if !status.success() {
        let text = fs_err::read_to_string(log).unwrap_or_default();
        if space::ran_out(&text) {
            bail!("the disk is full: free some space and run the command again, it continues where it stopped");
        }
        bail!(
            "the build failed; the whole log is in {}\n{}",
            log.display(),
            relevant(&text)
        );
    }
    let steps = progress.done();
    progress.finish();
    // The next full build knows how long its bar is.
    if steps > 0 {
        let _ = fs_err::write(log.with_extension("steps"), steps.to_string());
    }
    Ok(warnings)
}

/// Calls `on_line` for each line of standard output and standard error together.
pub(crate) fn each_line(
    command: &mut Command,
    mut on_line: impl FnMut(&str) -> Result<()>,
) -> Result<ExitStatus> {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec \"$@\" 2>&1", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        shell.current_dir(dir);
    }
    let mut child = die_with_parent(&mut shell)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", describe(command)))?;
    let stdout = child.stdout.take().context("the output was piped")?;
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        on_line(String::from_utf8_lossy(&line).trim_end())?;
        line.clear();
    }
    Ok(child.wait()?)
}

/// `  CC      kernel/fork.o` and its kind.
fn build_step(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("  ")?;
    let (tag, what) = rest.split_once("  ").or_else(|| rest.split_once(' '))?;
    let is_tag = tag.len() >= 2
        && tag
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b" []-_".contains(&b));
    is_tag.then(|| what.trim())
}

/// Compiler, assembler, linker, objtool and modpost all mark a warning the same way.
pub(crate) fn is_warning(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    lower.contains("warning:") || lower.contains("objtool:")
}

/// The first error and what follows it, without the steps and failures that only stand beside it.
fn relevant(log: &str) -> String {
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| build_step(line).is_none() && !is_cascade(line))
        .collect();
    match lines.iter().position(|line| is_error(line)) {
        Some(first) => lines[first..]
            .iter()
            .take(ERROR_LINES)
            .map(|line| format!("  {line}\n"))
            .collect(),
        None => tail(log),
    }
}

fn is_error(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    [
        "error:",
        "error[",
        "undefined reference",
        "***",
        "objtool:",
        "syntax error",
    ]
    .iter()
    .any(|mark| lower.contains(mark))
}

/// make reports a failed recipe once per level, and where it is.
fn is_cascade(line: &str) -> bool {
    line.starts_with("make") && (line.contains(": *** [") || line.contains("ing directory "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "  CC      kernel/fork.o
  RUSTC L rust/kernel.o
error[E0308]: mismatched types
  --> rust/kernel/lib.rs:3:1
  CC      kernel/exit.o
make[2]: *** [scripts/Makefile.build:300: rust/kernel.o] Error 1
";

    #[test]
    fn the_error_is_shown_and_the_steps_beside_it_are_not() {
        let shown = relevant(LOG);
        assert!(
            shown.contains("mismatched types") && shown.contains("rust/kernel/lib.rs:3:1"),
            "{shown}"
        );
        assert!(!shown.contains("make[2]"), "{shown}");
        assert!(
            !shown.contains("fork.o") && !shown.contains("exit.o"),
            "{shown}"
        );
    }

    #[test]
    fn an_error_of_make_itself_is_shown() {
        let shown = relevant("make[2]: *** No rule to make target 'x.o', needed by 'y'.  Stop.\n");
        assert!(shown.contains("No rule to make target 'x.o'"), "{shown}");
    }

    #[test]
    fn steps_are_counted() {
        assert_eq!(
            LOG.lines()
                .filter(|line| build_step(line).is_some())
                .count(),
            3
        );
        assert_eq!(build_step("  CC [M]  drivers/a.o"), Some("drivers/a.o"));
        assert_eq!(build_step("  GEN     Makefile"), Some("Makefile"));
    }

    #[test]
    fn warnings_are_seen() {
        assert!(is_warning("a.c:3:1: warning: unused variable 'x'"));
        assert!(is_warning(
            "vmlinux.o: warning: objtool: f+0x3: unreachable instruction"
        ));
        assert!(is_warning(
            "ld: warning: x.o: missing .note.GNU-stack section"
        ));
        assert!(!is_warning("  CC      lib/warning.o"));
    }

    #[test]
    fn a_full_disk_is_said_whatever_the_program_says_last() {
        let script = "echo 'tar: a: Cannot write: No space left on device'; echo bye; exit 2";
        let error = listed(
            Command::new("sh").args(["-c", script]),
            Progress::new("test", None),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("disk is full"), "{error}");
    }

    #[test]
    fn a_failing_make_names_its_log_and_warnings_are_returned() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let log = dir.path().join("build.log");
        let run = |script: &str| {
            make(
                Command::new("sh").args(["-c", script]),
                &log,
                Progress::new("test", None),
            )
        };
        let warnings = run("echo '  CC      a.o'; echo 'a.c:1: warning: odd' >&2")?;
        assert_eq!(warnings, ["a.c:1: warning: odd"]);
        let error = run("echo 'a.c:1: error: bad'; exit 2")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a.c:1: error: bad") && error.contains("build.log"),
            "{error}"
        );
        let error = run("echo 'No space left on device'; exit 2")
            .unwrap_err()
            .to_string();
        assert!(error.contains("disk is full"), "{error}");
        Ok(())
    }
}
