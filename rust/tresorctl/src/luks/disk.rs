// SPDX-License-Identifier: GPL-2.0
//! The disk that has the header: reading, writing, and what must have reached it before the next
//! write.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{bail, Context};
use rustix::fs::{flock, FlockOperation, OFlags};
use rustix::io::Errno;

/// Where cryptsetup keeps its lock files.
const LOCKS: &str = "/run/cryptsetup";

/// Reads and ordered writes. What was written before [`sync`](Disk::sync) is on the disk after it;
/// between two of them, power loss may leave any part of what was written, in units of 512 bytes.
pub(crate) trait Disk {
    /// Reads exactly `len` bytes.
    fn read(&self, offset: u64, len: usize) -> anyhow::Result<Vec<u8>>;
    /// Writes all of `bytes`.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()>;
    /// Returns when everything that was written cannot be lost any more.
    fn sync(&mut self) -> anyhow::Result<()>;
}

/// A block device or an image file that nobody else uses.
#[derive(Debug)]
pub(crate) struct Device {
    file: File,
    /// Held for as long as the device: other programs' cryptsetup waits.
    lock: Option<File>,
}

impl Device {
    /// Opens it for reading and writing.
    ///
    /// # Errors
    ///
    /// If it is in use: open as a volume, mounted, or behind a loop device.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let kind = std::fs::metadata(path)
            .with_context(|| format!("cannot read {name}"))?
            .file_type();
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        if kind.is_block_device() {
            // For a block device this means: not if the kernel uses it.
            options.custom_flags(i32::try_from(OFlags::EXCL.bits())?);
        } else if !kind.is_file() {
            bail!("{name} is neither a block device nor an image file");
        }
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => bail!(
                "{name} is in use: unmount what is on it and close the volume first (`lsblk {name}` shows both)"
            ),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                bail!("no permission to write to {name}; use sudo")
            }
            Err(error) => return Err(error).with_context(|| format!("cannot open {name}")),
        };
        if kind.is_file() {
            if let Some(device) = loop_device_of(path)? {
                bail!("{name} is in use by {device}: close the volume, `losetup -d {device}`, and try again");
            }
        }
        Ok(Self { file, lock: None })
    }

    /// Keeps cryptsetup from reading or writing the header meanwhile, by its own lock.
    pub(crate) fn lock(&mut self) -> anyhow::Result<()> {
        let of_file = self.file.metadata().context("cannot look at the device")?;
        let lock = if of_file.file_type().is_block_device() {
            let number = of_file.rdev();
            let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
            let mut directory = std::fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(&mut directory, 0o700);
            match directory.create(LOCKS) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("cannot make {LOCKS}"));
                }
                _ => (),
            }
            let path = format!("{LOCKS}/L_{major}:{minor}");
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .with_context(|| format!("cannot open {path}"))?
        } else {
            self.file.try_clone().context("cannot lock the file")?
        };
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => self.lock = Some(lock),
            Err(Errno::WOULDBLOCK) => bail!("cryptsetup is at work on this device; try again"),
            Err(error) => return Err(io::Error::from(error)).context("cannot lock the device"),
        }
        Ok(())
    }
}

impl Disk for Device {
    fn read(&self, offset: u64, len: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file
            .read_exact_at(&mut bytes, offset)
            .with_context(|| format!("cannot read {len} bytes at byte {offset}"))?;
        Ok(bytes)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .with_context(|| format!("cannot write {} bytes at byte {offset}", bytes.len()))
    }

    fn sync(&mut self) -> anyhow::Result<()> {
        self.file
            .sync_all()
            .context("the disk did not confirm what was written")
    }
}

/// The loop device that shows this file, if there is one.
fn loop_device_of(path: &Path) -> anyhow::Result<Option<String>> {
    let path = std::fs::canonicalize(path)?;
    let Ok(devices) = std::fs::read_dir("/sys/block") else {
        return Ok(None);
    };
    for device in devices.flatten() {
        if let Ok(file) = std::fs::read_to_string(device.path().join("loop/backing_file")) {
            if Path::new(file.trim_end_matches('\n')) == path {
                let name = device.file_name();
                return Ok(Some(format!("/dev/{}", name.to_string_lossy())));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
pub(crate) mod testing {
    //! A disk in memory that remembers what was written to it.

    use super::*;

    /// One thing that was done to the disk.
    #[derive(Clone, Debug)]
    pub(crate) enum Event {
        /// These bytes were written there.
        Write(u64, Vec<u8>),
        /// All before is on the disk.
        Sync,
    }

    /// A disk in memory.
    pub(crate) struct Memory {
        pub(crate) bytes: Vec<u8>,
        pub(crate) events: Vec<Event>,
    }

    impl Memory {
        pub(crate) fn new(bytes: Vec<u8>) -> Self {
            Self {
                bytes,
                events: Vec::new(),
            }
        }
    }

    impl Disk for Memory {
        fn read(&self, offset: u64, len: usize) -> anyhow::Result<Vec<u8>> {
            let start = usize::try_from(offset)?;
            let bytes = self.bytes.get(start..start + len);
            bytes.map(<[u8]>::to_vec).context("beyond the end")
        }

        fn write(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
            let start = usize::try_from(offset)?;
            let place = self.bytes.get_mut(start..start + bytes.len());
            place.context("beyond the end")?.copy_from_slice(bytes);
            self.events.push(Event::Write(offset, bytes.to_vec()));
            Ok(())
        }

        fn sync(&mut self) -> anyhow::Result<()> {
            self.events.push(Event::Sync);
            Ok(())
        }
    }
}
