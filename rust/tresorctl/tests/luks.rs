// SPDX-License-Identifier: GPL-2.0
//! `luks` and `recover` from outside, on image files, beside stock cryptsetup.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;
use tresor::handle::{Handle, Variant};
use tresor::reference::{self, Secret, Sha256};

/// A directory beside the build, which is not in memory as `/tmp` may be.
struct Lab {
    dir: TempDir,
    slot: String,
    s: Secret,
}

impl Lab {
    fn new() -> Self {
        let slot = reference::new_slot(b"tresor", 1000, [1; 16], [2; 16], [3; 32]).unwrap();
        let lab = Self {
            dir: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
            s: reference::unlock(&slot, b"tresor").unwrap(),
            slot: slot.to_string(),
        };
        fs::write(lab.path("luks-pass"), "a LUKS pass phrase").unwrap();
        fs::write(lab.path("tresor-pass"), "tresor\n").unwrap();
        fs::write(lab.path("wrong-pass"), "wrong\n").unwrap();
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tresorctl(&self, command: &[&str]) -> Command {
        let mut tresorctl = Command::new(assert_cmd::cargo::cargo_bin!("tresorctl"));
        tresorctl.current_dir(self.dir.path()).args(command);
        tresorctl
    }

    /// A command that needs both pass phrases.
    fn with_pass_phrases(&self, command: &[&str]) -> Command {
        let mut tresorctl = self.tresorctl(command);
        tresorctl
            .args(["--key-file", "luks-pass", "--slot", &self.slot])
            .args(["--pass-phrase-file", "tresor-pass"]);
        tresorctl
    }

    fn cryptsetup(&self, arguments: &[&str]) -> Output {
        let output = std::process::Command::new("cryptsetup")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .current_dir(self.dir.path())
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}");
        output
    }

    /// Makes a stock volume of 2 MiB of zeros behind its header.
    fn format(&self, image: &str) {
        fs::write(self.path(image), vec![0; 18 << 20]).unwrap();
        let format = [
            "luksFormat",
            "--type",
            "luks2",
            "-q",
            "--sector-size",
            "4096",
        ];
        let more = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
        let key = ["--key-size", "512", "--cipher", "aes-xts-plain64"];
        self.cryptsetup(&[&format[..], &more, &key, &[image, "luks-pass"]].concat());
    }

    /// The volume's key in hex, by stock cryptsetup.
    fn key(&self, image: &str) -> String {
        let dump = ["luksDump", "-q", "--dump-volume-key", "--key-file"];
        let output = self.cryptsetup(&[&dump[..], &["luks-pass", image]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, digits) = text.split_once("MK dump:").unwrap();
        digits.split_whitespace().collect()
    }

    fn cipher(&self, image: &str) -> String {
        let output = self.cryptsetup(&["luksDump", image]);
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.contains("cipher: "));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    }
}

const CHEAP: [&str; 2] = ["--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000"];

#[test]
fn adopt_recover_and_release() {
    let lab = Lab::new();
    lab.format("image");
    let (key, before) = (lab.key("image"), fs::read(lab.path("image")).unwrap());
    lab.with_pass_phrases(&["luks", "adopt", "image", "--backup=b1", "--yes"])
        .args(CHEAP)
        .assert()
        .success()
        .stdout("image is adopted.\n");
    assert_eq!(lab.cipher("image"), "paes-xts-plain64");
    assert!(lab.key("image").starts_with("616d6e3102"), "a handle");
    assert!(!lab.key("image").contains(&key[..16]));
    // What stock cryptsetup would have copied.
    fs::write(lab.path("stock"), &before).unwrap();
    lab.cryptsetup(&["luksHeaderBackup", "stock", "--header-backup-file", "b0"]);
    assert_eq!(
        fs::read(lab.path("b1")).unwrap(),
        fs::read(lab.path("b0")).unwrap()
    );

    lab.with_pass_phrases(&["recover", "image", "--print-key", "--yes"])
        .assert()
        .success()
        .stdout(format!(
            "cipher=aes-xts-plain64\nkey={key}\noffset=32768\nskip=0\nsector-size=4096\n"
        ));
    // Again: nothing to ask, nothing to do but overwriting what is free.
    lab.tresorctl(&["luks", "adopt", "image"])
        .assert()
        .success()
        .stdout(contains("image is adopted"));

    lab.with_pass_phrases(&["luks", "release", "image", "--backup=b2", "--yes"])
        .args(CHEAP)
        .assert()
        .success()
        .stderr(contains("ITS KEY IN RAM"));
    assert_eq!(
        (lab.cipher("image"), lab.key("image")),
        ("aes-xts-plain64".to_owned(), key)
    );
    let after = fs::read(lab.path("image")).unwrap();
    assert_eq!(before[16 << 20..], after[16 << 20..]);
    // The way back by hand, with stock tools only.
    lab.cryptsetup(&[
        "luksHeaderRestore",
        "-q",
        "image",
        "--header-backup-file",
        "b2",
    ]);
    assert_eq!(lab.cipher("image"), "paes-xts-plain64");
}

