// SPDX-License-Identifier: GPL-2.0
//! The copy of the header that is made before it is changed: the same file as `cryptsetup
//! luksHeaderBackup` makes, and on the disk before anything else happens.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{bail, ensure, Context};

use crate::luks::disk::Disk;
use crate::luks::metadata::Metadata;

/// File systems in memory, by the magic numbers of statfs(2): tmpfs, ramfs.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Copies header and keyslots to a new file that only its owner can read.
pub(crate) fn make(disk: &impl Disk, metadata: &Metadata, path: &Path) -> anyhow::Result<()> {
    let name = path.display();
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let file_system = rustix::fs::statfs(directory)
        .with_context(|| format!("cannot look at {}", directory.display()))?;
    ensure!(
        !IN_MEMORY.contains(&file_system.f_type),
        "{name} would be in memory and be lost with the power: name a file on another disk or stick"
    );
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o400);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{name} exists already. If it is the copy from an interrupted run, keep it, and name another file"
        ),
        other => other.with_context(|| format!("cannot make {name}"))?,
    };
    let bytes = disk.read(0, usize::try_from(metadata.keyslots_area()?.end)?)?;
    let result = file
        .write_all(&bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(directory)?.sync_all());
    if let Err(error) = result {
        // Half a copy must not be taken for one. If it cannot be removed, the error still tells.
        let _ = std::fs::remove_file(path);
        return Err(error).with_context(|| format!("cannot write {name}; nothing was changed"));
    }
    let written = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    ensure!(written == bytes, "{name} is not what was written to it");
    Ok(())
}
