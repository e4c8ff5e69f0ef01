// SPDX-License-Identifier: GPL-2.0

//! The scan of all RAM while a volume is in use, with its control: stock AES with the very same key must be found.

use anyhow::{ensure, Result};

use super::lab::Lab;
use crate::guest::Guest;
use crate::secrets::Family;
use crate::volume::{disk, Files, Volume, STOCK, TRESOR};
use crate::watch::Sight;

/// Reads the whole volume again and again, past the page cache, until its file is removed.
const READER: &[u8] = b"while [ -e /tmp/reader ]; do
    echo 3 > /proc/sys/vm/drop_caches
    busybox dd if=/dev/mapper/vault of=/dev/null bs=1M
done
echo > /tmp/reader-ended";
/// Ends it and waits for its end.
const END_READER: &str = "busybox rm /tmp/reader
while ! [ -e /tmp/reader-ended ]; do busybox usleep 20000; done";
const FILES: Files = Files {
    count: 6,
    seed: 900,
};

pub(super) fn scan_with_control(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let volume = Volume::new(TRESOR, 64, 512);

    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    volume.open(&mut guest)?;
    volume.make_fs(&mut guest)?;
    volume.mount(&mut guest)?;
    FILES.write(&mut guest)?;
    FILES.expect(&mut guest)?;
    // Also in the middle of work, not only between two requests.
    guest.write_file("/tmp/reader", READER)?;
    guest.run_ok(&[
        "busybox",
        "sh",
        "-c",
        "busybox sh /tmp/reader >/dev/null 2>&1 </dev/null &",
    ])?;
    for _ in 0..3 {
        Sight::of(&mut machine, &secrets)?.expect_nothing_in_ram()?;
    }
    guest.run_ok(&["busybox", "sh", "-c", END_READER])?;
    finish(&volume, &mut guest)?;
    drop(machine);

    // The control: the same steps on the same disk, stock AES, the key on the stick.
    let key = lab.enrollment.volume_key(&handle)?;
    let mut config = lab.config_without_slot();
    config.disks = vec![
        lab.volume_image(),
        disk::create_stick(&lab.dir.join("key.img"), &key)?,
    ];
    let mut machine = lab.start(&config)?;
    let mut guest = machine.guest()?;
    let stock = Volume::new(STOCK, 64, 512);
    stock.open(&mut guest)?;
    stock.mount(&mut guest)?;
    FILES.expect(&mut guest)?;
    let sight = Sight::of(&mut machine, &secrets)?;
    for family in [Family::VolumeKey, Family::RoundKey] {
        ensure!(
            sight
                .hits
                .iter()
                .any(|hit| hit.family == family && hit.is_whole()),
            "the control failed: the scan of stock AES found no {family}"
        );
    }
    ensure!(
        sight.keys.ours >= 2,
        "the control failed: aeskeyfind found {:?} of stock AES",
        sight.keys
    );
    finish(&stock, &mut guest)
}

fn finish(volume: &Volume, guest: &mut Guest) -> Result<()> {
    volume.unmount(guest)?;
    volume.close(guest)
}

pub(super) fn scan_while_locked_does_not_count(lab: &mut Lab<'_>) -> Result<()> {
    let secrets = lab.enrollment.secrets(&[&[5; 64]])?;
    let config = lab.config_without_slot();
    let mut machine = lab.start(&config)?;
    let _guest = machine.guest()?;
    let sight = Sight::of(&mut machine, &secrets)?;
    ensure!(
        sight.hits.is_empty(),
        "secrets that this machine never had were found:{}",
        sight.first_hits()
    );
    let error = sight.expect_nothing_in_ram().err();
    ensure!(
        error.is_some_and(|error| error.to_string().contains("does not count")),
        "a scan without S in the registers was taken for a proof"
    );
    Ok(())
}
