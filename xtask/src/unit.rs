// SPDX-License-Identifier: GPL-2.0
//! The unit, property and vector tests of the workspace, each under its own name.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{bail, Context, Result};
use serde_json::Value;

use crate::paths::Workspace;
use crate::process;
use crate::runner::{Filter, Outcome, Tally};

/// A compiled test program.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    /// `unit::package::` or `unit::package::target::`.
    prefix: String,
    executable: PathBuf,
    /// Where cargo would start it.
    dir: PathBuf,
}

/// Runs every wanted test of the workspace.
pub(crate) fn run(workspace: &Workspace, filter: Filter<'_>, tally: &mut Tally) -> Result<()> {
    for program in compile(workspace, filter)? {
        run_program(&program, filter, tally)?;
    }
    if filter.may_take("unit::doc::") {
        run_doc_tests(workspace, filter, tally)?;
    }
    Ok(())
}

fn compile(workspace: &Workspace, filter: Filter<'_>) -> Result<Vec<Program>> {
    eprintln!("compiling the tests ...");
    let mut cargo = Command::new("cargo");
    cargo.args([
        "test",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    match filter.0.and_then(package) {
        Some(package) => cargo.args(["--package", package]),
        None => cargo.arg("--workspace"),
    };
    cargo
        .current_dir(&workspace.root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let out = process::die_with_parent(&mut cargo)
        .output()
        .context("cannot start cargo")?;
    if !out.status.success() {
        bail!("the tests do not compile; the errors are above");
    }
    let mut programs = Vec::new();
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        programs.extend(artifact(&serde_json::from_str(line)?));
    }
    programs.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    Ok(programs)
}

/// The one package that a filter `unit::PACKAGE::...` can match.
fn package(filter: &str) -> Option<&str> {
    let (package, _) = filter.strip_prefix("unit::")?.split_once("::")?;
    (package != "doc").then_some(package)
}

/// A cargo message about a test program, if it is one.
fn artifact(message: &Value) -> Option<Program> {
    let executable = PathBuf::from(message["executable"].as_str()?);
    if message["profile"]["test"] != true {
        return None;
    }
    let dir = Path::new(message["manifest_path"].as_str()?)
        .parent()?
        .to_owned();
    // `path+file:///dir/name#0.1.0` or `path+file:///dir#name@0.1.0`.
    let id = message["package_id"].as_str()?;
    let (url, fragment) = id.split_once('#')?;
    let package = match fragment.split_once('@') {
        Some((name, _)) => name,
        None => url.rsplit('/').next()?,
    };
    let target = message["target"]["name"].as_str()?;
    let prefix = if target.replace('-', "_") == package.replace('-', "_") {
        format!("unit::{package}::")
    } else {
        format!("unit::{package}::{target}::")
    };
    Some(Program {
        prefix,
        executable,
        dir,
    })
}

fn run_program(program: &Program, filter: Filter<'_>, tally: &mut Tally) -> Result<()> {
    let listed = process::output(command(program).args(["--list", "--format", "terse"]))?;
    let wanted: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .filter(|test| filter.takes(&format!("{}{test}", program.prefix)))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let out = process::capture(command(program).arg("--exact").args(&wanted))?;
    let text = process::both(&out);
    let verdicts = verdicts(&text);
    for test in wanted {
        let verdict = verdicts
            .iter()
            .find(|(name, _)| *name == test)
            .map(|(_, verdict)| *verdict);
        tally.record(
            &format!("{}{test}", program.prefix),
            outcome(verdict, test, &text),
            None,
        );
    }
    Ok(())
}

fn command(program: &Program) -> Command {
    let mut command = Command::new(&program.executable);
    command
        .current_dir(&program.dir)
        .env("CARGO_MANIFEST_DIR", &program.dir);
    command
}

/// The examples in the documentation. Their names are known only when they ran.
fn run_doc_tests(workspace: &Workspace, filter: Filter<'_>, tally: &mut Tally) -> Result<()> {
    let out = process::capture(
        Command::new("cargo")
            .args([
                "test",
                "--workspace",
                "--doc",
                "--no-fail-fast",
                "--quiet",
                "--",
                "--format=pretty",
            ])
            .current_dir(&workspace.root),
    )?;
    let text = process::both(&out);
    let verdicts = verdicts(&text);
    if !out.status.success() && verdicts.iter().all(|(_, verdict)| *verdict != "FAILED") {
        tally.record(
            "unit::doc::compile",
            Outcome::Failed(process::tail(&text)),
            None,
        );
    }
    for (test, verdict) in verdicts {
        let name = format!("unit::doc::{test}");
        if filter.takes(&name) {
            tally.record(&name, outcome(Some(verdict), test, &text), None);
        }
    }
    Ok(())
}

/// Lines `test NAME ... VERDICT` of libtest.
fn verdicts(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| line.strip_prefix("test ")?.rsplit_once(" ... "))
        .map(|(name, verdict)| {
            (
                name.strip_suffix(" - should panic").unwrap_or(name),
                verdict,
            )
        })
        .collect()
}

fn outcome(verdict: Option<&str>, test: &str, text: &str) -> Outcome {
    match verdict {
        Some("ok") => Outcome::Passed,
        Some(verdict) if verdict.starts_with("ignored") => Outcome::Skipped(verdict.to_owned()),
        Some(_) => Outcome::Failed(failure(test, text)),
        None => Outcome::Failed(format!(
            "the test program ended without a verdict:\n{}",
            process::tail(text)
        )),
    }
}

/// What a failed test printed.
fn failure(test: &str, text: &str) -> String {
    let head = format!("---- {test} stdout ----");
    let Some((_, rest)) = text.split_once(&head) else {
        return process::tail(text);
    };
    let lines: Vec<&str> = rest
        .trim_start()
        .lines()
        .take_while(|line| !line.starts_with("---- ") && *line != "failures:")
        .collect();
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 4 tests
test slot::tests::good ... ok
test slot::tests::panics - should panic ... ok
test slot::tests::slow ... ignored, needs a day
test slot::tests::bad ... FAILED

failures:

---- slot::tests::bad stdout ----
assertion failed: 1 == 2

failures:
    slot::tests::bad

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out
";

    fn of(test: &str) -> Outcome {
        let verdicts = verdicts(OUTPUT);
        outcome(
            verdicts
                .iter()
                .find(|(name, _)| *name == test)
                .map(|(_, verdict)| *verdict),
            test,
            OUTPUT,
        )
    }

    #[test]
    fn verdicts_of_libtest() {
        assert_eq!(of("slot::tests::good"), Outcome::Passed);
        assert_eq!(of("slot::tests::panics"), Outcome::Passed);
        assert_eq!(
            of("slot::tests::slow"),
            Outcome::Skipped("ignored, needs a day".into())
        );
        assert_eq!(
            of("slot::tests::bad"),
            Outcome::Failed("assertion failed: 1 == 2".into())
        );
    }

    #[test]
    fn a_test_without_a_verdict_failed() {
        assert!(matches!(of("slot::tests::crashed"), Outcome::Failed(_)));
    }

    #[test]
    fn a_filter_may_name_one_package() {
        assert_eq!(package("unit::tresor::slot"), Some("tresor"));
        for several in ["unit::tresor", "unit::doc::x", "slot::", "unit::"] {
            assert_eq!(package(several), None, "{several}");
        }
    }

    #[test]
    fn names_of_test_programs() {
        let message = |id: &str, target: &str, test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact", "package_id": id, "manifest_path": "/r/rust/tresor/Cargo.toml",
                "executable": "/t/x", "profile": { "test": test }, "target": { "name": target },
            })
        };
        let prefix =
            |id, target| artifact(&message(id, target, true)).map(|program| program.prefix);
        assert_eq!(
            prefix("path+file:///r/rust/tresor#0.1.0", "tresor").as_deref(),
            Some("unit::tresor::")
        );
        assert_eq!(
            prefix("path+file:///r/rust/tresor#0.1.0", "vectors").as_deref(),
            Some("unit::tresor::vectors::")
        );
        assert_eq!(
            prefix("path+file:///r/q#qemu-tests@0.1.0", "qemu_tests").as_deref(),
            Some("unit::qemu-tests::")
        );
        assert_eq!(
            artifact(&message("path+file:///r/x#0.1.0", "x", false)),
            None
        );
    }
}
