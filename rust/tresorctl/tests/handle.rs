// SPDX-License-Identifier: GPL-2.0
//! Wrapped handles in files, on a machine without the driver.

use std::fs;

use amnesia::reference as wrapped;
use amnesia::wrapped::{Kind, Wrapped};
use assert_cmd::assert::Assert;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;
use tresor::reference::{self, Sha256};

const PASS_PHRASE: &[u8] = b"correct horse";

fn handle(arguments: &[&str], pass_phrase: &[u8]) -> Assert {
    let mut tresorctl = Command::new(assert_cmd::cargo::cargo_bin!("tresorctl"));
    tresorctl.arg("handle").args(arguments);
    tresorctl.write_stdin(pass_phrase).assert()
}

#[test]
fn a_new_handle_is_of_the_slots_secret_and_is_never_written_over() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("data.handle");
    let file = file.to_str().unwrap();
    let slot = reference::new_slot(PASS_PHRASE, 1000, [1; 16], [2; 16], [3; 32]).unwrap();
    let s = reference::unlock(&slot, PASS_PHRASE).unwrap();
    let slot = slot.to_string();
    let new = ["new", file, "--slot", &slot, "--pass-phrase-file", "-"];
    let refused = handle(&new, PASS_PHRASE).failure();
    refused.stderr(contains("--yes"));
    assert!(!fs::exists(file).unwrap());

    let new = [&new[..], &["--yes"]].concat();
    let refused = handle(&new, b"incorrect horse").failure();
    refused.stderr(contains("wrong pass phrase"));
    assert!(!fs::exists(file).unwrap());
    handle(&new, PASS_PHRASE)
        .success()
        .stdout(contains("Keep a copy"));
    let bytes = fs::read(file).unwrap();
    let made = Wrapped::parse::<Sha256>(&bytes).unwrap();
    assert_eq!(made.kind(), Kind::XtsAes256);
    assert_eq!(wrapped::unwrap(&s, &made).unwrap().len(), 64);
    assert!(wrapped::unwrap(&[9; 32], &made).is_err());

    let refused = handle(&new, PASS_PHRASE).failure();
    refused.stderr(contains("File exists"));
    assert_eq!(fs::read(file).unwrap(), bytes);

    let id = hex::encode(wrapped::id_of(&s));
    handle(&["check", file], b"")
        .success()
        .stdout(contains("XTS-AES-256").and(contains(id)));
    let mut damaged = bytes;
    damaged[20] ^= 1;
    fs::write(file, damaged).unwrap();
    let refused = handle(&["check", file], b"").failure();
    refused.stderr(contains("no wrapped handle"));
}
