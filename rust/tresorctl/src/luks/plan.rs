// SPDX-License-Identifier: GPL-2.0
//! Makes the new header in a copy, by stock cryptsetup, and tries it there. The disk is only read.
//!
//! New keyslots are added while the old ones are still there, so cryptsetup gives them other places: on
//! the disk both can be at the same time.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context};

use crate::luks::cryptsetup::{Cryptsetup, Kdf};
use crate::luks::disk::{Device, Disk};
use crate::luks::header::{self, Copy, Place};
use crate::luks::metadata::{overlap, Keyslot, Metadata};

/// Stripes of cryptsetup's anti-forensic splitter: a keyslot has so many times the bytes of its key.
const STRIPES: u64 = 4000;
/// To which the size of a keyslot is rounded up.
const ALIGNMENT: u64 = 4096;

/// What is to be written.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The new metadata.
    pub(crate) metadata: Metadata,
    /// The new keyslots: where, and their bytes.
    pub(crate) areas: Vec<(u64, Vec<u8>)>,
}

/// The header and keyslots of a disk in a file of their own.
#[derive(Debug)]
pub(crate) struct Scratch {
    file: tempfile::NamedTempFile,
}

impl Scratch {
    /// Copies them.
    pub(crate) fn of(disk: &impl Disk, metadata: &Metadata) -> anyhow::Result<Self> {
        let end = usize::try_from(metadata.keyslots_area()?.end)?;
        let mut file = tempfile::Builder::new()
            .prefix("tresorctl-header-")
            .tempfile_in(directory())
            .context("cannot make a temporary file; TMPDIR names another directory")?;
        file.write_all(&disk.read(0, end)?)
            .context("cannot write a copy of the header; TMPDIR names another directory")?;
        Ok(Self { file })
    }

    /// The file, for cryptsetup.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    fn header(&self) -> anyhow::Result<(Copy, Metadata)> {
        let found = header::find(&Device::open(self.path())?)?.newest;
        let metadata = Metadata::parse(found.json())?;
        Ok((found, metadata))
    }

    fn read(&self, keyslot: &Keyslot) -> anyhow::Result<Vec<u8>> {
        let len = usize::try_from(keyslot.area.end - keyslot.area.start)?;
        Device::open(self.path())?.read(keyslot.area.start, len)
    }

    fn write(&self, place: Place, copy: &Copy) -> anyhow::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path())?;
        std::os::unix::fs::FileExt::write_all_at(&file, copy.bytes(), copy.offset(place))
            .context("cannot write the copy of the header")
    }
}

/// Where the copy goes: to memory if there is a place, so that old keyslots do not get to another disk.
fn directory() -> PathBuf {
    match (std::env::var_os("TMPDIR"), Path::new("/dev/shm")) {
        (Some(directory), _) => directory.into(),
        (None, memory) if memory.is_dir() => memory.to_owned(),
        (None, _) => std::env::temp_dir(),
    }
}

/// Plans to make `key` the volume's key and `encryption` its cipher, for these pass phrases, the first
/// of which opens a keyslot now. All keyslots of the old key go.
pub(crate) fn make(
    cryptsetup: &Cryptsetup,
    scratch: &Scratch,
    key: &[u8],
    encryption: &str,
    pass_phrases: &[&[u8]],
    kdf: &Kdf,
) -> anyhow::Result<Plan> {
    let (_, before) = scratch.header()?;
    let (first, others) = pass_phrases.split_first().context("no pass phrase")?;
    expect_room(&before, key.len(), pass_phrases.len())?;

    let path = scratch.path();
    let keyslot = before.free_number()?;
    cryptsetup.add_unbound(path, keyslot, key, first, kdf)?;
    let (copy, metadata) = scratch.header()?;
    let text = metadata.with_key_of(keyslot, encryption)?.text()?;
    for place in [Place::First, Place::Second] {
        scratch.write(place, &copy.with(&text, copy.sequence() + 1, place)?)?;
    }
    for other in others {
        cryptsetup.add(path, first, other, kdf)?;
    }
    let old = before.keyslots()?;
    for keyslot in old.iter().filter(|keyslot| keyslot.of_data) {
        cryptsetup.remove(path, keyslot.number)?;
    }

    for pass_phrase in pass_phrases {
        match cryptsetup.open(path, pass_phrase)? {
            Some(found) if *found == key => (),
            _ => bail!("the new header, tried in a copy, does not open; nothing was written"),
        }
    }
    let (_, metadata) = scratch.header()?;
    ensure!(
        metadata.segment()?.encryption == encryption && metadata.is_volume_key(key)?,
        "the new header, tried in a copy, is not as it should be; nothing was written"
    );
    let mut areas = Vec::new();
    for keyslot in metadata.keyslots()? {
        if old.iter().any(|old| old.area == keyslot.area) {
            // One that is not of the data, as before.
            continue;
        }
        ensure!(
            !old.iter().any(|old| overlap(&old.area, &keyslot.area)),
            "a new keyslot would overwrite an old one; nothing was written"
        );
        areas.push((keyslot.area.start, scratch.read(&keyslot)?));
    }
    Ok(Plan { metadata, areas })
}

/// Refuses if old and new keyslots cannot be on the disk at the same time.
fn expect_room(before: &Metadata, key_bytes: usize, keyslots: usize) -> anyhow::Result<()> {
    let needed = (STRIPES * u64::try_from(key_bytes)?).next_multiple_of(ALIGNMENT);
    let room: u64 = before
        .free_areas()?
        .into_iter()
        .map(|area| (area.end - area.start) / needed)
        .sum();
    ensure!(
        usize::try_from(room)? >= keyslots,
        "the header has room for {room} more keyslots of {needed} bytes, and {keyslots} are needed: remove \
         keyslots that are not needed (`cryptsetup luksDump` lists them, `cryptsetup luksKillSlot` removes \
         one) and try again; nothing was written"
    );
    Ok(())
}
