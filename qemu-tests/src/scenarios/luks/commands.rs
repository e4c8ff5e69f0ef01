// SPDX-License-Identifier: GPL-2.0

//! What stock cryptsetup can do with a volume whose key is a wrapped handle, one command after the other. The content is compared after
//! each that could have changed it. `reencrypt --resilience none` is in the scenario `adopt`.

use anyhow::{ensure, Result};

use super::{close, expect_cipher, open, start, CHEAP, CONTENT, KEY_FILE, LUKS};
use crate::guest::{Ended, Guest};
use crate::scenarios::lab::Lab;
use crate::scenarios::lifecycle::machine::unlock_with;
use crate::volume::PAES;

const SECOND: &str = "/tmp/second";
const THIRD: &str = "/tmp/third";
const SEED: u64 = 77;
const BACKUP: [&str; 2] = ["--header-backup-file", "/tmp/header"];
const MAPPED: &str = "/dev/mapper/vault2";

pub(in crate::scenarios) fn commands(lab: &mut Lab<'_>) -> Result<()> {
    let (_machine, mut guest) = start(lab)?;
    let guest = &mut guest;
    guest.write_file(SECOND, b"a second LUKS pass phrase")?;
    guest.write_file(THIRD, b"a third one")?;
    let format = ["tresorctl", "luks", "format", LUKS, "--yes"];
    guest.run_ok(&[&format[..], &KEY_FILE, &CHEAP].concat())?;
    look(guest)?;
    keyslots(guest)?;
    header(guest)?;
    open(guest)?;
    guest.fill(MAPPED, SEED, CONTENT)?;
    size(guest)?;
    suspend(lab, guest)?;
    close(guest)?;
    reencrypt(guest)?;
    open(guest)?;
    guest.check(MAPPED, SEED, CONTENT)?;
    close(guest)
}

/// What only reads.
fn look(guest: &mut Guest) -> Result<()> {
    guest.run_ok(&["cryptsetup", "isLuks", "--type", "luks2", LUKS])?;
    let uuid = guest.run_ok(&["cryptsetup", "luksUUID", LUKS])?;
    ensure!(uuid.trim().len() == 36, "no UUID: {uuid}");
    let dump = guest.run_ok(&["cryptsetup", "luksDump", LUKS])?;
    for line in ["cipher: paes-xts-plain64", "Key:        1024 bits"] {
        ensure!(dump.contains(line), "luksDump has no `{line}`:\n{dump}");
    }
    open(guest)?;
    let status = guest.run_ok(&["cryptsetup", "status", "vault2"])?;
    // cryptsetup 2.8 puts units in brackets.
    let plain = status.replace(['[', ']'], "");
    for line in ["cipher:  paes-xts-plain64", "keysize: 1024 bits"] {
        ensure!(plain.contains(line), "status has no `{line}`:\n{status}");
    }
    let twice = cryptsetup(guest, &["open", LUKS, "vault2"])?;
    ensure!(twice.status == 5, "opened twice: {twice:?}");
    close(guest)
}

/// Keyslots: a handle is kept in them as a key would be.
fn keyslots(guest: &mut Guest) -> Result<()> {
    ok(guest, &[&["luksAddKey", LUKS, SECOND][..], &CHEAP].concat())?;
    opens_with(guest, SECOND, true)?;
    let change = ["cryptsetup", "luksChangeKey", "-q", "--key-file", SECOND];
    guest.run_ok(&[&change[..], &CHEAP, &[LUKS, THIRD]].concat())?;
    opens_with(guest, THIRD, true)?;
    opens_with(guest, SECOND, false)?;
    ok(
        guest,
        &[&["luksConvertKey", "--key-slot", "0", LUKS][..], &CHEAP].concat(),
    )?;
    opens_with(guest, KEY_FILE[1], true)?;
    guest.run_ok(&["cryptsetup", "luksRemoveKey", "-q", LUKS, THIRD])?;
    opens_with(guest, THIRD, false)?;
    let add = ["luksAddKey", "--new-key-slot", "5", LUKS, SECOND];
    ok(guest, &[&add[..], &CHEAP].concat())?;
    opens_with(guest, SECOND, true)?;
    ok(guest, &["luksKillSlot", LUKS, "5"])?;
    opens_with(guest, SECOND, false)
}

