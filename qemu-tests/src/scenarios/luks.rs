// SPDX-License-Identifier: GPL-2.0

//! From keys in registers to stock AES and back: what tresorctl does to a volume, and what the kernel then reads from it.

pub(super) mod commands;

use anyhow::{ensure, Result};

use super::lab::{Lab, VOLUME};
use crate::guest::Guest;
use crate::volume::disk;
use crate::volume::{Files, Volume, PAES, STOCK, TRESOR};

/// The disk with the LUKS2 header.
const LUKS: &str = "/dev/vdc";
/// Bytes of data that are compared on it.
const CONTENT: u64 = 4 << 20;
/// Where the copies of headers go: a file system on another disk.
const BACKUPS: &str = "/tmp/backups";
const CHEAP: [&str; 4] = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
/// The pass phrases, as both programs take them; the slot is that of the kernel command line.
const KEY_FILE: [&str; 2] = ["--key-file", "/tmp/luks-pass"];
const PASS_PHRASE: [&str; 2] = ["--pass-phrase-file", "/tmp/tresor-pass"];

/// A machine with a plain volume on the first disk, its handle on the second, and an empty third one.
fn start(lab: &mut Lab<'_>) -> Result<(crate::machine::Machine, Guest)> {
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let other = disk::create(&lab.dir.join("luks.img"), VOLUME + (16 << 20))?;
    config.disks.push(other);
    let (machine, mut guest) = lab.start_unlocked(&config)?;
    guest.write_file("/tmp/handle", &handle)?;
    guest.write_file("/tmp/luks-pass", b"a LUKS pass phrase")?;
    guest.write_file("/tmp/tresor-pass", lab.enrollment.pass_phrase())?;
    Ok((machine, guest))
}

/// Plain volume: written through the driver, read through stock AES after `recover`, and the other way round.
pub(super) fn recover(lab: &mut Lab<'_>) -> Result<()> {
    let (_machine, mut guest) = start(lab)?;
    let volume = Volume::new(TRESOR, 64, 4096);
    let (ours, stocks) = (Files { count: 8, seed: 40 }, Files { count: 9, seed: 90 });
    volume.open(&mut guest)?;
    volume.make_fs(&mut guest)?;
    volume.mount(&mut guest)?;
    ours.write(&mut guest)?;
    volume.unmount(&mut guest)?;
    volume.close(&mut guest)?;

    let recover = ["tresorctl", "recover", "/dev/vda", volume.name, "--plain"];
    let more = ["--key-file=/tmp/handle", "--sector-size=4096", "--yes"];
    guest.run_ok(&[&recover[..], &more, &PASS_PHRASE].concat())?;
    expect_cipher(&mut guest, volume.name, STOCK)?;
    volume.mount(&mut guest)?;
    ours.expect(&mut guest)?;
    stocks.write(&mut guest)?;
    volume.unmount(&mut guest)?;
    volume.close(&mut guest)?;

    volume.open(&mut guest)?;
    expect_cipher(&mut guest, volume.name, TRESOR)?;
    volume.mount(&mut guest)?;
    stocks.expect(&mut guest)?;
    slot_file(lab, &mut guest)?;
    stocks.expect(&mut guest)?;
    volume.unmount(&mut guest)?;
    volume.close(&mut guest)
}

/// Locks the machine and unlocks it with a file of slots of the same secret, of which the second is the one of this boot.
fn slot_file(lab: &Lab<'_>, guest: &mut Guest) -> Result<()> {
    const FILE: [&str; 3] = [
        "--slot-file=/tmp/slots",
        "--pass-phrase-file",
        "/tmp/second",
    ];
    let new = lab.enrollment.another_slot(b"second")?;
    let slots = format!("{new}\n{}\n", lab.enrollment.slot_text());
    guest.write_file("/tmp/slots", slots.as_bytes())?;
    guest.write_file("/tmp/second", b"second\n")?;
    guest.run_ok(&[&["tresorctl", "slot", "test"][..], &FILE].concat())?;
    for (pass_phrase, status) in [
        ("/tmp/luks-pass", 2),
        ("/tmp/second", 0),
        ("/tmp/tresor-pass", 0),
    ] {
        guest.run_ok(&["tresorctl", "lock"])?;
        let unlock = ["tresorctl", "unlock", FILE[0], FILE[1], pass_phrase];
        let ended = guest.run(&unlock)?;
        ensure!(ended.status == status, "{unlock:?}: {ended:?}");
    }
    Ok(())
}

