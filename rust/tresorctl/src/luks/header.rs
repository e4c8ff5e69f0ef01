// SPDX-License-Identifier: GPL-2.0
//! The two copies of a LUKS2 header on a disk: found, checked, and made anew.
//!
//! Source: "LUKS2 On-Disk Format Specification" 1.1.2, section 2. A copy is a binary header of 4096
//! bytes and the JSON area, together `hdr_size` bytes. The first is at byte 0, the second behind it.
//! Each has a sequence number and a checksum over all of it; of the good copies the one with the
//! greater number counts.

use anyhow::{bail, ensure, Context};
use rustix::rand::{getrandom, GetRandomFlags};
use sha2::{Digest, Sha256};

use crate::luks::disk::Disk;

/// Bytes of the binary header; the JSON area follows.
pub(crate) const BINARY: usize = 4096;
/// The sizes that a copy can have, and so the places of the second one.
const SIZES: [u64; 9] = [
    0x4000, 0x8000, 0x10000, 0x20000, 0x40000, 0x80000, 0x10_0000, 0x20_0000, 0x40_0000,
];

const MAGIC: [&[u8; 6]; 2] = [b"LUKS\xba\xbe", b"SKUL\xba\xbe"];
const VERSION: u16 = 2;
const SIZE_AT: usize = 8;
const SEQUENCE_AT: usize = 16;
const HASH_AT: usize = 72;
const HASH: &[u8; 32] = b"sha256\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const SALT_AT: usize = 104;
const SALT: usize = 64;
const OFFSET_AT: usize = 256;
const CHECKSUM_AT: usize = 448;
const CHECKSUM: usize = 64;

/// Which of the two copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At byte 0.
    First,
    /// At byte `hdr_size`.
    Second,
}

impl Place {
    /// That of the other copy.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// A good copy of the header, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    bytes: Vec<u8>,
}

/// What is on the disk.
#[derive(Debug)]
pub(crate) struct Found {
    /// The copy that counts.
    pub(crate) newest: Copy,
    /// Where it is.
    pub(crate) place: Place,
    /// Whether both copies are good and equally new. If not, a write was interrupted, or the disk has
    /// a fault.
    pub(crate) both: bool,
}

impl Copy {
    /// Checks the bytes of a copy.
    fn parse(bytes: Vec<u8>, place: Place) -> anyhow::Result<Self> {
        let copy = Self { bytes };
        ensure!(
            copy.bytes.starts_with(MAGIC[place as usize]),
            "no LUKS header"
        );
        let version: [u8; 2] = copy.array(6)?;
        ensure!(
            u16::from_be_bytes(version) == VERSION,
            "it is LUKS{}; `cryptsetup convert --type luks2` makes it LUKS2",
            u16::from_be_bytes(version)
        );
        ensure!(
            copy.bytes.len() as u64 == copy.size(),
            "the header's size is wrong"
        );
        ensure!(
            copy.array(HASH_AT)
                .is_ok_and(|hash: [u8; 32]| hash == *HASH),
            "the header's checksum is not SHA-256"
        );
        let place_of_copy: [u8; 8] = copy.array(OFFSET_AT)?;
        ensure!(
            u64::from_be_bytes(place_of_copy) == copy.offset(place),
            "the header is at another place than it says"
        );
        let checksum: [u8; 32] = copy.array(CHECKSUM_AT)?;
        ensure!(
            checksum == copy.checksum(),
            "the header's checksum is wrong"
        );
        Ok(copy)
    }

    /// Bytes of a copy, `hdr_size`.
    pub(crate) fn size(&self) -> u64 {
        self.number(SIZE_AT)
    }

    /// The sequence number.
    pub(crate) fn sequence(&self) -> u64 {
        self.number(SEQUENCE_AT)
    }

    /// Where a copy of this size is on the disk.
    pub(crate) fn offset(&self, place: Place) -> u64 {
        match place {
            Place::First => 0,
            Place::Second => self.size(),
        }
    }

