// SPDX-License-Identifier: GPL-2.0

//! A volume through its life: raw ciphertext against the oracle, a file system, a reboot, the pass phrase again, the files again.

use anyhow::{ensure, Result};

use super::lab::{Lab, VOLUME};
use crate::volume::{disk, Files, Volume, TRESOR};

/// Stream of the raw content.
const RAW: u64 = 77;

pub(super) fn aes128_512(lab: &mut Lab<'_>) -> Result<()> {
    round_trip(lab, 32, 512)
}

pub(super) fn aes128_4096(lab: &mut Lab<'_>) -> Result<()> {
    round_trip(lab, 32, 4096)
}

pub(super) fn aes256_512(lab: &mut Lab<'_>) -> Result<()> {
    round_trip(lab, 64, 512)
}

pub(super) fn aes256_4096(lab: &mut Lab<'_>) -> Result<()> {
    round_trip(lab, 64, 4096)
}

fn round_trip(lab: &mut Lab<'_>, key_bytes: usize, sector_size: u32) -> Result<()> {
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, key_bytes)?;
    let image = lab.volume_image();
    let key = lab.enrollment.volume_key(&handle)?;
    let volume = Volume::new(TRESOR, key_bytes, sector_size);
    let files = Files {
        count: 10,
        seed: 500,
    };

    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    volume.open(&mut guest)?;
    guest.fill(&volume.mapper(), RAW, VOLUME)?;
    guest.check(&volume.mapper(), RAW, VOLUME)?;
    volume.close(&mut guest)?;
    let units = disk::expect_ciphertext(&image, &key, sector_size, RAW)?;
    ensure!(
        units == VOLUME / u64::from(sector_size),
        "only {units} data units were compared"
    );

    volume.open(&mut guest)?;
    volume.make_fs(&mut guest)?;
    volume.mount(&mut guest)?;
    files.write(&mut guest)?;
    volume.unmount(&mut guest)?;
    volume.close(&mut guest)?;

    // A reset clears the registers: the pass phrase is asked for again and leads to the same key.
    machine.reboot(guest)?;
    let mut guest = lab.unlock(&mut machine)?;
    volume.open(&mut guest)?;
    volume.mount(&mut guest)?;
    files.expect(&mut guest)?;
    volume.unmount(&mut guest)?;
    volume.close(&mut guest)?;
    disk::expect_files(&image, &key, sector_size, &files, &lab.dir)
}
