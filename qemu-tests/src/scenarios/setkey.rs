// SPDX-License-Identifier: GPL-2.0

//! Keys set at random, by tools that mean no harm, while a volume is in use: nothing may be lost.

use anyhow::{ensure, Result};
use guest_init::protocol::LoadReport;

use super::hotplug::expect_progress;
use super::lab::{Lab, VOLUME};
use crate::enrollment::random;
use crate::guest::Guest;
use crate::volume::disk;
use crate::volume::{Volume, TRESOR};

/// Bytes of each load thread's part.
const PART: u64 = 2 << 20;
/// The disk beside the volume and its stick.
const OTHER: &str = "/dev/vdc";

pub(super) fn dm_message_under_load(lab: &mut Lab<'_>) -> Result<()> {
    under_load(lab, |guest| {
        let sectors = (VOLUME / 512).to_string();
        let key = hex::encode(random::<64>()?);
        let table = format!("0 {sectors} crypt {TRESOR} {key} 0 {OTHER} 0");
        guest.run_ok(&["dmsetup", "create", "other", "--table", &table])?;
        guest.fill("/dev/mapper/other", 3, 1 << 20)?;
        for _ in 0..10 {
            let random_key = hex::encode(random::<64>()?);
            message(guest, &["suspend", "other"])?;
            message(guest, &["message", "other", "0", "key", "wipe"])?;
            message(guest, &["message", "other", "0", "key", "set", &random_key])?;
            message(guest, &["resume", "other"])?;
            ensure!(
                guest.difference("/dev/mapper/other", 3, 1 << 20)?.is_some(),
                "a random key decrypts what another one encrypted"
            );
        }
        message(guest, &["suspend", "other"])?;
        message(guest, &["message", "other", "0", "key", "set", &key])?;
        message(guest, &["resume", "other"])?;
        guest.check("/dev/mapper/other", 3, 1 << 20)?;
        message(guest, &["remove", "other"])
    })
}

fn message(guest: &mut Guest, args: &[&str]) -> Result<()> {
    guest.run_ok(&[&["dmsetup"], args].concat()).map(drop)
}

pub(super) fn luks_under_load(lab: &mut Lab<'_>) -> Result<()> {
    under_load(lab, |guest| {
        guest.write_file("/tmp/luks-pass", b"a LUKS pass phrase")?;
        let key_file = ["--batch-mode", "--key-file", "/tmp/luks-pass"];
        let format = [
            &[
                "cryptsetup",
                "luksFormat",
                "--type",
                "luks2",
                "--cipher",
                TRESOR,
                "--key-size",
                "512",
            ][..],
            &["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"],
            &key_file,
            &[OTHER],
        ]
        .concat();
        guest.run_ok(&format)?;
        let open = [&["cryptsetup", "open"][..], &key_file, &[OTHER, "other"]].concat();
        guest.run_ok(&open)?;
        guest.fill("/dev/mapper/other", 4, 1 << 20)?;
        guest.run_ok(&["cryptsetup", "close", "other"])?;
        guest.run_ok(&open)?;
        guest.check("/dev/mapper/other", 4, 1 << 20)?;
        guest.run_ok(&["cryptsetup", "close", "other"]).map(drop)
    })
}

/// Verified I/O on the volume before, during and after `meddle`; afterwards S is where it was.
fn under_load(lab: &mut Lab<'_>, meddle: impl FnOnce(&mut Guest) -> Result<()>) -> Result<()> {
    let mut config = lab.config();
    lab.add_disks(&mut config, 64)?;
    config
        .disks
        .push(disk::create(&lab.dir.join("other.img"), 2 * VOLUME)?);
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;
    for cpu in 0..lab.cpus {
        guest.start_load(
            &volume.mapper(),
            Some(cpu as usize),
            u64::from(cpu) * PART,
            PART,
        )?;
    }
    let before = expect_progress(&mut guest, &LoadReport::default(), PART / 2)?;
    meddle(&mut guest)?;
    let during = guest.load_status()?;
    ensure!(
        during.verified > before.verified,
        "the load stood still meanwhile: {before:?}, {during:?}"
    );
    expect_progress(&mut guest, &during, PART / 2)?;
    let report = guest.stop_load()?;
    ensure!(report.errors == 0, "verified I/O failed: {report:?}");
    lab.expect_secret_everywhere(&mut machine)?;
    volume.close(&mut guest)
}
