// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask kernel export`: the complete series as it would be mailed.
//!
//! The patches of this repository change existing files only; the new files live under `rust/`. Here git puts both
//! together: `kernel-patches/7.3/new-files` says with which patch each new file comes. Nobody signs off a patch but the
//! person who sends it, so no patch here carries a Signed-off-by.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};

use crate::base::{lines, read_series};
use crate::layer::{write_atomically, Files, Layer};
use crate::overlay;
use crate::patches::{Message, Scratch};
use crate::paths::Workspace;
use crate::process;

/// Writes the series into an empty or new directory and returns the patch files in order.
pub(crate) fn export(workspace: &Workspace, layer: &Layer, dir: &Path) -> Result<Vec<PathBuf>> {
    let series = read_series(&workspace.patches())?;
    if series.is_empty() {
        bail!("kernel-patches/7.3/series lists no patch: there is nothing to export");
    }
    if dir.exists() && fs_err::read_dir(dir)?.next().is_some() {
        bail!("{} is not empty: give a new directory", dir.display());
    }
    fs_err::create_dir_all(dir)?;
    let dir = dir.canonicalize()?;
    let assigned = assign(workspace, &series)?;

    let scratch = Scratch::new(layer, &series)?;
    git(scratch.path(), &["init", "--quiet"])?;
    // The message of this commit is never seen: format-patch starts after it.
    commit(scratch.path(), "base", None)?;
    for (patch, new_files) in series.iter().zip(&assigned) {
        scratch.apply(patch)?;
        for (path, content) in new_files {
            write_atomically(&scratch.path().join(path), content)?;
        }
        let message = Message::parse(&fs_err::read_to_string(patch)?).with_context(|| {
            format!(
                "{} is not in the format of git format-patch",
                patch.display()
            )
        })?;
        commit(
            scratch.path(),
            &format!("{}\n\n{}\n", message.subject, message.body),
            Some(&message),
        )?;
    }
    let out = dir.to_string_lossy();
    let since = format!("-{}", series.len());
    let names = git(
        scratch.path(),
        &[
            "format-patch",
            "--no-signature",
            "--zero-commit",
            "--no-renames",
            "-o",
            &*out,
            &since,
        ],
    )?;
    Ok(names.lines().map(PathBuf::from).collect())
}

