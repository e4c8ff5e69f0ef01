// SPDX-License-Identifier: GPL-2.0

//! A volume with work on it: files from before, verified I/O, pages that are not yet on the disk; and the proof that nothing was lost.

use anyhow::{ensure, Context, Result};
use guest_init::protocol::LoadReport;

use super::super::hotplug::expect_progress;
use super::super::lab::Lab;
use super::machine::expect_quiet;
use crate::guest::Guest;
use crate::volume::{disk, Files, Volume, MOUNT_POINT, TRESOR};

const SECTOR_SIZE: u32 = 512;
/// Files that are on the disk before anything happens.
const FILES: Files = Files {
    count: 6,
    seed: 1700,
};
/// Bytes of each file under verified I/O.
pub(in super::super) const LOAD: u64 = 1 << 20;
/// Bytes of what is not yet on the disk.
const DIRTY: u64 = 3 << 20;
/// A mounted volume under load.
pub(in super::super) struct Work {
    volume: Volume,
    handle: Vec<u8>,
}

impl Work {
    /// Makes a file system on the lab's volume, which `handle` opens, writes files and starts verified I/O on two of them.
    pub(in super::super) fn start(
        guest: &mut Guest,
        handle: Vec<u8>,
    ) -> Result<(Self, LoadReport)> {
        let volume = Volume::new(TRESOR, handle.len(), SECTOR_SIZE);
        volume.open(guest)?;
        Self::start_on(guest, volume, handle, 2)
    }

    /// As [`Self::start`] on a volume that is open, with sectors of 512 bytes and as many files under verified I/O as said.
    pub(in super::super) fn start_on(
        guest: &mut Guest,
        volume: Volume,
        handle: Vec<u8>,
        files: u32,
    ) -> Result<(Self, LoadReport)> {
        volume.make_fs(guest)?;
        volume.mount(guest)?;
        FILES.write(guest)?;
        // Or all dirty pages would be written before anything sleeps.
        guest.write_file("/sys/power/sync_on_suspend", b"0")?;
        for number in 0..files {
            let path = format!("{MOUNT_POINT}/load-{number}");
            guest.fill(&path, 0, LOAD)?;
            guest.start_load(&path, None, 0, LOAD)?;
        }
        let progress = expect_progress(guest, &LoadReport::default(), LOAD)?;
        Ok((Self { volume, handle }, progress))
    }

    /// Writes a file and leaves at least a part of it in RAM only.
    pub(in super::super) fn leave_dirty(guest: &mut Guest, seed: u64) -> Result<Dirty> {
        guest.fill("/tmp/source", seed, DIRTY)?;
        let path = format!("{MOUNT_POINT}/dirty");
        guest.run_ok(&["busybox", "cp", "/tmp/source", &path])?;
        let meminfo = guest.read_text("/proc/meminfo")?;
        let dirty = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("Dirty:")?.trim().strip_suffix(" kB"))
            .context("/proc/meminfo without Dirty")?;
        ensure!(dirty.trim() != "0", "no page is dirty when it should be");
        Ok(Dirty { path, seed })
    }

    /// Ends it: everything that was written is there, in the guest and in the image, and nobody complained.
    pub(in super::super) fn end(self, lab: &Lab<'_>, guest: &mut Guest) -> Result<LoadReport> {
        let report = guest.stop_load()?;
        ensure!(report.errors == 0, "verified I/O failed: {report:?}");
        FILES.expect(guest)?;
        expect_quiet(guest)?;
        self.volume.unmount(guest)?;
        guest.run_ok(&["e2fsck", "-f", "-n", &self.volume.mapper()])?;
        self.volume.close(guest)?;
        let key = lab.enrollment.volume_key(&self.handle)?;
        disk::expect_files(&lab.volume_image(), &key, SECTOR_SIZE, &FILES, &lab.dir)?;
        Ok(report)
    }
}

/// A file of known content of which at least a part is not on the disk yet.
pub(in super::super) struct Dirty {
    path: String,
    seed: u64,
}

impl Dirty {
    /// Writes what is missing, compares all of it as the disk has it, and removes it.
    pub(in super::super) fn expect(&self, guest: &mut Guest) -> Result<()> {
        guest.run_ok(&["busybox", "sync"])?;
        guest.check(&self.path, self.seed, DIRTY)?;
        guest.run_ok(&["busybox", "rm", &self.path]).map(drop)
    }
}
