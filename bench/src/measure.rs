// SPDX-License-Identifier: GPL-2.0
//! The timing: all competitors in turn, many rounds, the minimum and the median of each.
//!
//! A round gives every competitor, in an order that moves on from round to round, one request to warm up (its code and the data are in the
//! caches then) and then a series of requests between two readings of the clock. A series is as many requests as make about
//! 32 KiB, so that reading the clock costs next to nothing of it, and it is not subtracted.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use crate::clock;
use crate::competitor::{Competitor, Kind, Refused, Request};
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

/// How a competitor does a workload: as one request where it can, else as one request for each data unit.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    workload: Workload,
    direction: Direction,
    requests: usize,
    request_bytes: usize,
    request_units: usize,
}

impl Plan {
    /// The plan for a competitor.
    pub fn new(competitor: &dyn Competitor, workload: Workload, direction: Direction) -> Self {
        let request_units = if competitor.batches() {
            workload.units
        } else {
            1
        };
        Self {
            workload,
            direction,
            requests: workload.units / request_units,
            request_bytes: workload.bytes * request_units,
            request_units,
        }
    }

    /// Does the workload once, with a fence after each request when `fences` is set.
    #[inline]
    pub fn run(
        &self,
        competitor: &mut dyn Competitor,
        first_sector: u64,
        src: &[u8],
        dst: &mut [u8],
        fences: bool,
    ) -> Result<(), Refused> {
        for request in 0..self.requests {
            let bytes = request * self.request_bytes..(request + 1) * self.request_bytes;
            competitor.crypt(&mut Request {
                direction: self.direction,
                sector: first_sector.wrapping_add((request * self.request_units) as u64),
                unit_bytes: self.workload.bytes,
                src: &src[bytes.clone()],
                dst: &mut dst[bytes],
            })?;
            if fences {
                clock::fence();
            }
        }
        Ok(())
    }
}

/// Ticks of a series of `repeats` workloads.
fn series(
    competitor: &mut dyn Competitor,
    cell: Cell,
    repeats: usize,
    buffers: &mut Buffers,
) -> Result<u64, Refused> {
    let plan = Plan::new(competitor, cell.workload, cell.direction);
    let (src, dst) = buffers.get(cell.workload.total());
    let from = clock::ticks();
    for repeat in 0..repeats {
        let sector = (repeat * cell.workload.units) as u64;
        plan.run(competitor, sector, src, dst, cell.mode == Mode::Isolated)?;
        if cell.mode == Mode::IsolatedBatch {
            clock::fence();
        }
    }
    Ok(clock::ticks() - from)
}

/// Does nothing, to see what the harness costs.
struct Nothing;

impl Competitor for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn kind(&self) -> Kind {
        Kind::Library
    }

    fn crypt(&mut self, request: &mut Request<'_>) -> Result<(), Refused> {
        black_box(request);
        Ok(())
    }
}

/// Cycles of an isolated request that does nothing.
pub fn empty_request(buffers: &mut Buffers) -> Result<f64> {
    let cell = Cell {
        workload: Workload::of(1, 512),
        direction: Direction::Encrypt,
        mode: Mode::Isolated,
    };
    let time = Duration::from_millis(50);
    let samples = measure(&mut [Box::new(Nothing)], cell, time, buffers)?.samples;
    let sample = samples.first().context("nothing was measured")?;
    Ok(sample.minimum * cell.workload.total() as f64)
}

/// What was measured of one competitor in one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Cycles of the core per byte in the fastest round.
    pub minimum: f64,
    /// The same in the median round.
    pub median: f64,
    /// Rounds.
    pub rounds: usize,
}

impl Sample {
    fn of(mut ticks: Vec<u64>, bytes: usize, cycles_per_tick: f64) -> Self {
        ticks.sort_unstable();
        let per_byte = |ticks: Option<&u64>| {
            ticks.map_or(f64::NAN, |&t| t as f64 * cycles_per_tick / bytes as f64)
        };
        Self {
            minimum: per_byte(ticks.first()),
            median: per_byte(ticks.get(ticks.len() / 2)),
            rounds: ticks.len(),
        }
    }
}

/// What was measured in one cell.
#[derive(Clone, Debug)]
pub struct Samples {
    /// One for each competitor, in their order.
    pub samples: Vec<Sample>,
    /// Cycles of the core per tick of the counter in the fastest round.
    pub cycles_per_tick: f64,
}

/// Measures every competitor in a cell for about `time`.
pub fn measure(
    competitors: &mut [Box<dyn Competitor>],
    cell: Cell,
    time: Duration,
    buffers: &mut Buffers,
) -> Result<Samples> {
    let total = cell.workload.total();
    let repeats = (SERIES_BYTES / total).max(1);
    let mut ticks = vec![Vec::new(); competitors.len()];
    let start = Instant::now();
    let mut chain = u64::MAX;
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
        chain = chain.min(clock::dependent_chain());
        round += 1;
    }
    let cycles_per_tick = clock::CHAIN_CYCLES as f64 / chain as f64;
    Ok(Samples {
        samples: ticks
            .into_iter()
            .map(|ticks| Sample::of(ticks, repeats * total, cycles_per_tick))
            .collect(),
        cycles_per_tick,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_and_median() {
        let sample = Sample::of(vec![400, 100, 900, 200, 300], 100, 1.5);
        assert_eq!(
            sample,
            Sample {
                minimum: 1.5,
                median: 4.5,
                rounds: 5
            }
        );
    }
}
