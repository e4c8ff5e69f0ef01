// SPDX-License-Identifier: GPL-2.0
//! Slot files: several pass phrases for one secret, and nothing lost by any mistake.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use assert_cmd::assert::Assert;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;
use tresor::reference::{self, Sha256};
use tresor::slot::Slot;

/// A directory with a slot file for the pass phrase "first".
struct Lab {
    dir: TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self {
            dir: TempDir::new().unwrap(),
        };
        for name in ["first", "second", "third"] {
            fs::write(lab.path(name), format!("{name}\n")).unwrap();
        }
        lab.run("new", &["first"], &["--iterations=1000"]).success();
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs `slot COMMAND` with one pass phrase file or with an old and a new one.
    fn run(&self, command: &str, pass_phrases: &[&str], more: &[&str]) -> Assert {
        let mut tresorctl = Command::new(assert_cmd::cargo::cargo_bin!("tresorctl"));
        tresorctl.args(["slot", command, "--slot-file"]);
        tresorctl.arg(self.path("slots")).args(more);
        let options = ["--pass-phrase-file", "--new-pass-phrase-file"];
        for (option, name) in options.iter().zip(pass_phrases) {
            tresorctl.arg(option).arg(self.path(name));
        }
        tresorctl.assert()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path("slots")).unwrap()
    }

    fn slots(&self) -> Vec<Slot> {
        self.text()
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| Slot::parse::<Sha256>(line.as_bytes()).unwrap())
            .collect()
    }

    fn id(&self, place: usize) -> String {
        hex::encode(self.slots()[place].id::<Sha256>())
    }
}

#[test]
fn every_pass_phrase_leads_to_the_same_secret() {
    let lab = Lab::new();
    lab.run("add", &["first", "second"], &["--iterations=1500"])
        .success()
        .stdout(contains(lab.id(0)).not());
    lab.run("add", &["second", "third"], &["--iterations=1000"])
        .success();
    let slots = lab.slots();
    let secret = |place: usize, pass_phrase: &str| {
        reference::unlock(&slots[place], pass_phrase.as_bytes()).unwrap()
    };
    assert_eq!(secret(0, "first"), secret(1, "second"));
    assert_eq!(secret(0, "first"), secret(2, "third"));
    assert_eq!(slots[1].iterations(), 1500);
    assert_ne!(slots[1].iv(), slots[2].iv());
    for (place, name) in ["first", "second", "third"].into_iter().enumerate() {
        lab.run("test", &[name], &[])
            .success()
            .stdout(contains(lab.id(place)));
    }
    lab.run("list", &[], &[]).success().stdout(format!(
        "{} pbkdf2-sha256 1000 iterations\n{} pbkdf2-sha256 1500 iterations\n{} pbkdf2-sha256 1000 iterations\n",
        lab.id(0),
        lab.id(1),
        lab.id(2)
    ));
}

#[test]
fn a_changed_pass_phrase_keeps_the_secret_and_the_place() {
    let lab = Lab::new();
    lab.run("add", &["first", "second"], &["--iterations=1000"])
        .success();
    let s = reference::unlock(&lab.slots()[0], b"first").unwrap();
    lab.run("change", &["first", "third"], &["--iterations=1000"])
        .success()
        .stderr(contains("old slot is still opened by the old pass phrase"));
    assert_eq!(reference::unlock(&lab.slots()[0], b"third").unwrap(), s);
    lab.run("test", &["first"], &[])
        .code(2)
        .stderr(contains("wrong pass phrase"));
    lab.run("test", &["second"], &[]).success();
}

#[test]
fn slots_are_removed_but_not_the_last() {
    let lab = Lab::new();
    lab.run("add", &["first", "second"], &["--iterations=1000"])
        .success();
    lab.run("add", &["first", "third"], &["--iterations=1000"])
        .success();
    lab.run("remove", &["second"], &[]).success();
    lab.run("test", &["second"], &[]).code(2);
    lab.run("remove", &[], &["--id", "x"])
        .code(1)
        .stderr(contains("slot list"));
    lab.run("remove", &[], &["--id", ""])
        .code(1)
        .stderr(contains("several slots"));
    lab.run("remove", &[], &["--id", &lab.id(0)[..8]]).success();
    lab.run("test", &["third"], &[]).success();
    let before = lab.text();
    lab.run("remove", &["third"], &[])
        .code(1)
        .stderr(contains("the last slot"));
    assert_eq!(lab.text(), before);
}

#[test]
fn comments_permissions_and_links_stay() {
    let lab = Lab::new();
    let slot = lab.slots()[0].to_string();
    fs::write(
        lab.path("real"),
        format!("# mine\n\ntresor.slot={slot}\n# end\n"),
    )
    .unwrap();
    fs::set_permissions(lab.path("real"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(lab.path("slots")).unwrap();
    std::os::unix::fs::symlink("real", lab.path("slots")).unwrap();
    lab.run("add", &["first", "second"], &["--iterations=1000"])
        .success();
    let added = lab.slots()[1].to_string();
    assert_eq!(lab.text(), format!("# mine\n\n{slot}\n# end\n{added}\n"));
    let real = fs::symlink_metadata(lab.path("real")).unwrap();
    assert_eq!(real.permissions().mode() & 0o777, 0o644);
    assert!(lab.path("slots").is_symlink());
}

#[test]
fn mistakes_change_nothing() {
    let lab = Lab::new();
    let before = lab.text();
    let few = lab.run("add", &["first", "second"], &["--iterations=999"]);
    few.code(2);
    lab.run("add", &["second", "third"], &["--iterations=1000"])
        .code(2)
        .stderr(contains("wrong pass phrase"));
    lab.run("new", &["second"], &["--iterations=1000"])
        .code(1)
        .stderr(contains("slot add"));
    lab.run("add", &["first", "nothing"], &["--iterations=1000"])
        .code(1)
        .stderr(contains("cannot open"));
    assert_eq!(lab.text(), before);

    fs::write(lab.path("slots"), format!("{before}{before}x")).unwrap();
    lab.run("test", &["first"], &[])
        .code(1)
        .stderr(contains("line 5").and(contains("slot again")));
    fs::write(lab.path("slots"), "# nothing\n").unwrap();
    lab.run("list", &[], &[])
        .code(1)
        .stderr(contains("has no slot"));
    fs::write(lab.path("slots"), [0xff, 0xfe]).unwrap();
    lab.run("list", &[], &[]).code(1);
}

/// A run that was killed between writing and renaming leaves a file beside, which does not matter.
#[test]
fn what_an_interrupted_run_left_is_no_obstacle() {
    let lab = Lab::new();
    fs::write(lab.path("slots.new"), "half").unwrap();
    lab.run("add", &["first", "second"], &["--iterations=1000"])
        .success();
    assert_eq!(lab.slots().len(), 2);
    assert!(!lab.path("slots.new").exists());
}
