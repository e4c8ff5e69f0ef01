// SPDX-License-Identifier: GPL-2.0

//! A Debian system on which our packages are installed, as `cargo xtask test` makes it for scenarios, and what both sides agree on.
//!
//! Its root file system is not encrypted yet: the volume key of an encrypted one exists only in a machine with the driver.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;

use crate::enrollment::Enrollment;

/// The pass phrase of its first slot.
pub const PASS_PHRASE: &str = "wrong horse, other battery";
/// The pass phrase of its second slot, which has Argon2id in front.
pub const STRETCHED_PASS_PHRASE: &str = "a staple of memory";
/// What root logs in with.
pub const ROOT_PASSWORD: &str = "not a disk's";
/// Name of the opened volume, by which fstab and the kernel command line know the root file system.
pub const VOLUME: &str = "root";
/// UUID of the LUKS header, by which crypttab knows the disk.
pub const UUID: &str = "6d0f1a5e-7a3b-4c1d-9a55-3c0b5e1f2d47";
/// What opens the keyslot of the LUKS header, in which there is nothing but a handle: public, and so in the initramfs.
pub const KEY_FILE: &str = "/etc/tresor/root.key";
/// The slots, which the hook copies into the initramfs.
pub const SLOT_FILE: &str = "/etc/tresor/slots";

/// Where dracut leaves its initramfs.
pub const DRACUT_IMAGE: &str = "/boot/dracut.img";

/// The system.
#[derive(Debug, Clone)]
pub struct Debian {
    /// Kernel of the installed package.
    pub kernel: PathBuf,
    /// The initramfs that the system has made for it.
    pub initramfs: PathBuf,
    /// Another one, made by dracut.
    pub dracut: PathBuf,
    /// Image of the root file system.
    pub root: PathBuf,
    /// Its directory, from which the image was made.
    tree: PathBuf,
}

impl Debian {
    /// The system in the directory `tree`, with the image made of it.
    pub fn new(tree: &Path, root: &Path) -> Result<Self> {
        Ok(Self {
            kernel: in_boot(tree, "vmlinuz-")?,
            initramfs: in_boot(tree, "initrd.img-")?,
            dracut: tree.join(DRACUT_IMAGE.trim_start_matches('/')),
            root: root.into(),
            tree: tree.into(),
        })
    }

    /// The secrets that follow from its first slot.
    pub fn enrollment(&self) -> Result<Enrollment> {
        let slots = self.file(SLOT_FILE)?;
        let slots = String::from_utf8(slots).context("a file of slots that is no text")?;
        let mut lines = slots.lines().filter(|line| !line.starts_with('#'));
        let first = lines.next().context("a file without a slot")?;
        Enrollment::of_slot(first, PASS_PHRASE.as_bytes())
    }

    /// A file of it.
    pub fn file(&self, path: &str) -> Result<Vec<u8>> {
        Ok(fs::read(self.tree.join(path.trim_start_matches('/')))?)
    }
}

fn in_boot(tree: &Path, begin: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(tree.join("boot"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(begin) {
            return Ok(entry.path());
        }
    }
    anyhow::bail!("the Debian system has no /boot/{begin}*")
}
