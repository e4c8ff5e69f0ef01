// SPDX-License-Identifier: GPL-2.0
//! The command line: good input, and one clear message for each kind of bad input.

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;
use tresor::reference::{self, Sha256};
use tresor::slot::Slot;

/// A directory with a file of a pass phrase.
struct File {
    directory: TempDir,
}

impl File {
    fn of(content: impl AsRef<[u8]>) -> Self {
        let file = Self {
            directory: TempDir::new().unwrap(),
        };
        fs::write(file.path(), content).unwrap();
        file
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("pass-phrase")
    }
}

fn tresorctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tresorctl"));
    command.args(arguments);
    command
}

fn new_slot(pass_phrase: impl AsRef<[u8]>) -> Command {
    let mut command = tresorctl(&[
        "slot",
        "new",
        "--iterations",
        "1000",
        "--pass-phrase-file",
        "-",
    ]);
    command.write_stdin(pass_phrase.as_ref());
    command
}

/// The slot that a successful run printed.
fn printed_slot(command: &mut Command) -> Slot {
    let output = command.assert().success().get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    let (slot, option) = text.trim_end().split_once('\n').unwrap();
    assert_eq!(option, format!("tresor.slot={slot}"));
    Slot::parse::<Sha256>(slot.as_bytes()).unwrap()
}

fn refused(command: Command, message: &str) {
    refused_with(1, command, message);
}

/// The same with an exit code of its own.
fn refused_with(code: i32, mut command: Command, message: &str) {
    command
        .assert()
        .code(code)
        .stdout("")
        .stderr(contains(message).and(contains("panicked").not()));
}

#[test]
fn new_slot_is_for_the_pass_phrase_without_the_newline() {
    for input in ["correct horse", "correct horse\n"] {
        let slot = printed_slot(&mut new_slot(input));
        assert_eq!(slot.iterations(), 1000);
        assert!(reference::verify(&slot, b"correct horse"));
        assert!(!reference::verify(&slot, b"correct horse\n"));
    }
}

#[test]
fn pass_phrase_comes_from_a_file_too() {
    let file = File::of("from a file\n");
    let slot = printed_slot(
        tresorctl(&["slot", "new", "--iterations=1000", "--pass-phrase-file"]).arg(file.path()),
    );
    assert!(reference::verify(&slot, b"from a file"));
}

#[test]
fn every_slot_is_another() {
    let (first, second) = (
        printed_slot(&mut new_slot("x")),
        printed_slot(&mut new_slot("x")),
    );
    assert_ne!(first.salt(), second.salt());
    assert_ne!(first.iv(), second.iv());
    assert_ne!(first.mask(), second.mask());
}

#[test]
fn longest_and_shortest_pass_phrase() {
    for len in [1, 512] {
        let slot = printed_slot(&mut new_slot(vec![b'p'; len]));
        assert!(reference::verify(&slot, &vec![b'p'; len]));
    }
}

#[test]
fn time_chooses_iterations() {
    let iterations = |time: &str| {
        let mut command = tresorctl(&["slot", "new", "--time", time, "--pass-phrase-file", "-"]);
        printed_slot(command.write_stdin("x")).iterations()
    };
    // Not twice as many exactly: the machine is busy with other tests.
    assert!(iterations("1") >= 1000);
    assert!(iterations("40") > iterations("1"));
}

#[test]
fn bad_pass_phrases_are_refused() {
    refused_with(8, new_slot(""), "the pass phrase is empty");
    refused_with(8, new_slot("\n"), "the pass phrase is empty");
    refused(new_slot(vec![b'p'; 513]), "the pass phrase is too long");
    refused(new_slot(vec![b'p'; 1 << 20]), "the pass phrase is too long");
    refused(new_slot("two\nlines\n"), "control character 0x0a");
    refused(new_slot("from Windows\r\n"), "control character 0x0d");
}

#[test]
fn other_languages_are_taken_with_a_note() {
    let mut command = new_slot("pässword");
    command.assert().success().stderr(contains("outside ASCII"));
    assert!(reference::verify(
        &printed_slot(&mut command),
        "pässword".as_bytes()
    ));
}

#[test]
fn pass_phrase_is_never_printed() {
    new_slot("correct horse")
        .assert()
        .success()
        .stdout(contains("horse").not())
        .stderr(contains("horse").not());
    refused(new_slot("correct\x01horse"), "control character 0x01");
    new_slot("correct\x01horse")
        .assert()
        .stderr(contains("horse").not());
}

#[test]
fn unreadable_files_are_named() {
    refused(
        tresorctl(&["slot", "new", "--pass-phrase-file", "/nonexistent/file"]),
        "cannot open /nonexistent/file",
    );
    let directory = TempDir::new().unwrap();
    let mut command = tresorctl(&["slot", "new", "--pass-phrase-file"]);
    command.arg(directory.path());
    refused(command, "cannot read");
}

