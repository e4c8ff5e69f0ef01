// SPDX-License-Identifier: GPL-2.0

//! The steps on an encrypted volume, all by stock tools in the guest: plain dm-crypt by cryptsetup, ext4, files of known content.

pub mod disk;

use std::ops::Range;

use anyhow::{ensure, Result};

use crate::guest::Guest;
use crate::report::Checked;

/// Cipher name by which dm-crypt takes our driver.
pub const TRESOR: &str = "tresor-xts-plain64";
/// Our CBC, its IV an encrypted sector number.
pub const TRESOR_ESSIV: &str = "tresor-cbc-essiv:sha256";
/// Our CBC, its IV the sector number as it is.
pub const TRESOR_CBC: &str = "tresor-cbc-plain64";
/// XTS whose key is a wrapped handle.
pub const AMNESIA: &str = "amnesia-xts-plain64";
/// The same by the name that stock cryptsetup knows as that of a wrapped key.
pub const PAES: &str = "paes-xts-plain64";
/// The kernel's own AES, whose keys are in RAM: the control.
pub const STOCK: &str = "aes-xts-plain64";

/// Mount point in the guest.
pub const MOUNT_POINT: &str = "/mnt";

/// An encrypted volume as cryptsetup is to open it.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Cipher, chaining mode and IV, as in `cryptsetup --cipher`.
    pub cipher: &'static str,
    /// Bytes of the key: 32 or 64 for XTS, 16, 24 or 32 for CBC.
    pub key_bytes: usize,
    /// Bytes per data unit: 512 or 4096.
    pub sector_size: u32,
    /// Disk that holds the ciphertext.
    pub device: &'static str,
    /// Disk that begins with the key, as a USB stick would: a public handle for [`TRESOR`], `K1 || K2` for [`STOCK`].
    pub key_device: &'static str,
    /// Name below /dev/mapper.
    pub name: &'static str,
    /// More options of `cryptsetup open`.
    pub options: Vec<&'static str>,
    /// The bytes of the disk that it takes (multiples of 512), if not all. Sectors are numbered from its own start.
    pub part: Option<Range<u64>>,
}

impl Volume {
    /// The volume on the first disk with the key on the second one.
    pub fn new(cipher: &'static str, key_bytes: usize, sector_size: u32) -> Self {
        Self {
            cipher,
            key_bytes,
            sector_size,
            device: "/dev/vda",
            key_device: "/dev/vdb",
            name: "vault",
            options: Vec::new(),
            part: None,
        }
    }

    /// The opened block device.
    pub fn mapper(&self) -> String {
        format!("/dev/mapper/{}", self.name)
    }

    /// The command line that opens it.
    pub fn open_command(&self) -> Vec<String> {
        let mut argv: Vec<String> = ["cryptsetup", "open", "--type", "plain", "--batch-mode"]
            .map(str::to_owned)
            .into();
        argv.extend(["--cipher".into(), self.cipher.into()]);
        argv.extend(["--key-size".into(), (8 * self.key_bytes).to_string()]);
        argv.extend(["--sector-size".into(), self.sector_size.to_string()]);
        argv.extend(["--key-file".into(), self.key_device.into()]);
        argv.extend(["--keyfile-size".into(), self.key_bytes.to_string()]);
        argv.extend(self.options.iter().map(|&option| option.to_owned()));
        if let Some(part) = &self.part {
            argv.push(format!("--offset={}", part.start / 512));
            argv.push(format!("--size={}", (part.end - part.start) / 512));
        }
        argv.extend([self.device.into(), self.name.into()]);
        argv
    }

    /// Opens it with stock cryptsetup.
    pub fn open(&self, guest: &mut Guest) -> Result<()> {
        let argv = self.open_command();
        let argv: Vec<_> = argv.iter().map(String::as_str).collect();
        guest.run_ok(&argv).map(drop)
    }

    /// Closes it.
    pub fn close(&self, guest: &mut Guest) -> Result<()> {
        guest.run_ok(&["cryptsetup", "close", self.name]).map(drop)
    }

    /// Makes an ext4 file system on it.
    pub fn make_fs(&self, guest: &mut Guest) -> Result<()> {
        guest
            .run_ok(&["mkfs.ext4", "-q", "-F", &self.mapper()])
            .map(drop)
    }

    /// Mounts it.
    pub fn mount(&self, guest: &mut Guest) -> Result<()> {
        guest
            .run_ok(&[
                "busybox",
                "mount",
                "-t",
                "ext4",
                &self.mapper(),
                MOUNT_POINT,
            ])
            .map(drop)
    }

    /// Unmounts it.
    pub fn unmount(&self, guest: &mut Guest) -> Result<()> {
        guest.run_ok(&["busybox", "umount", MOUNT_POINT]).map(drop)
    }
}

/// Files of known pseudo-random content.
#[derive(Debug, Clone, Copy)]
pub struct Files {
    /// Number of files.
    pub count: u32,
    /// The first stream of [`guest_init::pattern`]; each file has its own.
    pub seed: u64,
}

impl Files {
    /// Name, stream and length of each: from one byte to some hundred kilobytes, none a multiple of a sector.
    pub fn list(&self) -> impl Iterator<Item = (String, u64, u64)> + '_ {
        (0..self.count).map(|index| {
            let len = 1 + u64::from(index) * 17_011;
            (
                format!("file-{index:02}"),
                self.seed + u64::from(index),
                len,
            )
        })
    }

    /// Writes them all to the mounted volume, each synced.
    pub fn write(&self, guest: &mut Guest) -> Result<()> {
        for (name, seed, len) in self.list() {
            guest.fill(&format!("{MOUNT_POINT}/{name}"), seed, len)?;
        }
        guest.run_ok(&["busybox", "sync"]).map(drop)
    }

    /// Reads them from the mounted volume and compares every byte: how many are equal.
    pub fn check(&self, guest: &mut Guest) -> Result<Checked> {
        let mut right = 0;
        for (name, seed, len) in self.list() {
            let path = format!("{MOUNT_POINT}/{name}");
            right += u64::from(guest.difference(&path, seed, len)?.is_none());
        }
        Ok(Checked {
            right,
            all: u64::from(self.count),
        })
    }

    /// Like [`Self::check`]; fails unless all are equal.
    pub fn expect(&self, guest: &mut Guest) -> Result<()> {
        let checked = self.check(guest)?;
        ensure!(
            checked.is_complete(),
            "files read back from the volume differ from what was written: {checked:?}"
        );
        Ok(())
    }
}