/// The new files that come with each patch of the series.
fn assign(workspace: &Workspace, series: &[PathBuf]) -> Result<Vec<Files>> {
    let path = workspace.patches().join("new-files");
    let text = if path.exists() {
        fs_err::read_to_string(&path)?
    } else {
        String::new()
    };
    let names: Vec<String> = series
        .iter()
        .map(|patch| {
            patch
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    distribute(&text, &names, overlay::files(&workspace.root)?)
        .with_context(|| workspace.show(&path))
}

/// Lines of `PATCH PATH`: the file or directory PATH of the kernel tree comes with PATCH; the longest PATH wins.
fn distribute(text: &str, series: &[String], new: Files) -> Result<Vec<Files>> {
    let mut rules: Vec<(usize, &Path)> = Vec::new();
    for line in lines(text) {
        let (patch, path) = line
            .split_once(' ')
            .with_context(|| format!("`{line}` is not `PATCH PATH`"))?;
        let index = series
            .iter()
            .position(|name| name == patch)
            .with_context(|| format!("`{patch}` is not in the series"))?;
        rules.push((index, Path::new(path.trim())));
    }
    let mut used = vec![false; rules.len()];
    let mut assigned = vec![Files::new(); series.len()];
    for (path, content) in new {
        let (rule, (index, _)) = rules
            .iter()
            .enumerate()
            .filter(|(_, (_, prefix))| path.starts_with(prefix))
            .max_by_key(|(_, (_, prefix))| prefix.components().count())
            .with_context(|| {
                let source = overlay::source_of(&path).unwrap_or_else(|| path.clone());
                format!(
                    "no line says with which patch {} ({}) comes",
                    path.display(),
                    source.display()
                )
            })?;
        used[rule] = true;
        assigned[*index].insert(path, content);
    }
    if let Some(unused) = used.iter().position(|used| !used) {
        bail!("`{}` matches no new file", rules[unused].1.display());
    }
    Ok(assigned)
}

fn commit(dir: &Path, message: &str, from: Option<&Message>) -> Result<()> {
    git(dir, &["add", "--all"])?;
    let mut command = git_command(dir);
    command.args([
        "commit",
        "--quiet",
        "--allow-empty",
        "--no-verify",
        "-m",
        message,
    ]);
    if let Some(author) = from.and_then(|message| message.from.as_ref()) {
        command.arg("--author").arg(author);
    }
    if let Some(date) = from.and_then(|message| message.date.as_ref()) {
        command.arg("--date").arg(date);
    }
    process::output(&mut command).map(drop)
}

fn git(dir: &Path, args: &[&str]) -> Result<String> {
    process::output(git_command(dir).args(args))
}

/// git without the person's hooks and signing key. A patch that names no author is by the person who exports it.
fn git_command(dir: &Path) -> Command {
    let identity = |key: &str, otherwise: &str| {
        let asked = process::output(Command::new("git").args(["config", "--global", key]));
        let value = asked.unwrap_or_default().trim().to_owned();
        let value = if value.is_empty() {
            otherwise.to_owned()
        } else {
            value
        };
        format!("{key}={value}")
    };
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(dir)
        .args([
            "-c",
            &identity("user.name", "nobody"),
            "-c",
            &identity("user.email", "nobody@localhost"),
            "-c",
            "core.hooksPath=/dev/null",
        ])
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_files() -> Files {
        [
            "drivers/crypto/tresor/Kconfig",
            "drivers/crypto/tresor/asm/x.S",
            "rust/kernel/crypto.rs",
        ]
        .into_iter()
        .map(|path| (PathBuf::from(path), Vec::new()))
        .collect()
    }

    fn series() -> Vec<String> {
        vec!["0001-a.patch".into(), "0002-b.patch".into()]
    }

    #[test]
    fn the_longest_path_wins() -> Result<()> {
        let text = "0001-a.patch rust/kernel\n0001-a.patch drivers/crypto/tresor/asm\n0002-b.patch drivers # rest\n";
        let assigned = distribute(text, &series(), new_files())?;
        assert_eq!(assigned[0].len(), 2);
        assert_eq!(
            assigned[1].keys().collect::<Vec<_>>(),
            [Path::new("drivers/crypto/tresor/Kconfig")]
        );
        Ok(())
    }

    #[test]
    fn a_new_file_without_a_patch_and_a_line_without_a_file_are_refused() {
        let missing = format!(
            "{:#}",
            distribute("0001-a.patch rust\n", &series(), new_files()).unwrap_err()
        );
        assert!(missing.contains("rust/tresor/Kconfig"), "{missing}");
        let text = "0001-a.patch rust\n0002-b.patch drivers\n0002-b.patch lib\n";
        assert!(distribute(text, &series(), new_files()).is_err());
        assert!(distribute("0003-c.patch rust\n", &series(), new_files()).is_err());
    }

    #[test]
    fn the_exported_series_holds_patches_and_new_files() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let write =
            |path: &str, text: &str| write_atomically(&dir.path().join(path), text.as_bytes());
        write("tree/lib.rs", "one\ntwo\n")?;
        write("repo/rust/kernel/crypto.rs", "// new\n")?;
        write("repo/kernel-patches/7.3/series", "0001-a.patch\n")?;
        write(
            "repo/kernel-patches/7.3/new-files",
            "0001-a.patch rust/kernel\n",
        )?;
        write(
            "repo/kernel-patches/7.3/0001-a.patch",
            "From: P <p@example.org>\nDate: Fri, 20 Nov 2026 12:00:00 +0000\nSubject: [PATCH] rust: add it\n\nWhy.\n---\n\
             diff --git a/lib.rs b/lib.rs\n--- a/lib.rs\n+++ b/lib.rs\n@@ -1,2 +1,3 @@\n one\n+pub mod crypto;\n two\n",
        )?;
        let workspace = Workspace {
            root: dir.path().join("repo"),
            target: dir.path().join("target"),
        };
        let layer = Layer::new(&dir.path().join("tree"), &dir.path().join("pristine"));
        let patches = export(&workspace, &layer, &dir.path().join("out"))?;
        let [patch] = patches.as_slice() else {
            bail!("{patches:?}")
        };
        let text = fs_err::read_to_string(patch)?;
        for part in [
            "From: P <p@example.org>",
            "rust: add it",
            "Why.",
            "+pub mod crypto;",
            "+// new",
            "create mode 100644",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("Signed-off-by"));
        assert!(
            export(&workspace, &layer, &dir.path().join("out")).is_err(),
            "the directory is not empty any more"
        );
        Ok(())
    }
}