#[test]
fn without_a_terminal_there_is_a_hint() {
    let mut command = tresorctl(&["slot", "new"]);
    command.write_stdin("x\n");
    refused(command, "give --pass-phrase-file");
}

#[test]
fn bad_numbers_are_usage_errors() {
    for arguments in [
        ["--iterations", "999"],
        ["--iterations", "4294967296"],
        ["--time", "0"],
        ["--time", "x"],
    ] {
        tresorctl(&["slot", "new", "--pass-phrase-file", "-"])
            .args(arguments)
            .assert()
            .code(2);
    }
    tresorctl(&["slot", "new", "--iterations=1000", "--time=5"])
        .assert()
        .code(2);
}

#[test]
fn check_tells_intact_from_damaged() {
    let slot = reference::new_slot(b"x", 1000, [1; 16], [2; 16], [3; 32])
        .unwrap()
        .to_string();
    tresorctl(&["slot", "check", &slot])
        .assert()
        .success()
        .stdout(contains("1000 iterations"));
    tresorctl(&["slot", "check", &format!("tresor.slot={slot}")])
        .assert()
        .success();
    let damaged = |from: &str, to: &str, message: &str| {
        let damaged = slot.replacen(from, to, 1);
        assert_ne!(slot, damaged);
        tresorctl(&["slot", "check", &damaged])
            .assert()
            .code(2)
            .stdout("")
            .stderr(contains(message).and(contains("copy the slot again")));
    };
    damaged("0101", "0110", "damaged");
    damaged("1:", "9:", "unknown version");
    damaged("pbkdf2", "argon2", "unknown key derivation function");
    damaged(":1000", ":0", "iterations");
    damaged(":0303", ":03", "the mask has a wrong length");
}

#[test]
fn check_tells_right_from_wrong_pass_phrase() {
    let slot = reference::new_slot(b"right", 1000, [1; 16], [2; 16], [3; 32])
        .unwrap()
        .to_string();
    let check = |pass_phrase: &str| {
        let mut command = tresorctl(&["slot", "check", &slot, "--pass-phrase-file", "-"]);
        command.write_stdin(pass_phrase).assert()
    };
    check("right")
        .success()
        .stdout(contains("The pass phrase is right"));
    check("wrong").code(1).stderr(contains("wrong pass phrase"));
    check("")
        .code(8)
        .stderr(contains("the pass phrase is empty"));
}

#[cfg(not(feature = "test-secrets"))]
#[test]
fn this_build_cannot_print_secrets() {
    tresorctl(&["secrets"])
        .assert()
        .code(2)
        .stderr(contains("unrecognized subcommand"));
    tresorctl(&["--help"])
        .assert()
        .success()
        .stdout(contains("secret and a volume key").not());
}

#[cfg(feature = "test-secrets")]
#[test]
fn this_build_prints_secrets() {
    use tresor::handle::{Handle, Variant};

    let slot = reference::new_slot(b"x", 1000, [1; 16], [2; 16], [3; 32]).unwrap();
    let pass_phrase = File::of("x\n");
    for (handle_bytes, variant) in [
        (vec![7; 32], Variant::Aes128),
        (vec![7; 64], Variant::Aes256),
    ] {
        let handle_file = File::of(&handle_bytes);
        let s = reference::unlock(&slot, b"x").unwrap();
        let handle = Handle::derived::<Sha256>(&handle_bytes).unwrap();
        let key = hex::encode(&*reference::volume_key(&s, &handle, variant));
        let (k1, k2) = key.split_at(key.len() / 2);
        tresorctl(&["secrets", "--slot", &slot.to_string(), "--pass-phrase-file"])
            .arg(pass_phrase.path())
            .arg("--handle-file")
            .arg(handle_file.path())
            .assert()
            .success()
            .stdout(format!("S={}\nK1={k1}\nK2={k2}\n", hex::encode(*s)));
    }
    let no_handle = File::of([7; 33]);
    let mut command = tresorctl(&["secrets", "--slot", &slot.to_string(), "--pass-phrase-file"]);
    command
        .arg(pass_phrase.path())
        .arg("--handle-file")
        .arg(no_handle.path());
    command
        .assert()
        .code(1)
        .stderr(contains("the key has 33 bytes"));
}

#[test]
fn the_agent_wants_one_way_to_ask() {
    for arguments in [
        &["agent"][..],
        &["agent", "--tty", "/dev/tty1", "--ask", "/bin/true"],
    ] {
        tresorctl(arguments)
            .assert()
            .code(2)
            .stderr(contains("--tty").and(contains("--ask").or(contains("Usage"))));
    }
}