/// LUKS2 with a derived key: opened in an emergency, then released for good. The data is never written.
pub(super) fn release(lab: &mut Lab<'_>) -> Result<()> {
    let (_machine, mut guest) = start(lab)?;
    let backups = Volume::new(TRESOR, 64, 512);
    backups.open(&mut guest)?;
    backups.make_fs(&mut guest)?;
    mount_backups(&backups, &mut guest)?;
    format(&mut guest, TRESOR)?;
    open(&mut guest)?;
    guest.fill("/dev/mapper/vault2", 7, CONTENT)?;
    let in_use = change(&mut guest, "release", "in-use")?;
    ensure!(
        in_use.contains("is in use"),
        "an open volume was not refused: {in_use}"
    );
    close(&mut guest)?;

    let recover = [
        "tresorctl",
        "recover",
        LUKS,
        "vault2",
        "--yes",
        "--readonly",
    ];
    guest.run_ok(&[&recover[..], &KEY_FILE, &PASS_PHRASE].concat())?;
    expect_cipher(&mut guest, "vault2", STOCK)?;
    guest.check("/dev/mapper/vault2", 7, CONTENT)?;
    close(&mut guest)?;

    let in_memory = [
        "tresorctl",
        "luks",
        "release",
        LUKS,
        "--yes",
        "--backup=/tmp/x",
    ];
    let in_memory = guest.run(&[&in_memory[..], &KEY_FILE, &PASS_PHRASE].concat())?;
    ensure!(
        in_memory.status == 1 && in_memory.stderr.contains("be lost with the power"),
        "a backup in memory was not refused: {in_memory:?}"
    );
    expect_changed(&mut guest, "release", "stock")?;
    expect_content(&mut guest, STOCK)?;
    guest.run_ok(&["busybox", "umount", BACKUPS])?;
    backups.close(&mut guest)
}

fn mount_backups(backups: &Volume, guest: &mut Guest) -> Result<()> {
    guest.run_ok(&["busybox", "mkdir", "-p", BACKUPS])?;
    let mount = ["busybox", "mount", "-t", "ext4"];
    guest
        .run_ok(&[&mount[..], &[&backups.mapper(), BACKUPS]].concat())
        .map(drop)
}

/// A stock volume with a file system: adopted by the driver, used in registers with all that cryptsetup can do, and released. Then a new one.
pub(super) fn adopt(lab: &mut Lab<'_>) -> Result<()> {
    let (_machine, mut guest) = start(lab)?;
    let backups = Volume::new(TRESOR, 64, 512);
    backups.open(&mut guest)?;
    backups.make_fs(&mut guest)?;
    mount_backups(&backups, &mut guest)?;
    let volume = Volume {
        name: "vault2",
        ..Volume::new(PAES, 128, 512)
    };
    let (before, during) = (
        Files {
            count: 8,
            seed: 300,
        },
        Files {
            count: 9,
            seed: 400,
        },
    );
    format(&mut guest, STOCK)?;
    open(&mut guest)?;
    volume.make_fs(&mut guest)?;
    volume.mount(&mut guest)?;
    before.write(&mut guest)?;
    volume.unmount(&mut guest)?;
    close(&mut guest)?;

    let adopt = adopt_command();
    let said = guest.run(&adopt)?;
    ensure!(
        said.status == 0 && said.stderr.contains("The driver does it"),
        "tresorctl luks adopt: {said:?}"
    );
    // The file system has room for one header.
    let no_room = change(&mut guest, "release", "adopted")?;
    ensure!(
        no_room.contains("No space left") && no_room.contains("nothing was changed"),
        "a copy of the header without room for it: {no_room}"
    );
    guest.run_ok(&["busybox", "rm", "/tmp/backups/stock"])?;
    open(&mut guest)?;
    expect_cipher(&mut guest, volume.name, PAES)?;
    volume.mount(&mut guest)?;
    before.expect(&mut guest)?;
    during.write(&mut guest)?;
    stock_commands(&mut guest)?;
    during.expect(&mut guest)?;
    volume.unmount(&mut guest)?;
    close(&mut guest)?;
    reencrypt_is_refused(&mut guest)?;

    expect_changed(&mut guest, "release", "adopted")?;
    open(&mut guest)?;
    expect_cipher(&mut guest, volume.name, STOCK)?;
    volume.mount(&mut guest)?;
    during.expect(&mut guest)?;
    volume.unmount(&mut guest)?;
    close(&mut guest)?;

    guest.run_ok(
        &[
            &["tresorctl", "luks", "format", LUKS, "--yes"][..],
            &KEY_FILE,
            &CHEAP,
        ]
        .concat(),
    )?;
    open(&mut guest)?;
    expect_cipher(&mut guest, volume.name, PAES)?;
    guest.fill(&volume.mapper(), 9, CONTENT)?;
    close(&mut guest)?;
    open(&mut guest)?;
    guest.check(&volume.mapper(), 9, CONTENT)?;
    close(&mut guest)?;
    guest.run_ok(&["busybox", "umount", BACKUPS])?;
    backups.close(&mut guest)
}

