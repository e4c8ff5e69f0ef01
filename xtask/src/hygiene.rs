// SPDX-License-Identifier: GPL-2.0
//! Hygiene: patches, format, lints, warnings and the repository's own rules.

use std::path::Path;

use anyhow::{bail, Result};

use crate::base::{read_series, Base};
use crate::checkpatch;
use crate::export;
use crate::kernel::Kernel;
use crate::layer::Files;
use crate::lint;
use crate::overlay;
use crate::patches::{self, Message};
use crate::paths::Workspace;
use crate::runner::{Filter, Tally};
use crate::tidy;

/// A check on the repository alone.
type Check = fn(&Workspace) -> Result<()>;

/// A check that needs the patched kernel tree.
type TreeCheck = fn(&Workspace, &Kernel) -> Result<()>;

const CHECKS: &[(&str, Check)] = &[
    ("hygiene::patches::series", |workspace| {
        series(&workspace.patches(), &overlay::files(&workspace.root)?)
    }),
    ("hygiene::rustfmt::workspace", lint::workspace_rustfmt),
    ("hygiene::clippy::workspace", |workspace| {
        lint::workspace_clippy(&workspace.root)
    }),
];

const TREE_CHECKS: &[(&str, TreeCheck)] = &[
    ("hygiene::patches::apply", |workspace, kernel| {
        patches::patched_files(&kernel.source.layer(), &read_series(&workspace.patches())?)
            .map(drop)
    }),
    ("hygiene::patches::checkpatch", exported_checkpatch),
    ("hygiene::rustfmt::kernel", |workspace, kernel| {
        lint::kernel_rustfmt(workspace, &kernel.source.tree())
    }),
    ("hygiene::clippy::kernel", |_, kernel| {
        lint::kernel_clippy(kernel)
    }),
];

/// The check on the log of the built kernel.
pub(crate) const NO_WARNINGS: &str = "hygiene::kernel::no_warnings";

/// Runs the checks that need no kernel.
pub(crate) fn run(workspace: &Workspace, filter: Filter<'_>, tally: &mut Tally) {
    for (name, check) in CHECKS.iter().filter(|(name, _)| filter.takes(name)) {
        tally.run(name, || check(workspace));
    }
    for (rule_name, rule) in tidy::RULES {
        let name = format!("hygiene::tidy::{rule_name}");
        if filter.takes(&name) {
            tally.run(&name, || tidy::check(workspace, *rule));
        }
    }
}

/// Names of the wanted checks that need the tree.
pub(crate) fn tree_check_names(filter: Filter<'_>) -> Vec<&'static str> {
    TREE_CHECKS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| filter.takes(name))
        .collect()
}

/// Runs the checks that need the tree.
pub(crate) fn run_on_tree(
    workspace: &Workspace,
    kernel: &Kernel,
    filter: Filter<'_>,
    tally: &mut Tally,
) {
    for (name, check) in TREE_CHECKS.iter().filter(|(name, _)| filter.takes(name)) {
        tally.run(name, || check(workspace, kernel));
    }
}

/// checkpatch on what would be mailed: patches together with the new files.
pub(crate) fn exported_checkpatch(workspace: &Workspace, kernel: &Kernel) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let series = export::export(workspace, &kernel.source.layer(), dir.path())?;
    checkpatch::check(&kernel.source.tree(), &series)
}

/// Base, series and patch files belong together.
fn series(dir: &Path, new: &Files) -> Result<()> {
    Base::read(dir)?;
    let series = read_series(dir)?;
    let mut wrong = Vec::new();
    let mut listed = Vec::new();
    for (index, path) in series.iter().enumerate() {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !name.starts_with(&format!("{:04}-", index + 1)) {
            wrong.push(format!(
                "{name} is patch {} of the series: its number does not say so",
                index + 1
            ));
        }
        match fs_err::read_to_string(path) {
            Ok(text) => wrong.extend(
                bad_patch(&text, new)
                    .into_iter()
                    .map(|finding| format!("{name}: {finding}")),
            ),
            Err(error) => wrong.push(error.to_string()),
        }
        listed.push(name);
    }
    for entry in fs_err::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".patch") && !listed.contains(&name) {
            wrong.push(format!("{name} is not in the series"));
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}

