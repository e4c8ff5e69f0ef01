// SPDX-License-Identifier: GPL-2.0

//! The recipes of Documentation/admin-guide/tresor-luks.rst, run as they stand there: a plain volume with a wrapped handle, a container
//! file, and a partition of a disk that is carried from one machine to another.

use ::amnesia::reference;
use ::amnesia::wrapped::Wrapped;
use anyhow::{ensure, Result};
use tresor::reference::Sha256;

use super::lab::{Lab, VOLUME};
use super::owner::start_off_with;
use crate::guest::Guest;
use crate::machine::Config;
use crate::volume::disk;
use crate::volume::{Files, Volume, AMNESIA, PAES, STOCK};

/// The stick, which has one partition; a disk for a plain volume; one whose file system has the container.
const PARTITION: &str = "/dev/vda1";
const PLAIN: &str = "/dev/vdb";
const HOST: &str = "/dev/vdc";

const HANDLE: &str = "/tmp/data.handle";
const CONTAINER: &str = "/tmp/host/box.img";
/// The pass phrase of LUKS and that of the slot, in files.
const KEY_FILE: [&str; 2] = ["--key-file", "/tmp/luks-pass"];
const PASS_PHRASE: [&str; 2] = ["--pass-phrase-file", "/tmp/tresor-pass"];
const CHEAP: [&str; 4] = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];

const ON_PLAIN: Files = Files { count: 7, seed: 61 };
const IN_CONTAINER: Files = Files { count: 6, seed: 62 };
const ON_STICK: Files = Files { count: 8, seed: 63 };

pub(super) fn recipes(lab: &mut Lab<'_>) -> Result<()> {
    let config = with_disks(lab, lab.config())?;
    let (machine, mut guest) = lab.start_unlocked(&config)?;
    pass_phrases(lab, &mut guest)?;
    let key = plain(lab, &mut guest)?;
    container(&mut guest)?;
    partition(lab, &mut guest)?;
    drop(machine);
    let image = lab.dir.join("plain.img");
    disk::expect_files(&image, &key, 4096, &ON_PLAIN, &lab.dir)?;

    let (_machine, mut guest) = start_off_with(lab, config)?;
    pass_phrases(lab, &mut guest)?;
    elsewhere(&mut guest)
}

fn with_disks(lab: &Lab<'_>, config: Config) -> Result<Config> {
    let path = |name: &str| lab.dir.join(name);
    Ok(Config {
        disks: vec![
            disk::create_partitioned(&path("stick.img"), VOLUME)?,
            disk::create(&path("plain.img"), VOLUME)?,
            disk::create(&path("host.img"), 2 * VOLUME)?,
        ],
        ..config
    })
}

fn pass_phrases(lab: &Lab<'_>, guest: &mut Guest) -> Result<()> {
    guest.write_file("/tmp/luks-pass", b"a LUKS pass phrase")?;
    guest.write_file("/tmp/tresor-pass", lab.enrollment.pass_phrase())
}

/// Plain dm-crypt with the handle of a fresh key. Returns the key, which only the oracle ever computes.
fn plain(lab: &Lab<'_>, guest: &mut Guest) -> Result<Vec<u8>> {
    let new = guest.run_ok(&["tresorctl", "handle", "new", HANDLE])?;
    ensure!(new.contains("Keep a copy"), "{new}");
    let again = guest.run(&["tresorctl", "handle", "new", HANDLE])?;
    ensure!(
        again.status == 1 && again.stderr.contains("File exists"),
        "a handle was written over another one: {again:?}"
    );
    let check = guest.run_ok(&["tresorctl", "handle", "check", HANDLE])?;
    ensure!(check.contains("the MAC is right"), "{check}");
    let mut volume = Volume::new(AMNESIA, 128, 4096);
    volume.device = PLAIN;
    volume.key_device = HANDLE;
    fill(guest, &volume, &ON_PLAIN)?;
    volume.open(guest)?;
    volume.mount(guest)?;
    ON_PLAIN.expect(guest)?;
    volume.unmount(guest)?;
    volume.close(guest)?;
    let handle = Wrapped::parse::<Sha256>(&guest.read_file(HANDLE)?)?;
    Ok(reference::unwrap(lab.enrollment.s(), &handle)?.to_vec())
}