/// What stock cryptsetup does with an open volume.
fn stock_commands(guest: &mut Guest) -> Result<()> {
    let with_key = |command: &[&'static str]| [command, &KEY_FILE].concat();
    guest.run_ok(&["busybox", "sync"])?;
    guest.run_ok(&["cryptsetup", "luksSuspend", "vault2"])?;
    guest.run_ok(&with_key(&["cryptsetup", "luksResume", "vault2"]))?;
    guest.run_ok(&with_key(&["cryptsetup", "resize", "vault2"]))?;
    guest.write_file("/tmp/second", b"a second LUKS pass phrase")?;
    let add = with_key(&["cryptsetup", "luksAddKey", "-q"]);
    guest.run_ok(&[&add[..], &CHEAP, &[LUKS, "/tmp/second"]].concat())?;
    let test = ["cryptsetup", "open", "--test-passphrase"];
    guest.run_ok(&[&test[..], &["--key-file", "/tmp/second", LUKS]].concat())?;
    let status = guest.run_ok(&["cryptsetup", "status", "vault2"])?;
    ensure!(status.contains(PAES), "cryptsetup status: {status}");
    Ok(())
}

/// Its new key would be random bytes, which are no handle. The volume stays as it was.
fn reencrypt_is_refused(guest: &mut Guest) -> Result<()> {
    let reencrypt = ["cryptsetup", "reencrypt", "-q", "--resilience", "none"];
    let ended = guest.run(&[&reencrypt[..], &KEY_FILE, &CHEAP, &[LUKS]].concat())?;
    ensure!(ended.status != 0, "reencrypt was not refused: {ended:?}");
    let dump = guest.run_ok(&["cryptsetup", "luksDump", LUKS])?;
    ensure!(
        dump.contains("cipher: paes-xts-plain64") && !dump.contains("reencrypt"),
        "reencrypt ({ended:?}) left the header changed: {dump}"
    );
    open(guest)?;
    close(guest)
}

fn adopt_command() -> Vec<&'static str> {
    let argv = [
        "tresorctl",
        "luks",
        "adopt",
        LUKS,
        "--yes",
        "--backup=/tmp/backups/stock",
    ];
    [&argv[..], &KEY_FILE, &CHEAP].concat()
}

/// The same volume opened as `cipher`, with the content that was written at first.
fn expect_content(guest: &mut Guest, cipher: &str) -> Result<()> {
    open(guest)?;
    expect_cipher(guest, "vault2", cipher)?;
    guest.check("/dev/mapper/vault2", 7, CONTENT)?;
    close(guest)
}

fn expect_cipher(guest: &mut Guest, name: &str, cipher: &str) -> Result<()> {
    let table = guest.run_ok(&["dmsetup", "table", name])?;
    ensure!(
        table.contains(cipher),
        "device mapper shows another cipher than {cipher}: {table}"
    );
    Ok(())
}

fn expect_changed(guest: &mut Guest, command: &str, backup: &str) -> Result<()> {
    let said = change(guest, command, backup)?;
    ensure!(said.is_empty(), "tresorctl luks {command} failed: {said}");
    Ok(())
}

/// Runs `tresorctl luks COMMAND`; returns what it said if it failed.
fn change(guest: &mut Guest, command: &str, backup: &str) -> Result<String> {
    let backup = format!("--backup={BACKUPS}/{backup}");
    let argv = ["tresorctl", "luks", command, LUKS, "--yes", &backup];
    let ended = guest.run(&[&argv[..], &KEY_FILE, &PASS_PHRASE, &CHEAP].concat())?;
    Ok(match ended.status {
        0 => String::new(),
        _ => ended.stderr,
    })
}

fn format(guest: &mut Guest, cipher: &str) -> Result<()> {
    let format = ["cryptsetup", "luksFormat", "--type", "luks2", "-q"];
    let key = [
        "--cipher",
        cipher,
        "--key-size",
        "512",
        "--sector-size",
        "512",
    ];
    guest
        .run_ok(&[&format[..], &key, &KEY_FILE, &CHEAP, &[LUKS]].concat())
        .map(drop)
}

fn open(guest: &mut Guest) -> Result<()> {
    guest
        .run_ok(&[&["cryptsetup", "open"][..], &KEY_FILE, &[LUKS, "vault2"]].concat())
        .map(drop)
}

fn close(guest: &mut Guest) -> Result<()> {
    guest.run_ok(&["cryptsetup", "close", "vault2"]).map(drop)
}
