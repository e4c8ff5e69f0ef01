// SPDX-License-Identifier: GPL-2.0
//! The timing: all competitors in turn, many rounds, the minimum and the median of each.
//!
//! A round gives every competitor, in an order that moves on from round to round, one request to warm up (its code and the data are in the
//! caches then) and then a series of requests between two readings of the clock. A series is as many requests as make about
//! [`SERIES_BYTES`], so that reading the clock costs next to nothing of it, and it is not subtracted.

use std::time::{Duration, Instant};

use anyhow::{bail, Result};

use crate::clock;
use crate::competitor::{Competitor, Refused, Request};
use crate::workload::{Cell, Direction, Mode, Workload};

/// Bytes of a series of requests: the two readings of the clock are about one part in a hundred of the fastest one.
const SERIES_BYTES: usize = 32 * 1024;

/// A round is not left out even if the time is over: a minimum of fewer would be chance.
const MIN_ROUNDS: usize = 30;

/// Bytes of a page.
const PAGE: usize = 4096;

/// Source and destination, as big as the biggest workload, both from the start of a page, as the kernel's mostly are.
#[derive(Debug)]
pub struct Buffers {
    src: Vec<u8>,
    dst: Vec<u8>,
}

impl Buffers {
    /// Fills the source with bytes that do not repeat soon.
    pub fn new() -> Self {
        let largest = Workload::ALL.into_iter().map(Workload::total).max();
        let len = largest.unwrap_or(0) + PAGE;
        Self {
            src: (0..len as u64)
                .map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
                .collect(),
            dst: vec![0; len],
        }
    }

    /// The first `len` bytes of both.
    pub fn get(&mut self, len: usize) -> (&[u8], &mut [u8]) {
        let start = |buffer: &[u8]| buffer.as_ptr().align_offset(PAGE);
        let (from, to) = (start(&self.src), start(&self.dst));
        (&self.src[from..from + len], &mut self.dst[to..to + len])
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// The data units of a workload, as one request where the competitor can, else as one request for each.
///
/// Fences stand around each request when `fence_requests` is set.
#[inline]
pub fn crypt(
    competitor: &mut dyn Competitor,
    workload: Workload,
    direction: Direction,
    first_sector: u64,
    (src, dst): (&[u8], &mut [u8]),
    fence_requests: bool,
) -> Result<(), Refused> {
    let request_bytes = if competitor.batches() {
        workload.total()
    } else {
        workload.bytes
    };
    let units = request_bytes / workload.bytes;
    let mut sector = first_sector;
    for (src, dst) in src
        .chunks_exact(request_bytes)
        .zip(dst.chunks_exact_mut(request_bytes))
    {
        competitor.crypt(&mut Request {
            direction,
            sector,
            unit_bytes: workload.bytes,
            src,
            dst,
        })?;
        sector = sector.wrapping_add(units as u64);
        if fence_requests {
            clock::fence();
        }
    }
    Ok(())
}

/// Ticks of a series of `repeats` workloads.
fn series(
    competitor: &mut dyn Competitor,
    cell: Cell,
    repeats: usize,
    buffers: &mut Buffers,
) -> Result<u64, Refused> {
    let Cell {
        workload,
        direction,
        mode,
    } = cell;
    let (src, dst) = buffers.get(workload.total());
    let from = clock::ticks();
    for repeat in 0..repeats {
        let sector = (repeat * workload.units) as u64;
        let isolated = mode == Mode::Isolated;
        crypt(
            competitor,
            workload,
            direction,
            sector,
            (src, &mut *dst),
            isolated,
        )?;
        if mode == Mode::IsolatedBatch {
            clock::fence();
        }
    }
    Ok(clock::ticks() - from)
}

/// What was measured of one competitor in one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Cycles per byte in the fastest round.
    pub minimum: f64,
    /// Cycles per byte in the median round.
    pub median: f64,
    /// Rounds.
    pub rounds: usize,
}

impl Sample {
    fn of(mut ticks: Vec<u64>, bytes: usize) -> Self {
        ticks.sort_unstable();
        let per_byte = |ticks: Option<&u64>| ticks.map_or(f64::NAN, |&t| t as f64 / bytes as f64);
        Self {
            minimum: per_byte(ticks.first()),
            median: per_byte(ticks.get(ticks.len() / 2)),
            rounds: ticks.len(),
        }
    }
}

/// Measures every competitor in a cell for about `time`; the samples are in the order of the competitors.
pub fn measure(
    competitors: &mut [Box<dyn Competitor>],
    cell: Cell,
    time: Duration,
    buffers: &mut Buffers,
) -> Result<Vec<Sample>> {
    let total = cell.workload.total();
    let repeats = (SERIES_BYTES / total).max(1);
    let mut ticks = vec![Vec::new(); competitors.len()];
    let start = Instant::now();
    let mut round = 0;
    while round < MIN_ROUNDS || start.elapsed() < time {
        for turn in 0..competitors.len() {
            let index = (round + turn) % competitors.len();
            let competitor = &mut *competitors[index];
            let timed = series(competitor, cell, 1, buffers)
                .and_then(|_| series(competitor, cell, repeats, buffers));
            match timed {
                Ok(timed) => ticks[index].push(timed),
                Err(Refused) => bail!("{} refused a request ({cell})", competitor.name()),
            }
        }
        round += 1;
    }
    Ok(ticks
        .into_iter()
        .map(|ticks| Sample::of(ticks, repeats * total))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_and_median() {
        let sample = Sample::of(vec![400, 100, 900, 200, 300], 100);
        assert_eq!(
            sample,
            Sample {
                minimum: 1.0,
                median: 3.0,
                rounds: 5
            }
        );
    }
}