/// The header carries the slots: neither a file nor the kernel command line is needed.
#[test]
fn slots_are_stored_in_the_header() {
    let lab = Lab::new();
    lab.format("image");
    let key = lab.key("image");
    fs::write(lab.path("slots"), format!("{}\n", lab.slot)).unwrap();
    lab.with_pass_phrases(&["luks", "adopt", "image", "--backup=b1", "--yes"])
        .args(CHEAP)
        .assert()
        .success();
    let store = |slots: &str, count: &str| {
        fs::write(lab.path("slots"), slots).unwrap();
        lab.tresorctl(&["slot", "store", "image", "--slot-file=slots"])
            .assert()
            .success()
            .stdout(contains(count));
    };
    let other = reference::new_slot(b"other", 1000, [4; 16], [5; 16], [6; 32]).unwrap();
    store(&format!("{other}\n"), "1 slot(s)");
    // The second time takes the place of the first.
    store(&format!("{other}\n{}\n", lab.slot), "2 slot(s)");
    let output = lab.cryptsetup(&["luksDump", "image"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("tresor-slots").count(), 1);

    let without_slot = |command: &[&str]| {
        let mut tresorctl = lab.tresorctl(command);
        tresorctl.args(["--key-file=luks-pass", "--pass-phrase-file=tresor-pass"]);
        tresorctl.arg("--yes");
        tresorctl
    };
    without_slot(&["recover", "image", "--print-key"])
        .assert()
        .success()
        .stdout(contains(&key))
        .stderr(contains("the volume's header has"));
    without_slot(&["luks", "release", "image", "--backup=b2"])
        .args(CHEAP)
        .assert()
        .success();
    assert_eq!(lab.key("image"), key);
}

#[test]
fn format_makes_a_volume_with_a_fresh_handle() {
    let lab = Lab::new();
    let mut keys = Vec::new();
    for image in ["one", "two"] {
        fs::write(lab.path(image), vec![0; 18 << 20]).unwrap();
        lab.with_pass_phrases(&["luks", "format", image, "--yes"])
            .args(CHEAP)
            .args(["--", "--label=a label"])
            .assert()
            .success()
            .stdout(contains("is made"))
            .stderr(contains("ALL DATA ON"));
        assert_eq!(lab.cipher(image), "paes-xts-plain64");
        let handle = hex::decode(lab.key(image)).unwrap();
        let handle = amnesia::wrapped::Wrapped::parse::<Sha256>(&handle).unwrap();
        keys.push(amnesia::reference::unwrap(&lab.s, &handle).unwrap());
    }
    assert_ne!(keys[0], keys[1]);
    lab.with_pass_phrases(&["luks", "format", "one", "--yes", "--", "--cipher=x"])
        .assert()
        .code(1)
        .stderr(contains("cannot be given"));
}

#[test]
fn a_derived_handle_of_a_plain_volume_gives_its_key() {
    let lab = Lab::new();
    fs::write(lab.path("disk"), vec![0; 1 << 20]).unwrap();
    fs::write(lab.path("handle"), [7; 64]).unwrap();
    for (bits, variant) in [(256, Variant::Aes128), (512, Variant::Aes256)] {
        let handle = Handle::derived::<Sha256>(&[7; 64][..bits / 8]).unwrap();
        let key = hex::encode(&*reference::volume_key(&lab.s, &handle, variant));
        lab.tresorctl(&["recover", "disk", "--print-key", "--yes", "--plain"])
            .args(["--key-file=handle", "--slot", &lab.slot])
            .args(["--pass-phrase-file=tresor-pass", "--offset=8", "--skip=3"])
            .arg(format!("--key-size={bits}"))
            .assert()
            .success()
            .stdout(format!(
                "cipher=aes-xts-plain64\nkey={key}\noffset=8\nskip=3\nsector-size=512\n"
            ));
    }
}

#[test]
fn without_consent_nothing_happens() {
    let lab = Lab::new();
    lab.format("image");
    let before = fs::read(lab.path("image")).unwrap();
    for command in [
        &["luks", "adopt", "image", "--backup=b1"][..],
        &["recover", "image", "--print-key", "--plain"],
    ] {
        lab.with_pass_phrases(command)
            .assert()
            .code(1)
            .stdout("")
            .stderr(contains("nothing was done").and(contains("--yes")));
    }
    assert_eq!(fs::read(lab.path("image")).unwrap(), before);
    assert!(!lab.path("b1").exists());
}

#[test]
fn mistakes_are_named_and_change_nothing() {
    let lab = Lab::new();
    lab.format("image");
    let before = fs::read(lab.path("image")).unwrap();
    let adopt = ["luks", "adopt", "image", "--yes"];
    lab.with_pass_phrases(&adopt)
        .assert()
        .code(1)
        .stderr(contains("--backup"));
    let wrong = |files: [&str; 2], code: i32, message: &str| {
        lab.tresorctl(&adopt)
            .args(["--backup=b1", "--slot", &lab.slot])
            .args(["--key-file", files[0], "--pass-phrase-file", files[1]])
            .args(CHEAP)
            .assert()
            .code(code)
            .stderr(contains(message));
    };
    wrong(["wrong-pass", "tresor-pass"], 2, "wrong pass phrase");
    wrong(["luks-pass", "wrong-pass"], 2, "wrong pass phrase");
    lab.with_pass_phrases(&["luks", "adopt", "/dev/shm/no-such-image", "--yes"])
        .assert()
        .code(1)
        .stderr(contains("cannot read"));
    lab.with_pass_phrases(&["luks", "adopt", "luks-pass", "--yes"])
        .assert()
        .code(1)
        .stderr(contains("no LUKS header"));
    lab.with_pass_phrases(&["recover", "image", "--print-key", "--yes"])
        .assert()
        .code(1)
        .stderr(contains("cryptsetup open"));
    lab.with_pass_phrases(&["recover", "luks-pass", "x", "--yes"])
        .assert()
        .code(1)
        .stderr(contains("no LUKS2 volume").and(contains("--plain")));
    if fs::metadata("/dev/shm").is_ok() {
        lab.with_pass_phrases(&[&adopt[..], &["--backup=/dev/shm/tresorctl-test"]].concat())
            .assert()
            .code(1)
            .stderr(contains("be lost with the power"));
    }
    assert_eq!(fs::read(lab.path("image")).unwrap(), before);
    assert!(!lab.path("b1").exists());
}