    /// All bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The JSON text, without the zeros behind it.
    pub(crate) fn json(&self) -> &[u8] {
        let area = self.bytes.get(BINARY..).unwrap_or_default();
        area.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// A copy for `place` with this JSON and sequence number, all else as here but the salt, which is
    /// to be another in every header.
    pub(crate) fn with(&self, json: &[u8], sequence: u64, place: Place) -> anyhow::Result<Self> {
        let mut bytes = self.bytes.clone();
        let (binary, area) = bytes.split_at_mut(BINARY);
        // A zero byte ends the text.
        ensure!(
            json.len() < area.len(),
            "the new header's text has {} bytes and its area only {}: remove a keyslot or token that is not \
             needed (`cryptsetup luksKillSlot`, `cryptsetup token remove`), and try again",
            json.len(),
            area.len()
        );
        area.fill(0);
        area[..json.len()].copy_from_slice(json);
        let mut salt = [0; SALT];
        getrandom(&mut salt, GetRandomFlags::empty()).context("cannot get random bytes")?;
        let offset = self.offset(place);
        for (at, field) in [
            (0, &MAGIC[place as usize][..]),
            (SEQUENCE_AT, &sequence.to_be_bytes()),
            (SALT_AT, &salt),
            (OFFSET_AT, &offset.to_be_bytes()),
        ] {
            binary[at..at + field.len()].copy_from_slice(field);
        }
        let mut copy = Self { bytes };
        let checksum = copy.checksum();
        let field = &mut copy.bytes[CHECKSUM_AT..CHECKSUM_AT + CHECKSUM];
        field.fill(0);
        field[..checksum.len()].copy_from_slice(&checksum);
        Ok(copy)
    }

    /// SHA-256 of all bytes, those of the checksum taken as zeros.
    fn checksum(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.bytes[..CHECKSUM_AT]);
        hash.update([0; CHECKSUM]);
        hash.update(&self.bytes[CHECKSUM_AT + CHECKSUM..]);
        hash.finalize().into()
    }

    fn number(&self, at: usize) -> u64 {
        self.array(at).map_or(0, u64::from_be_bytes)
    }

    fn array<const N: usize>(&self, at: usize) -> anyhow::Result<[u8; N]> {
        let field = self.bytes.get(at..at + N);
        field
            .and_then(|field| field.try_into().ok())
            .context("the header is cut short")
    }
}

/// Reads both copies.
///
/// # Errors
///
/// If neither is good; the message is about the first.
pub(crate) fn find(disk: &impl Disk) -> anyhow::Result<Found> {
    let first = read(disk, Place::First, 0);
    let second = match &first {
        Ok(first) => read(disk, Place::Second, first.offset(Place::Second)),
        // The first does not tell where.
        Err(_) => SIZES
            .iter()
            .map(|&offset| read(disk, Place::Second, offset))
            .find(Result::is_ok)
            .context("no second copy")
            .and_then(|found| found),
    };
    let (newest, place, both) = match (first, second) {
        (Ok(first), Ok(second)) => {
            let both = first.sequence() == second.sequence() && first.json() == second.json();
            if second.sequence() > first.sequence() {
                (second, Place::Second, both)
            } else {
                (first, Place::First, both)
            }
        }
        (Ok(first), Err(_)) => (first, Place::First, false),
        (Err(_), Ok(second)) => (second, Place::Second, false),
        (Err(error), Err(_)) => bail!(error),
    };
    Ok(Found {
        newest,
        place,
        both,
    })
}

fn read(disk: &impl Disk, place: Place, offset: u64) -> anyhow::Result<Copy> {
    let binary = disk.read(offset, BINARY).context("no LUKS header")?;
    ensure!(binary.starts_with(MAGIC[place as usize]), "no LUKS header");
    let copy = Copy { bytes: binary };
    let version: [u8; 2] = copy.array(6)?;
    // LUKS1 has other fields.
    let size = if u16::from_be_bytes(version) == VERSION {
        copy.size()
    } else {
        BINARY as u64
    };
    ensure!(
        SIZES.contains(&size) || size == BINARY as u64,
        "the header's size is wrong"
    );
    Copy::parse(disk.read(offset, usize::try_from(size)?)?, place)
}

