// SPDX-License-Identifier: GPL-2.0
//! Writes a planned header so that at each moment the old or the new one is whole.
//!
//! 1. The new keyslots, where no old one is. Nothing points to them yet.
//! 2. The second copy of the header, with a greater sequence number. If it is torn, its checksum tells,
//!    and the first copy, the old one, counts. If it is whole, it counts.
//! 3. The first copy. If it is torn, the second counts.
//! 4. Random bytes wherever no keyslot is: the old keyslots go.
//!
//! Each step is on the disk before the next begins. Between the copies nothing but a checksum decides,
//! so within a step it does not matter which sectors of it reached the disk.
//!
//! The rejected alternative is `cryptsetup luksHeaderRestore`, which writes header and keyslots in one
//! go over the old ones.

use anyhow::{ensure, Context};
use rustix::rand::{getrandom, GetRandomFlags};

use crate::luks::disk::Disk;
use crate::luks::header::{Found, Place};
use crate::luks::metadata::Metadata;
use crate::luks::plan::Plan;

/// How many bytes are overwritten in one write.
const CHUNK: usize = 1 << 20;

/// Writes it. `before` is what is on the disk, both copies good.
pub(crate) fn commit(disk: &mut impl Disk, before: &Found, plan: &Plan) -> anyhow::Result<()> {
    ensure!(before.both, "one of the header's two copies is not good");
    for (offset, bytes) in &plan.areas {
        disk.write(*offset, bytes)?;
    }
    disk.sync()?;
    let sequence = before.newest.sequence().checked_add(1);
    let sequence = sequence.context("the header's sequence number is at its end")?;
    let text = plan.metadata.text()?;
    for place in [Place::Second, Place::First] {
        let copy = before.newest.with(&text, sequence, place)?;
        disk.write(copy.offset(place), copy.bytes())?;
        disk.sync()?;
    }
    wipe_free(disk, &plan.metadata)
}

/// Makes both copies equal, as after a finished write. Whatever happens meanwhile, the good one stays.
pub(crate) fn repair(disk: &mut impl Disk, found: Found) -> anyhow::Result<Found> {
    if found.both {
        return Ok(found);
    }
    let Found { newest, place, .. } = found;
    let other = place.other();
    let copy = newest.with(newest.json(), newest.sequence(), other)?;
    disk.write(copy.offset(other), copy.bytes())?;
    disk.sync()?;
    Ok(Found {
        newest,
        place,
        both: true,
    })
}

/// Overwrites all of the place for keyslots that no keyslot has.
pub(crate) fn wipe_free(disk: &mut impl Disk, metadata: &Metadata) -> anyhow::Result<()> {
    for area in metadata.free_areas()? {
        let mut left = usize::try_from(area.end - area.start)?;
        let mut offset = area.start;
        while left > 0 {
            let mut bytes = vec![0; left.min(CHUNK)];
            let mut filled = 0;
            while filled < bytes.len() {
                filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())
                    .context("cannot get random bytes")?;
            }
            disk.write(offset, &bytes)?;
            left -= bytes.len();
            offset += u64::try_from(bytes.len())?;
        }
    }
    disk.sync()
}
