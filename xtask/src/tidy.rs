// SPDX-License-Identifier: GPL-2.0
//! The repository's own rules, as checks over the text of its files.

mod tables;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Result};

use crate::paths::Workspace;
use crate::process;

/// A rule: what is wrong with a file, one text per finding.
pub(crate) type Rule = fn(&Path, &str) -> Vec<String>;

/// Every rule by its name.
pub(crate) const RULES: &[(&str, Rule)] = &[
    ("spdx", spdx),
    ("foreign_names", foreign_names),
    ("unfinished", unfinished),
    ("long_files", long_files),
    ("tables", tables::check),
];

/// Lines a Rust file may have before it holds more than one idea.
const LONG: usize = 500;

/// Text that would tie the repository to one machine or one mirror. Written in halves, or this file would break the rule.
const FOREIGN: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/fa", "rm/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("deb.deb", "ian.org"),
    concat!("security.deb", "ian.org"),
    concat!("pypi", ".org"),
    concat!("registry.np", "mjs.org"),
    concat!("static.cra", "tes.io"),
    concat!("index.cra", "tes.io"),
];

/// Marks of work that is not done.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("#[ign", "ore"),
];

/// Applies one rule to every file of the repository.
pub(crate) fn check(workspace: &Workspace, rule: Rule) -> Result<()> {
    let mut findings = Vec::new();
    for path in tracked(workspace)? {
        // A file that is not text has no lines to judge; a deleted one that git still lists neither.
        if let Ok(text) = fs_err::read_to_string(workspace.root.join(&path)) {
            findings.extend(
                rule(&path, &text)
                    .into_iter()
                    .map(|finding| format!("{}: {finding}", path.display())),
            );
        }
    }
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    Ok(())
}

/// Files that git knows or would add.
fn tracked(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let list = process::output(
        Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(&workspace.root),
    )?;
    Ok(list.lines().map(PathBuf::from).collect())
}

fn extension(path: &Path) -> &str {
    path.extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
}

fn is_code(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    matches!(
        extension(path),
        "rs" | "S" | "c" | "h" | "sh" | "inc" | "config"
    ) || matches!(name, "Kconfig" | "Makefile" | "Kbuild")
}

/// The licence is the first line, or the second after `#!`.
fn spdx(path: &Path, text: &str) -> Vec<String> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let line = if first.starts_with("#!") {
        lines.next().unwrap_or_default()
    } else {
        first
    };
    if is_code(path) && !line.contains("SPDX-License-Identifier: GPL-2.0") {
        return vec!["the first line is not `SPDX-License-Identifier: GPL-2.0`".to_owned()];
    }
    Vec::new()
}

fn foreign_names(path: &Path, text: &str) -> Vec<String> {
    if extension(path) == "lock" {
        return Vec::new();
    }
    findings(text, FOREIGN)
}

fn unfinished(path: &Path, text: &str) -> Vec<String> {
    if !is_code(path) {
        return Vec::new();
    }
    findings(text, UNFINISHED)
}

fn long_files(path: &Path, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if extension(path) == "rs" && lines > LONG {
        return vec![format!("{lines} lines: more than one idea?")];
    }
    Vec::new()
}

fn findings(text: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        found.extend(
            words
                .iter()
                .filter(|word| line.contains(**word))
                .map(|word| format!("line {}: `{word}`", number + 1)),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(rule: Rule, path: &str, text: &str) -> bool {
        !rule(Path::new(path), text).is_empty()
    }

    #[test]
    fn a_missing_licence_is_found() {
        assert!(finds(spdx, "a.rs", "//! Head.\n"));
        assert!(finds(
            spdx,
            "a.rs",
            "//! Head.\n// SPDX-License-Identifier: GPL-2.0\n"
        ));
        assert!(finds(spdx, "x/Makefile", "all:\n"));
        assert!(!finds(
            spdx,
            "a.rs",
            "// SPDX-License-Identifier: GPL-2.0\n"
        ));
        assert!(!finds(
            spdx,
            "a.sh",
            "#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0\n"
        ));
        assert!(!finds(spdx, "README.md", "# Title\n"));
    }

    #[test]
    fn every_foreign_name_is_found() {
        for word in FOREIGN {
            assert!(
                finds(foreign_names, "a.md", &format!("see {word}x\n")),
                "{word}"
            );
        }
        assert!(!finds(foreign_names, "a.md", "see target/\n"));
        assert!(!finds(foreign_names, "Cargo.lock", FOREIGN[9]));
    }

    #[test]
    fn every_unfinished_mark_is_found() {
        for word in UNFINISHED {
            assert!(finds(unfinished, "a.rs", &format!("{word}\n")), "{word}");
        }
        assert!(!finds(unfinished, "a.rs", "fn done() {}\n"));
    }

    #[test]
    fn a_long_file_is_found() {
        assert!(finds(long_files, "a.rs", &"x\n".repeat(LONG + 1)));
        assert!(!finds(long_files, "a.rs", &"x\n".repeat(LONG)));
    }
}