/// The header as a whole, into a file and back after all keyslots were destroyed.
fn header(guest: &mut Guest) -> Result<()> {
    guest.run_ok(&["cryptsetup", "config", "--label", "vault", LUKS])?;
    let dump = guest.run_ok(&["cryptsetup", "luksDump", LUKS])?;
    ensure!(dump.contains("vault"), "no label:\n{dump}");
    guest.run_ok(&[&["cryptsetup", "luksHeaderBackup", LUKS][..], &BACKUP].concat())?;
    guest.run_ok(&["cryptsetup", "luksErase", "-q", LUKS])?;
    opens_with(guest, KEY_FILE[1], false)?;
    restore(guest)
}

/// The header as it was when [`header`] saved it.
fn restore(guest: &mut Guest) -> Result<()> {
    guest.run_ok(
        &[
            &["cryptsetup", "luksHeaderRestore", "-q", LUKS][..],
            &BACKUP,
        ]
        .concat(),
    )?;
    opens_with(guest, KEY_FILE[1], true)
}

/// A new key would be random bytes, which are no handle. cryptsetup sees it too late: the header is marked by then, and restored.
fn reencrypt(guest: &mut Guest) -> Result<()> {
    let ended = cryptsetup(guest, &[&["reencrypt", LUKS][..], &CHEAP].concat())?;
    ensure!(ended.status != 0, "reencrypt was not refused: {ended:?}");
    let dump = guest.run_ok(&["cryptsetup", "luksDump", LUKS])?;
    ensure!(
        dump.contains("online-reencrypt"),
        "the header is not marked: the guide warns in vain\n{dump}"
    );
    // It opens all the same.
    open(guest)?;
    guest.check(MAPPED, SEED, CONTENT)?;
    close(guest)?;
    restore(guest)?;
    let dump = guest.run_ok(&["cryptsetup", "luksDump", LUKS])?;
    ensure!(!dump.contains("reencrypt"), "still marked:\n{dump}");
    Ok(())
}

/// Smaller and as large as the disk again, while it is open.
fn size(guest: &mut Guest) -> Result<()> {
    ok(guest, &["resize", "--size", "16384", "vault2"])?;
    let table = guest.run_ok(&["dmsetup", "table", "vault2"])?;
    ensure!(table.starts_with("0 16384 crypt paes"), "{table}");
    guest.check(MAPPED, SEED, CONTENT)?;
    ok(guest, &["resize", "vault2"])?;
    let table = guest.run_ok(&["dmsetup", "table", "vault2"])?;
    ensure!(!table.starts_with("0 16384 "), "{table}");
    expect_cipher(guest, "vault2", PAES)?;
    guest.check(MAPPED, SEED, CONTENT)
}

/// Suspended by cryptsetup and locked by us meanwhile: it comes back when both are undone.
fn suspend(lab: &Lab<'_>, guest: &mut Guest) -> Result<()> {
    guest.run_ok(&["cryptsetup", "luksSuspend", "vault2"])?;
    expect_suspended(guest, true)?;
    guest.run_ok(&["tresorctl", "lock"])?;
    let resume = cryptsetup(guest, &["luksResume", "vault2"])?;
    ensure!(resume.status != 0, "resumed without a key: {resume:?}");
    expect_suspended(guest, true)?;
    unlock_with(guest, &[], lab.enrollment.pass_phrase(), "0")?;
    ok(guest, &["luksResume", "vault2"])?;
    expect_suspended(guest, false)?;
    guest.check(MAPPED, SEED, CONTENT)
}

fn expect_suspended(guest: &mut Guest, expected: bool) -> Result<()> {
    let info = guest.run_ok(&["dmsetup", "info", "vault2"])?;
    ensure!(
        info.contains("SUSPENDED") == expected,
        "suspended is to be {expected}:\n{info}"
    );
    Ok(())
}

/// Whether a pass phrase opens a keyslot; without making a device.
fn opens_with(guest: &mut Guest, file: &str, expected: bool) -> Result<()> {
    let test = ["cryptsetup", "open", "--test-passphrase", "--key-file"];
    let ended = guest.run(&[&test[..], &[file, LUKS]].concat())?;
    ensure!(
        (ended.status == 0) == expected,
        "{file} is to open it: {expected}; {ended:?}"
    );
    Ok(())
}

/// A command of cryptsetup with the LUKS pass phrase, which must succeed.
fn ok(guest: &mut Guest, command: &[&str]) -> Result<()> {
    let ended = cryptsetup(guest, command)?;
    ensure!(ended.status == 0, "cryptsetup {command:?}: {ended:?}");
    Ok(())
}

fn cryptsetup(guest: &mut Guest, command: &[&str]) -> Result<Ended> {
    guest.run(&[&["cryptsetup", "-q"][..], &KEY_FILE, command].concat())
}
