// SPDX-License-Identifier: GPL-2.0
//! What is asked of a competitor: how many data units of which size, in which direction, with which fences.

use std::fmt;

pub use tresor::user::Direction;

/// Data units that follow each other on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Bytes of a data unit.
    pub bytes: usize,
    /// Data units.
    pub units: usize,
}

impl Workload {
    /// All workloads, in the order of the report.
    pub const ALL: [Self; 7] = [
        Self::of(1, 512),
        Self::of(1, 4096),
        Self::of(1, 16384),
        Self::of(1, 65536),
        Self::of(8, 512),
        Self::of(4, 4096),
        Self::of(16, 4096),
    ];

    /// `units` data units of `bytes` bytes.
    pub const fn of(units: usize, bytes: usize) -> Self {
        Self { bytes, units }
    }

    /// Bytes of all data units.
    pub const fn total(self) -> usize {
        self.bytes * self.units
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.units > 1 {
            write!(f, "{}x{}", self.units, self.bytes)
        } else {
            write!(f, "{}", self.bytes)
        }
    }
}

/// Where the processor is made to finish everything (`lfence`) before it may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Around every request. A competitor without batches gets a batch as one request for each data unit.
    Isolated,
    /// Around the batch: the requests of a competitor without batches may overlap within it.
    IsolatedBatch,
    /// Nowhere: requests may overlap as far as the processor can.
    BackToBack,
}

impl Mode {
    /// The modes in which a workload is measured: with a single data unit, the first two are the same.
    pub const fn of(workload: Workload) -> &'static [Self] {
        if workload.units > 1 {
            &[Self::Isolated, Self::IsolatedBatch, Self::BackToBack]
        } else {
            &[Self::Isolated, Self::BackToBack]
        }
    }

    /// The name in the report and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::IsolatedBatch => "isolated-batch",
            Self::BackToBack => "back-to-back",
        }
    }
}

/// Both directions, in the order of the report.
pub const DIRECTIONS: [Direction; 2] = [Direction::Encrypt, Direction::Decrypt];

/// The name of a direction in the report and in JSON.
pub const fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Encrypt => "encrypt",
        Direction::Decrypt => "decrypt",
    }
}

/// One thing that is measured for every competitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The data units.
    pub workload: Workload,
    /// The direction.
    pub direction: Direction,
    /// The fences.
    pub mode: Mode,
}

impl Cell {
    /// Every cell, in the order of the report.
    pub fn all() -> impl Iterator<Item = Self> {
        Workload::ALL.into_iter().flat_map(|workload| {
            DIRECTIONS.into_iter().flat_map(move |direction| {
                Mode::of(workload).iter().map(move |&mode| Self {
                    workload,
                    direction,
                    mode,
                })
            })
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.mode.name(),
            direction_name(self.direction),
            self.workload
        )
    }
}
