// SPDX-License-Identifier: GPL-2.0
//! Slots with Argon2id in front: the same secret, and damage that is told.

use std::fs;

use argon2::{Algorithm, Argon2, Params, Version};
use assert_cmd::assert::Assert;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;
use tresor::reference::{self, Sha256, UnlockError};
use tresor::slot::Slot;

const CHEAP: [&str; 5] = [
    "--argon2id",
    "--memory=2",
    "--passes=1",
    "--iterations=1000",
    "--slot-file",
];

/// A directory with a file of two slots: an ordinary one of "first", and one with Argon2id of "second".
struct Lab {
    dir: TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self {
            dir: TempDir::new().unwrap(),
        };
        for name in ["first", "second"] {
            fs::write(lab.dir.path().join(name), name).unwrap();
        }
        lab.run(&[
            "new",
            "--iterations=1000",
            "--slot-file",
            "slots",
            "--pass-phrase-file",
            "first",
        ])
        .success();
        let files = [
            "--pass-phrase-file",
            "first",
            "--new-pass-phrase-file",
            "second",
        ];
        lab.run(&[&["add"], &CHEAP[..], &["slots"], &files].concat())
            .success()
            .stderr(contains("2 MiB"));
        lab
    }

    fn run(&self, arguments: &[&str]) -> Assert {
        Command::new(assert_cmd::cargo::cargo_bin!("tresorctl"))
            .current_dir(self.dir.path())
            .arg("slot")
            .args(arguments)
            .assert()
    }

    /// The lines with a slot.
    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("slots")).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }

    /// Makes a file of the second line, changed, and lists it.
    fn list(&self, line: &str) -> Assert {
        fs::write(self.dir.path().join("changed"), line).unwrap();
        self.run(&["list", "--slot-file", "changed"])
    }
}

fn kernel_slot(text: &str) -> Slot {
    Slot::parse::<Sha256>(text.as_bytes()).unwrap()
}

#[test]
fn what_argon2id_makes_opens_the_kernels_part() {
    let lab = Lab::new();
    let lines = lab.lines();
    let fields: Vec<&str> = lines[1].splitn(7, ':').collect();
    assert_eq!(fields[..4], ["argon2id", "2048", "1", "4"]);
    let mut stretched = [0; 32];
    let params = Params::new(2048, 1, 4, None).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(b"second", &hex::decode(fields[4]).unwrap(), &mut stretched)
        .unwrap();
    let slot = kernel_slot(fields[6]);
    let s = reference::unlock(&slot, hex::encode(stretched).as_bytes()).unwrap();
    assert_eq!(
        s,
        reference::unlock(&kernel_slot(&lines[0]), b"first").unwrap()
    );
    assert!(matches!(
        reference::unlock(&slot, b"second"),
        Err(UnlockError::WrongPassPhrase)
    ));

    let id = hex::encode(slot.id::<Sha256>());
    let file = ["--slot-file", "slots", "--pass-phrase-file"];
    lab.run(&[&["test"], &file[..], &["second"]].concat())
        .success()
        .stdout(contains(&id));
    fs::write(lab.dir.path().join("wrong"), "wrong").unwrap();
    lab.run(&[&["test"], &file[..], &["wrong"]].concat())
        .code(2);
    lab.run(&["list", "--slot-file", "slots"])
        .success()
        .stdout(contains(format!(
            "{id} argon2id 2 MiB 1 passes, pbkdf2-sha256 1000 iterations"
        )));
    lab.run(&["check", &lines[1], "--pass-phrase-file", "second"])
        .success()
        .stdout(contains("is right"));
}

#[test]
fn a_slot_that_the_kernel_cannot_use_is_not_offered_to_it() {
    let lab = Lab::new();
    let new = [
        &["new"],
        &CHEAP[..],
        &["other", "--pass-phrase-file", "first"],
    ]
    .concat();
    lab.run(&new)
        .success()
        .stdout(contains("argon2id:").and(contains("tresor.slot=").not()));
    lab.run(&["new", "--memory=2", "--pass-phrase-file", "first"])
        .code(2)
        .stderr(contains("--argon2id"));
}

#[test]
fn damage_is_told() {
    let lab = Lab::new();
    let line = &lab.lines()[1];
    lab.list(line).success();
    for at in 0..line.len() {
        let mut damaged = line.clone().into_bytes();
        damaged[at] = if damaged[at] == b'1' { b'2' } else { b'1' };
        let damaged = String::from_utf8(damaged).unwrap();
        lab.list(&damaged)
            .code(1)
            .stderr(contains("line 1 of changed").and(contains("slot again")));
    }
    for end in 0..line.len() {
        lab.list(&line[..end]).code(1);
    }
    // Not taken, whatever the checksum says: it would take the memory of the whole machine.
    lab.list(&line.replacen(":2048:", ":4294967295:", 1))
        .code(1)
        .stderr(contains("memory"));
}
