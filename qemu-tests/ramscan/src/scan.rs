// SPDX-License-Identifier: GPL-2.0

//! Searches RAM for every run of a secret, at every byte offset.
//!
//! Each 8-byte window of each pattern is in a table. For every offset of RAM one multiplication hashes the 8 bytes there
//! into a bit map that fits the CPU's cache; the few that pass are looked up and compared. A run of a pattern is
//! reported once, at its first byte, with its whole length: whether an offset starts a run depends on RAM alone and not
//! on how the work is divided, so nothing is lost or counted twice where two threads meet.

mod table;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result};
use fs_err::File;
use memchr::memmem;
use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use crate::secrets::{Family, Pattern};
use table::{WindowTable, WINDOW};

/// Offsets a thread takes at a time.
const CHUNK: usize = 4 << 20;

/// Bytes of RAM files that were searched by this process.
static SCANNED: AtomicU64 = AtomicU64::new(0);

/// How many bytes of RAM files this process has searched.
pub fn bytes_scanned() -> u64 {
    SCANNED.load(Ordering::Relaxed)
}

/// A run of a secret in RAM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hit {
    /// Where the run begins: offset in the RAM file. On q35 with less than 2 GiB this is the physical address.
    pub offset: u64,
    /// Length of the run in bytes.
    pub len: usize,
    /// First byte of the run within the pattern.
    pub pattern_offset: usize,
    /// Length of the whole pattern in bytes.
    pub pattern_len: usize,
    /// The pattern's label.
    pub label: String,
    /// The pattern's family.
    pub family: Family,
}

impl Hit {
    /// Whether the run is the whole pattern.
    pub fn is_whole(&self) -> bool {
        self.len == self.pattern_len
    }
}

/// A search for a fixed list of patterns.
pub struct Scanner {
    patterns: Vec<Pattern>,
    table: WindowTable,
}

impl Scanner {
    /// Prepares the search.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        let table = WindowTable::new(&patterns);
        Self { patterns, table }
    }

    /// Number of patterns.
    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Searches a RAM file. The machine that writes it must be stopped.
    pub fn scan_file(&self, path: &Path) -> Result<Vec<Hit>> {
        let file = File::open(path)
            .context("cannot open the RAM file: was the machine started with one?")?;
        // SAFETY: The mapping is read only. QEMU, the file's one writer, is stopped by the caller during the scan; were
        // it not, the bytes read would be those of some moment, which a scan tolerates.
        let ram = unsafe { Mmap::map(&file) }
            .with_context(|| format!("cannot map {} into memory", path.display()))?;
        SCANNED.fetch_add(ram.len() as u64, Ordering::Relaxed);
        Ok(self.scan(&ram))
    }

    /// Searches `ram`; hits come in order of their offset.
    pub fn scan(&self, ram: &[u8]) -> Vec<Hit> {
        let threads = thread::available_parallelism().map_or(1, |n| n.get());
        let mut hits = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|worker| {
                    scope.spawn(move || {
                        (worker * CHUNK..ram.len())
                            .step_by(threads * CHUNK)
                            .flat_map(|start| self.scan_offsets(ram, start, CHUNK))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().expect("a scan thread does not panic"))
                .collect::<Vec<_>>()
        });
        hits.extend(self.scan_short(ram));
        hits.sort();
        hits
    }

    /// Runs whose first reported window starts in `start..start + count`.
    fn scan_offsets(&self, ram: &[u8], start: usize, count: usize) -> Vec<Hit> {
        let end = (start + count + WINDOW - 1).min(ram.len());
        let mut hits = Vec::new();
        for (i, window) in ram[start..end].windows(WINDOW).enumerate() {
            let value = table::value(window);
            if self.table.may_contain(value) {
                hits.extend(self.runs_at(ram, start + i, value));
            }
        }
        hits
    }

    /// Runs that begin exactly at `offset`, where the window `value` is.
    fn runs_at<'a>(
        &'a self,
        ram: &'a [u8],
        offset: usize,
        value: u64,
    ) -> impl Iterator<Item = Hit> + 'a {
        self.table.find(value).filter_map(move |place| {
            let pattern = &self.patterns[place.pattern];
            let at = place.offset;
            if at > 0 && offset > 0 && ram[offset - 1] == pattern.bytes[at - 1] {
                return None; // the run began earlier
            }
            let len = common_prefix(&ram[offset..], &pattern.bytes[at..]);
            (len >= pattern.min_run).then(|| hit(pattern, offset, at, len))
        })
    }

    /// Patterns shorter than a window, one pass of RAM each. Only a short pass phrase makes such a pattern.
    fn scan_short(&self, ram: &[u8]) -> Vec<Hit> {
        self.patterns
            .iter()
            .filter(|pattern| pattern.bytes.len() < WINDOW)
            .flat_map(|pattern| {
                let len = pattern.bytes.len();
                memmem::find_iter(ram, &pattern.bytes[..])
                    .map(move |offset| hit(pattern, offset, 0, len))
            })
            .collect()
    }
}

fn hit(pattern: &Pattern, offset: usize, pattern_offset: usize, len: usize) -> Hit {
    Hit {
        offset: offset as u64,
        len,
        pattern_offset,
        pattern_len: pattern.bytes.len(),
        label: pattern.label.clone(),
        family: pattern.family,
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;
