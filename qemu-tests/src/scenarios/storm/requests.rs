// SPDX-License-Identifier: GPL-2.0

//! Small volumes of other kinds under a storm: other modes and key sizes, each compared with the oracle.

use std::ops::Range;

use anyhow::Result;

use crate::enrollment::Enrollment;
use crate::guest::Guest;
use crate::report::Checked;
use crate::scenarios::lab::Lab;
use crate::scenarios::results::Results;
use crate::volume::disk::{self, BlockMode};
use crate::volume::{Volume, TRESOR, TRESOR_CBC, TRESOR_ESSIV};

/// Bytes of each volume: a page, so eight data units in a request.
const PAGE: u64 = 4096;
const SECTOR: u32 = 512;
/// Stream of the content.
const SEED: u64 = 5300;

/// Cipher and bytes of the key. XTS-AES-256 has a volume of its own in each storm.
const KINDS: &[(&str, usize)] = &[(TRESOR, 32), (TRESOR_CBC, 16), (TRESOR_ESSIV, 32)];

/// The bytes of the disk that the volume of each kind has.
fn part(index: usize) -> Range<u64> {
    let start = index as u64 * PAGE;
    start..start + PAGE
}

/// Writes and reads back a volume of each kind. `storm` begins a new one, or ends it.
pub(super) fn each_kind(
    guest: &mut Guest,
    results: &mut Results,
    mut storm: impl FnMut(bool) -> Result<()>,
) -> Result<()> {
    for (index, (cipher, key_bytes)) in KINDS.iter().enumerate() {
        let volume = Volume {
            part: Some(part(index)),
            ..Volume::new(cipher, *key_bytes, SECTOR)
        };
        volume.open(guest)?;
        storm(true)?;
        guest.fill(&volume.mapper(), SEED, PAGE)?;
        storm(true)?;
        results.read_back(guest, &volume.mapper(), SEED, PAGE)?;
        storm(false)?;
        volume.close(guest)?;
    }
    Ok(())
}

/// What the oracle says about the ciphertext of all of them, at once after [`each_kind`].
pub(super) fn check(lab: &Lab<'_>, handle: &[u8]) -> Result<Vec<Checked>> {
    KINDS
        .iter()
        .enumerate()
        .map(|(index, (cipher, key_bytes))| {
            let mode = mode(&lab.enrollment, cipher, &handle[..*key_bytes])?;
            disk::check_part(&mode, &lab.volume_image(), part(index), SECTOR, SEED)
        })
        .collect()
}

fn mode(enrollment: &Enrollment, cipher: &str, handle: &[u8]) -> Result<BlockMode> {
    Ok(match cipher {
        TRESOR_CBC => BlockMode::Cbc(enrollment.aes_key(handle)?),
        TRESOR_ESSIV => {
            BlockMode::EssivCbc(enrollment.aes_key(handle)?, enrollment.essiv_key(handle))
        }
        _ => BlockMode::Xts(enrollment.volume_key(handle)?),
    })
}
