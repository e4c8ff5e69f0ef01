// SPDX-License-Identifier: GPL-2.0
//! Applying the patch series, exactly: no fuzz, in order, on copies of the files that it touches.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};

use crate::layer::{write_atomically, Files, Layer};
use crate::process;

/// What the tree's touched files look like with the whole series applied.
pub(crate) fn patched_files(layer: &Layer, series: &[PathBuf]) -> Result<Files> {
    let scratch = Scratch::new(layer, series)?;
    for patch in series {
        scratch.apply(patch)?;
    }
    scratch.files()
}

/// A directory with the original of every file that a series touches.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
    touched: BTreeSet<PathBuf>,
}

impl Scratch {
    /// Copies the originals.
    pub(crate) fn new(layer: &Layer, series: &[PathBuf]) -> Result<Self> {
        let mut touched = BTreeSet::new();
        for patch in series {
            touched.extend(touched_files(&fs_err::read_to_string(patch)?));
        }
        let dir = tempfile::tempdir()?;
        for path in &touched {
            if let Some(content) = layer.original(path)? {
                write_atomically(&dir.path().join(path), &content)?;
            }
        }
        Ok(Self { dir, touched })
    }

    /// Where the copies are.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Applies one patch; an error tells an already patched tree from one that the patch does not fit.
    pub(crate) fn apply(&self, patch: &Path) -> Result<()> {
        let out = process::capture(
            Command::new("patch")
                .args(["-p1", "--fuzz=0", "--forward", "--batch"])
                .args(["--no-backup-if-mismatch", "--reject-file=-", "-d"])
                .arg(self.dir.path())
                .arg("-i")
                .arg(patch)
                .env("LC_ALL", "C"),
        )?;
        if out.status.success() {
            return Ok(());
        }
        let name = patch.file_name().unwrap_or_default().to_string_lossy();
        let said = process::both(&out);
        // patch's own words for a hunk that is in the file already.
        if said.contains("previously applied") {
            bail!("the kernel tree is already patched ({name} is in it): give an unpatched tree");
        }
        bail!(
            "{name} does not apply to this kernel tree:\n{}",
            process::tail(&said)
        );
    }

    /// The touched files as they are now.
    pub(crate) fn files(&self) -> Result<Files> {
        let mut files = Files::new();
        for path in &self.touched {
            let file = self.dir.path().join(path);
            if !file.exists() {
                bail!(
                    "the series removes {}: our patches only change files",
                    path.display()
                );
            }
            files.insert(path.clone(), fs_err::read(&file)?);
        }
        Ok(files)
    }
}

/// Paths (without `a/`, `b/`) of the files that a patch changes.
pub(crate) fn touched_files(patch: &str) -> BTreeSet<PathBuf> {
    let mut touched = BTreeSet::new();
    let mut lines = patch.lines().peekable();
    while let Some(line) = lines.next() {
        // Both lines together, so that a removed line `-- a/x` of a hunk is not taken for a header.
        let (Some(old), Some(new)) = (
            line.strip_prefix("--- "),
            lines.peek().and_then(|next| next.strip_prefix("+++ ")),
        ) else {
            continue;
        };
        for (name, prefix) in [(old, "a/"), (new, "b/")] {
            let name = name.split('\t').next().unwrap_or(name);
            touched.extend(name.strip_prefix(prefix).map(PathBuf::from));
        }
    }
    touched
}

/// Subject and body of a patch in the format of git format-patch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// `Name <address>`, if the patch names its author.
    pub(crate) from: Option<String>,
    /// `Date:` as written.
    pub(crate) date: Option<String>,
    /// Subject without `[PATCH n/m]`.
    pub(crate) subject: String,
    /// The text between the header and `---`.
    pub(crate) body: String,
}

impl Message {
    /// Reads the head of a patch file.
    pub(crate) fn parse(patch: &str) -> Result<Self> {
        let (header, rest) = patch
            .split_once("\n\n")
            .context("the patch has no header (`Subject:` and an empty line)")?;
        // A long subject goes on in indented lines.
        let header = header.replace("\n ", " ");
        let get = |field: &str| {
            header
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .map(|value| value.trim().to_owned())
        };
        let subject = get("Subject:").context("the patch has no `Subject:` line")?;
        let subject = match subject
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((_, rest)) => rest.trim().to_owned(),
            None => subject,
        };
        let body: Vec<&str> = rest
            .lines()
            .take_while(|line| *line != "---" && !line.starts_with("diff "))
            .collect();
        Ok(Self {
            from: get("From:"),
            date: get("Date:"),
            subject,
            body: body.join("\n").trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "\
From: A Person <person@example.org>
Date: Fri, 20 Nov 2026 12:00:00 +0000
Subject: [PATCH 1/2] crypto: a subject that is so long that
 it goes on

Why it is so.
---
 f | 1 +
 1 file changed, 1 insertion(+)

diff --git a/f b/f
--- a/f
+++ b/f
@@ -1,4 +1,5 @@
 one
 two
+two and a half
 three
 four
";

    fn tree(content: &str) -> Result<(tempfile::TempDir, Layer)> {
        let dir = tempfile::tempdir()?;
        write_atomically(&dir.path().join("tree/f"), content.as_bytes())?;
        fs_err::write(dir.path().join("1.patch"), PATCH)?;
        let layer = Layer::new(&dir.path().join("tree"), &dir.path().join("pristine"));
        Ok((dir, layer))
    }

    fn apply(content: &str) -> Result<Files> {
        let (dir, layer) = tree(content)?;
        patched_files(&layer, &[dir.path().join("1.patch")])
    }

    #[test]
    fn a_patch_that_fits_is_applied_on_a_copy() -> Result<()> {
        let (dir, layer) = tree("one\ntwo\nthree\nfour\n")?;
        let files = patched_files(&layer, &[dir.path().join("1.patch")])?;
        assert_eq!(
            files[Path::new("f")],
            b"one\ntwo\ntwo and a half\nthree\nfour\n"
        );
        assert_eq!(
            fs_err::read_to_string(dir.path().join("tree/f"))?,
            "one\ntwo\nthree\nfour\n"
        );
        Ok(())
    }

    #[test]
    fn a_patch_that_needs_fuzz_is_refused() {
        let error = apply("ONE\ntwo\nthree\nfour\n").unwrap_err().to_string();
        assert!(error.contains("1.patch does not apply"), "{error}");
    }

    #[test]
    fn an_already_patched_tree_is_recognised() {
        let error = apply("one\ntwo\ntwo and a half\nthree\nfour\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("already patched"), "{error}");
    }

    #[test]
    fn touched_files_come_from_the_headers_only() {
        let touched = touched_files(&format!(
            "{PATCH}--- a/g\n+++ b/g\n@@ -1,2 +1,1 @@\n--- a/not\n x\n"
        ));
        assert_eq!(
            touched,
            BTreeSet::from([PathBuf::from("f"), PathBuf::from("g")])
        );
        assert_eq!(
            touched_files("--- /dev/null\n+++ b/new\n"),
            BTreeSet::from([PathBuf::from("new")])
        );
    }

    #[test]
    fn messages() -> Result<()> {
        let message = Message::parse(PATCH)?;
        assert_eq!(
            message.subject,
            "crypto: a subject that is so long that it goes on"
        );
        assert_eq!(message.body, "Why it is so.");
        assert_eq!(
            message.from.as_deref(),
            Some("A Person <person@example.org>")
        );
        assert_eq!(Message::parse("Subject: x: y\n\nWhy.\n---\n")?.from, None);
        assert!(Message::parse("diff --git a/f b/f\n").is_err());
        Ok(())
    }
}