/// What is wrong with a patch's subject, message and files.
fn bad_patch(text: &str, new: &Files) -> Vec<String> {
    let message = match Message::parse(text) {
        Ok(message) => message,
        Err(error) => return vec![error.to_string()],
    };
    let mut wrong = Vec::new();
    if !message.subject.contains(": ") {
        wrong.push(format!(
            "the subject `{}` names no subsystem (`crypto: ...`)",
            message.subject
        ));
    }
    if message.body.is_empty() {
        wrong.push("the message does not say why".to_owned());
    }
    if text.lines().any(|line| line.starts_with("Signed-off-by:")) {
        wrong.push("only the person who sends a patch signs it off".to_owned());
    }
    for path in patches::touched_files(text) {
        if new.contains_key(&path) {
            wrong.push(format!(
                "{} lives under rust/ and would exist twice",
                path.display()
            ));
        }
    }
    wrong
}

/// Compiler, assembler, linker and objtool had nothing to say.
pub(crate) fn no_warnings(warnings: &str) -> Result<()> {
    if !warnings.trim().is_empty() {
        bail!("the kernel build gave warnings:\n{warnings}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::write_atomically;

    const GOOD: &str = "From: P <p@example.org>\nDate: d\nSubject: [PATCH] crypto: add\n\nWhy.\n---\ndiff --git a/f b/f\n";

    fn directory(series: &str, patches: &[(&str, &str)]) -> Result<tempfile::TempDir> {
        let dir = tempfile::tempdir()?;
        let base = format!(
            "package linux-source-7.3\nversion 7.3.4-1\nsha256 {}\n",
            "0".repeat(64)
        );
        for (name, text) in [("base", base.as_str()), ("series", series)]
            .iter()
            .chain(patches)
        {
            write_atomically(&dir.path().join(name), text.as_bytes())?;
        }
        Ok(dir)
    }

    #[test]
    fn a_consistent_series_passes() -> Result<()> {
        series(
            directory("0001-a.patch\n", &[("0001-a.patch", GOOD)])?.path(),
            &Files::new(),
        )
    }

    #[test]
    fn inconsistent_series_are_found() -> Result<()> {
        for (text, patches, why) in [
            ("0001-a.patch\n", vec![], "0001-a.patch"),
            ("", vec![("0001-a.patch", GOOD)], "not in the series"),
            ("0002-a.patch\n", vec![("0002-a.patch", GOOD)], "number"),
        ] {
            let error = series(directory(text, &patches)?.path(), &Files::new())
                .unwrap_err()
                .to_string();
            assert!(error.contains(why), "{error}");
        }
        Ok(())
    }

    #[test]
    fn bad_patches_are_found() {
        let new = Files::from([("rust/kernel/crypto.rs".into(), Vec::new())]);
        assert_eq!(bad_patch(GOOD, &new), Vec::<String>::new());
        for bad in [
            GOOD.replace("crypto: add", "add"),
            GOOD.replace("Why.\n", ""),
            GOOD.replace("Why.", "Why.\n\nSigned-off-by: P <p@example.org>"),
            format!("{GOOD}--- /dev/null\n+++ b/rust/kernel/crypto.rs\n"),
            GOOD.replace("Subject", "Object"),
        ] {
            assert_eq!(bad_patch(&bad, &new).len(), 1, "{bad}");
        }
    }

    #[test]
    fn a_warning_is_a_failure() {
        assert!(no_warnings("\n").is_ok());
        assert!(no_warnings("vmlinux.o: warning: objtool: f: unreachable").is_err());
    }
}
