// SPDX-License-Identifier: GPL-2.0
//! The kernel's own style check on the exported series.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Result};

use crate::process;

/// Types that are not reported, and why. `--no-signoff` is for the same reason as in export.rs.
const IGNORED: &[&str] = &[
    // Asks for a line in MAINTAINERS, which only the maintainers of a merged driver get.
    "FILE_PATH_CHANGES",
];

/// What is said of macros that are not simple expressions.
const MACROS: &[&str] = &["COMPLEX_MACRO", "MACRO_ARG_REUSE", "MACRO_ARG_UNUSED"];
/// Where that is not reported: the list of homes, which C and assembly share, is a macro that is given another one, and these give it one.
const LISTS: &[&str] = &[
    "/asm/msr-home.h:",
    "/kernel/msr_owner.c:",
    "/asm/home.S:",
    "/asm/amnesia/window-msr.S:",
];

/// A patch that checkpatch must not like: bad indentation, trailing blank, no licence, no blank line after the subject.
const BAD_PATCH: &str = "\
From: Nobody <nobody@example.org>
Date: Fri, 20 Nov 2026 12:00:00 +0000
Subject: [PATCH] control: must be refused

A control.
---
diff --git a/drivers/control.c b/drivers/control.c
new file mode 100644
--- /dev/null
+++ b/drivers/control.c
@@ -0,0 +1,4 @@
+int f(int a){
+    if(a==1) return 2;\x20
+    return 0;
+}
";

/// No ERROR, WARNING or CHECK in any of the patches; and the check does find them in a bad one.
pub(crate) fn check(tree: &Path, patches: &[PathBuf]) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bad = dir.path().join("bad.patch");
    fs_err::write(&bad, BAD_PATCH)?;
    if complaints(tree, &[bad])?.is_none() {
        bail!("checkpatch.pl did not complain about the control patch: its verdict means nothing");
    }
    match complaints(tree, patches)? {
        None => Ok(()),
        Some(text) => bail!("checkpatch.pl --strict complains:\n{text}"),
    }
}

fn complaints(tree: &Path, patches: &[PathBuf]) -> Result<Option<String>> {
    let out = process::capture(
        Command::new("perl")
            .arg(tree.join("scripts/checkpatch.pl"))
            .args([
                "--strict",
                "--no-tree",
                "--no-signoff",
                "--show-types",
                "--no-summary",
                "--quiet",
                "--color=never",
            ])
            .args(["--ignore", &IGNORED.join(",")])
            .args(patches),
    )?;
    let text = process::both(&out);
    let (reported, excused) = sort(&text);
    verdict(out.status.success() || excused, reported)
}

/// The findings without those of [`MACROS`] in [`LISTS`], and whether there were such.
fn sort(text: &str) -> (String, bool) {
    let is_excused = |finding: &&str| {
        let of = |list: &[&str]| list.iter().any(|part| finding.contains(part));
        of(MACROS) && of(LISTS)
    };
    let (excused, reported): (Vec<_>, Vec<_>) = text.split("\n\n").partition(is_excused);
    (reported.join("\n\n"), !excused.is_empty())
}

/// A script that fails without a finding did not run.
fn verdict(success: bool, text: String) -> Result<Option<String>> {
    let found = text.lines().any(|line| {
        ["ERROR:", "WARNING:", "CHECK:"]
            .iter()
            .any(|mark| line.starts_with(mark))
    });
    match (success, found) {
        (true, false) => Ok(None),
        (_, true) => Ok(Some(text)),
        (false, false) => bail!("checkpatch.pl could not run:\n{}", process::tail(&text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_macros_and_only_in_the_lists_are_excused() {
        let finding = |kind: &str, file: &str| format!("CHECK:{kind}: x\n#1: FILE: {file}:2:\n+y");
        let text = [
            finding("MACRO_ARG_REUSE", "arch/x86/include/asm/msr-home.h"),
            finding("MACRO_ARG_REUSE", "drivers/a.c"),
            finding("SPACING", "arch/x86/include/asm/msr-home.h"),
        ];
        let (reported, excused) = sort(&text.join("\n\n"));
        assert!(excused);
        assert_eq!(reported, text[1..].join("\n\n"));
        assert!(!sort(&text[1]).1);
    }

    #[test]
    fn verdicts() {
        assert_eq!(
            verdict(true, "patch has no obvious style problems".into()).expect("clean"),
            None
        );
        for bad in [
            "CHECK:LONG: x",
            "WARNING:SPACING: y",
            "ERROR:CODE_INDENT: z",
        ] {
            assert!(verdict(false, bad.into()).expect("a finding").is_some());
            assert!(verdict(true, bad.into()).expect("a finding").is_some());
        }
        assert!(verdict(false, "Can't locate JSON.pm".into()).is_err());
    }
}
