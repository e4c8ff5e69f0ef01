// SPDX-License-Identifier: GPL-2.0

//! The mounts and directories that cryptsetup, device mapper and the e2fsprogs expect.

use anyhow::{Context, Result};
use fs_err as fs;
use rustix::fs::symlink;
use rustix::io::Errno;
use rustix::mount::{mount, MountFlags};

/// File system type and mount point, in the order in which they are mounted.
const MOUNTS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
];

/// File systems that a test may want but a kernel may lack.
const OPTIONAL: &[(&str, &str)] = &[("debugfs", "/sys/kernel/debug")];

pub(crate) fn mounts() -> Result<()> {
    for (kind, target) in MOUNTS {
        fs::create_dir_all(target)?;
        match mount(*kind, *target, *kind, MountFlags::empty(), None) {
            // CONFIG_DEVTMPFS_MOUNT may have been there first.
            Ok(()) | Err(Errno::BUSY) => {}
            Err(error) => return Err(error).context(format!("mounting {kind} on {target}")),
        }
    }
    for (kind, target) in OPTIONAL {
        if fs::metadata(target).is_ok() {
            mount(*kind, *target, *kind, MountFlags::empty(), None)
                .with_context(|| format!("mounting {kind} on {target}"))?;
        }
    }
    // /etc/mtab: mkfs.ext4 looks there whether a device is in use.
    for dir in ["/etc", "/mnt", "/run/cryptsetup", "/run/lock"] {
        fs::create_dir_all(dir)?;
    }
    match symlink("/proc/mounts", "/etc/mtab") {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error).context("making /etc/mtab"),
    }
}