/// A file as a disk: cryptsetup finds a loop device for it, and gives it back.
fn container(guest: &mut Guest) -> Result<()> {
    guest.run_ok(&["mkfs.ext4", "-q", HOST])?;
    guest.run_ok(&["busybox", "mkdir", "/tmp/host"])?;
    guest.run_ok(&["busybox", "mount", "-t", "ext4", HOST, "/tmp/host"])?;
    guest.run_ok(&["busybox", "truncate", "-s", "40M", CONTAINER])?;
    format(guest, CONTAINER)?;
    let volume = luks("box");
    open(guest, CONTAINER, volume.name)?;
    let in_use = guest.run(&["tresorctl", "luks", "format", CONTAINER, "--yes"])?;
    ensure!(
        in_use.status == 1 && in_use.stderr.contains("is in use by /dev/loop"),
        "a container in use was not refused: {in_use:?}"
    );
    volume.make_fs(guest)?;
    volume.mount(guest)?;
    IN_CONTAINER.write(guest)?;
    volume.unmount(guest)?;
    volume.close(guest)?;
    // The file is no longer a loop device's, so that its file system can be unmounted.
    guest.run_ok(&["busybox", "umount", "/tmp/host"])?;
    guest.run_ok(&["busybox", "mount", "-t", "ext4", HOST, "/tmp/host"])?;
    open(guest, CONTAINER, volume.name)?;
    volume.mount(guest)?;
    IN_CONTAINER.expect(guest)?;
    volume.unmount(guest)?;
    volume.close(guest)?;
    guest.run_ok(&["busybox", "umount", "/tmp/host"]).map(drop)
}

/// A stick that carries all it needs: LUKS2 on a partition, its header with the slot.
fn partition(lab: &Lab<'_>, guest: &mut Guest) -> Result<()> {
    format(guest, PARTITION)?;
    let slots = format!("{}\n", lab.enrollment.slot_text());
    guest.write_file("/tmp/slots", slots.as_bytes())?;
    let store = ["tresorctl", "slot", "store", PARTITION];
    guest.run_ok(&[&store[..], &["--slot-file", "/tmp/slots"]].concat())?;
    let volume = luks("stick");
    open(guest, PARTITION, volume.name)?;
    volume.make_fs(guest)?;
    volume.mount(guest)?;
    ON_STICK.write(guest)?;
    volume.unmount(guest)?;
    volume.close(guest)
}

/// The stick in a machine without the driver: no stock command opens it, and `recover` does, by what is in its header.
fn elsewhere(guest: &mut Guest) -> Result<()> {
    let line = guest.read_text("/proc/cmdline")?;
    let stock = guest.run(&stock_open(PARTITION, "stick"))?;
    ensure!(
        stock.status != 0,
        "a kernel without the driver opened the volume: {stock:?}"
    );
    let recover = ["tresorctl", "recover", PARTITION, "stick", "--yes"];
    let recovered = guest.run(&[&recover[..], &KEY_FILE, &PASS_PHRASE].concat())?;
    ensure!(
        recovered.status == 0
            && recovered
                .stderr
                .contains("slots that the volume's header has"),
        "recover: {recovered:?} on a machine started with {line}"
    );
    let table = guest.run_ok(&["dmsetup", "table", "stick"])?;
    ensure!(table.contains(STOCK), "not a stock cipher: {table}");
    let volume = luks("stick");
    volume.mount(guest)?;
    ON_STICK.expect(guest)?;
    volume.unmount(guest)?;
    volume.close(guest)
}

fn luks(name: &'static str) -> Volume {
    Volume {
        name,
        ..Volume::new(PAES, 128, 512)
    }
}

fn fill(guest: &mut Guest, volume: &Volume, files: &Files) -> Result<()> {
    volume.open(guest)?;
    volume.make_fs(guest)?;
    volume.mount(guest)?;
    files.write(guest)?;
    volume.unmount(guest)?;
    volume.close(guest)
}

fn format(guest: &mut Guest, device: &str) -> Result<()> {
    let format = ["tresorctl", "luks", "format", device, "--yes"];
    guest
        .run_ok(&[&format[..], &KEY_FILE, &CHEAP].concat())
        .map(drop)
}

fn open(guest: &mut Guest, device: &str, name: &str) -> Result<()> {
    guest.run_ok(&stock_open(device, name)).map(drop)
}

fn stock_open<'a>(device: &'a str, name: &'a str) -> Vec<&'a str> {
    [&["cryptsetup", "open"][..], &KEY_FILE, &[device, name]].concat()
}
