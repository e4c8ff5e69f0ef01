// SPDX-License-Identifier: GPL-2.0

//! RAM divided into equal cells: which were in use, and what was found in which.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use fs_err::File;
use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use super::Run;
use crate::scan::Hit;
use crate::secrets::Family;

/// Cells of a map: 64 columns by 32 rows.
pub(super) const COLUMNS: usize = 64;
pub(super) const ROWS: usize = 32;

const PAGE: usize = 4096;
static ZEROS: [u8; PAGE] = [0; PAGE];

/// How much of each cell of RAM is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RamUse {
    /// Size of a cell in bytes.
    pub cell_bytes: u64,
    /// For each cell, how many per cent of its pages hold anything but zeros.
    pub percent: Vec<u8>,
}

impl RamUse {
    /// Measures a RAM file. The machine that writes it must be stopped.
    pub fn of_file(path: &Path) -> Result<Self> {
        let file = File::open(path)
            .context("cannot open the RAM file: was the machine started with one?")?;
        // SAFETY: The mapping is read only, and QEMU, the file's one writer, is stopped by the caller.
        let ram = unsafe { Mmap::map(&file) }
            .with_context(|| format!("cannot map {} into memory", path.display()))?;
        Ok(Self::of(&ram))
    }

    fn of(ram: &[u8]) -> Self {
        let cell_bytes = ram
            .len()
            .div_ceil(COLUMNS * ROWS)
            .next_multiple_of(PAGE)
            .max(PAGE);
        let percent = ram
            .chunks(cell_bytes)
            .map(|cell| {
                let pages = cell.len().div_ceil(PAGE);
                let used = cell
                    .chunks(PAGE)
                    .filter(|page| **page != ZEROS[..page.len()])
                    .count();
                // At most 100.
                (100 * used).div_ceil(pages) as u8
            })
            .collect();
        Self {
            cell_bytes: cell_bytes as u64,
            percent,
        }
    }

    /// Bytes in use, in whole pages' precision of a per cent.
    pub(super) fn used_bytes(&self) -> u64 {
        self.percent
            .iter()
            .map(|percent| u64::from(*percent) * self.cell_bytes / 100)
            .sum()
    }
}

/// What a trace is, for its colour. The first that is in a cell gives the cell its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trace {
    RegisterSecret,
    PassPhrase,
    VolumeKey,
    PartOfVolumeKey,
    KdfState,
    RoundKey,
    Tweak,
}

impl Trace {
    pub(super) const ALL: [Trace; 7] = [
        Trace::RegisterSecret,
        Trace::PassPhrase,
        Trace::VolumeKey,
        Trace::PartOfVolumeKey,
        Trace::KdfState,
        Trace::RoundKey,
        Trace::Tweak,
    ];

    pub(super) fn of(hit: &Hit) -> Self {
        match hit.family {
            Family::RegisterSecret => Trace::RegisterSecret,
            Family::PassPhrase => Trace::PassPhrase,
            Family::VolumeKey if hit.is_whole() => Trace::VolumeKey,
            Family::VolumeKey => Trace::PartOfVolumeKey,
            Family::KdfState => Trace::KdfState,
            Family::RoundKey => Trace::RoundKey,
            Family::Tweak => Trace::Tweak,
        }
    }

    /// Name in legends and tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Trace::RegisterSecret => "register secret",
            Trace::PassPhrase => "pass phrase",
            Trace::VolumeKey => "whole volume key (K1 or K2)",
            Trace::PartOfVolumeKey => "piece of the volume key",
            Trace::KdfState => "key derivation state",
            Trace::RoundKey => "round key",
            Trace::Tweak => "sector tweak",
        }
    }

    /// Name of the style class.
    pub(super) fn class(self) -> &'static str {
        match self {
            Trace::RegisterSecret => "t-secret",
            Trace::PassPhrase => "t-phrase",
            Trace::VolumeKey => "t-key",
            Trace::PartOfVolumeKey => "t-part",
            Trace::KdfState => "t-kdf",
            Trace::RoundKey => "t-round",
            Trace::Tweak => "t-tweak",
        }
    }
}

/// How many hits there are of each kind.
pub(super) fn totals(hits: &[Hit]) -> BTreeMap<Trace, usize> {
    let mut totals = BTreeMap::new();
    for hit in hits {
        *totals.entry(Trace::of(hit)).or_default() += 1;
    }
    totals
}

/// The cells of a run in which something was found, with what was found. None if the run has no map.
pub(super) fn marked_cells(run: &Run) -> BTreeMap<usize, BTreeMap<Trace, usize>> {
    let mut cells: BTreeMap<usize, BTreeMap<Trace, usize>> = BTreeMap::new();
    for hit in &run.hits {
        let Some(cell) = hit.offset.checked_div(run.ram_use.cell_bytes) else {
            continue;
        };
        *cells
            .entry(cell as usize)
            .or_default()
            .entry(Trace::of(hit))
            .or_default() += 1;
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn use_of_each_cell() {
        let mut ram = vec![0; COLUMNS * ROWS * 2 * PAGE];
        ram[3 * PAGE + 17] = 1;
        ram[4 * PAGE] = 1;
        ram[5 * PAGE + 4095] = 1;
        let ram_use = RamUse::of(&ram);
        assert_eq!(ram_use.cell_bytes, 2 * PAGE as u64);
        assert_eq!(ram_use.percent[..4], [0, 50, 100, 0]);
        assert_eq!(ram_use.percent.len(), COLUMNS * ROWS);
        assert_eq!(ram_use.used_bytes(), 3 * PAGE as u64);
    }

    #[test]
    fn hits_are_in_the_cell_of_their_address() {
        let mut run = sample::report().stock;
        run.hits.truncate(1);
        run.hits[0].offset = 5 * run.ram_use.cell_bytes + 7;
        let cells = marked_cells(&run);
        assert_eq!(cells.keys().copied().collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn a_piece_of_a_key_is_told_from_a_whole_one() {
        let mut hit = sample::report().stock.hits[0].clone();
        hit.family = Family::VolumeKey;
        hit.len = hit.pattern_len;
        assert_eq!(Trace::of(&hit), Trace::VolumeKey);
        hit.len = 8;
        assert_eq!(Trace::of(&hit), Trace::PartOfVolumeKey);
    }
}