#[cfg(test)]
pub(in crate::luks) mod tests {
    use super::*;
    use crate::luks::disk::testing::Memory;

    /// A disk with an empty header of 16 KiB, sequence number 7.
    pub(in crate::luks) fn disk() -> (Memory, Copy) {
        let mut bytes = vec![0; SIZES[0] as usize];
        bytes[6..8].copy_from_slice(&VERSION.to_be_bytes());
        bytes[SIZE_AT..SIZE_AT + 8].copy_from_slice(&SIZES[0].to_be_bytes());
        bytes[HASH_AT..HASH_AT + 32].copy_from_slice(HASH);
        let empty = Copy { bytes };
        let first = empty.with(b"{}", 7, Place::First).unwrap();
        let second = empty.with(b"{}", 7, Place::Second).unwrap();
        let disk = Memory::new([first.bytes(), second.bytes()].concat());
        (disk, first)
    }

    #[test]
    fn both_copies_are_found() {
        let (disk, first) = disk();
        let found = find(&disk).unwrap();
        assert!(found.both);
        assert_eq!(found.newest, first);
        assert_eq!((first.sequence(), first.json()), (7, &b"{}"[..]));
    }

    #[test]
    fn the_newer_good_copy_counts() {
        let (mut disk, first) = disk();
        let newer = first.with(b"{\"a\":1}", 8, Place::Second).unwrap();
        disk.write(SIZES[0], newer.bytes()).unwrap();
        let found = find(&disk).unwrap();
        assert_eq!((found.newest.json(), found.both), (newer.json(), false));
        // Torn: the older one counts.
        disk.write(SIZES[0] + 512, &[1; 512]).unwrap();
        let found = find(&disk).unwrap();
        assert_eq!((found.newest, found.both), (first, false));
    }

    #[test]
    fn without_the_first_the_second_is_searched() {
        let (mut disk, _) = disk();
        disk.write(0, &[0; 4096]).unwrap();
        let found = find(&disk).unwrap();
        assert_eq!((found.newest.sequence(), found.both), (7, false));
        disk.write(SIZES[0], &[0; 4096]).unwrap();
        assert!(find(&disk).unwrap_err().to_string().contains("no LUKS"));
    }

    #[test]
    fn every_byte_counts() {
        let (disk, _) = disk();
        let both = 2 * SIZES[0] as usize;
        // SHA-256 needs half of the checksum's field.
        let unused = CHECKSUM_AT + 32..CHECKSUM_AT + CHECKSUM;
        let in_use = |at: &usize| !unused.contains(&(at % (both / 2)));
        for at in (0..both).step_by(97).chain([both - 1]).filter(in_use) {
            let mut damaged = Memory::new(disk.bytes.clone());
            damaged.bytes[at] ^= 1;
            let found = find(&damaged).unwrap();
            assert!(!found.both, "byte {at}");
        }
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm() {
        let (disk, _) = disk();
        for len in [0, 1, 4095, 4096, 5000, 16384, 20000] {
            let cut = Memory::new(disk.bytes[..len].to_vec());
            assert_eq!(find(&cut).is_ok(), len >= 16384, "{len} bytes");
        }
    }

    #[test]
    fn luks1_is_named() {
        let (mut disk, _) = disk();
        disk.write(6, &1u16.to_be_bytes()).unwrap();
        disk.write(SIZES[0], &[0; 6]).unwrap();
        let error = find(&disk).unwrap_err().to_string();
        assert!(error.contains("cryptsetup convert"), "{error}");
    }

    #[test]
    fn too_long_a_text_is_refused() {
        let (_, first) = disk();
        let area = SIZES[0] as usize - BINARY;
        assert!(first.with(&vec![b' '; area], 8, Place::First).is_err());
        assert!(first.with(&vec![b' '; area - 1], 8, Place::First).is_ok());
    }
}
