// SPDX-License-Identifier: GPL-2.0
//! What was measured, and the ratios between competitors.

use std::time::Duration;

use anyhow::Result;

use crate::competitor::{Competitor, Kind, TRESOR_WAY};
use crate::measure::{measure, Buffers, Sample, Samples};
use crate::workload::Cell;

/// To whom a competitor is compared, apart from each by name.
pub const KERNEL_BEST: &str = "kernel-best";
/// The kernel's engine for the same class of CPUs.
pub const KERNEL_SAME_CLASS: &str = "kernel-same-class";

/// All samples.
#[derive(Debug)]
pub struct Results {
    competitors: Vec<(&'static str, Kind)>,
    cells: Vec<(Cell, Samples)>,
}

impl Results {
    /// Measures all cells, each for about `time_per_cell`, telling `progress` before each.
    pub fn measure(
        competitors: &mut [Box<dyn Competitor>],
        buffers: &mut Buffers,
        time_per_cell: Duration,
        progress: &dyn Fn(Cell),
    ) -> Result<Self> {
        let mut cells = Vec::new();
        for cell in Cell::all() {
            progress(cell);
            cells.push((cell, measure(competitors, cell, time_per_cell, buffers)?));
        }
        Ok(Self::new(
            competitors
                .iter()
                .map(|competitor| (competitor.name(), competitor.kind()))
                .collect(),
            cells,
        ))
    }

    /// The samples are in the order of `competitors`.
    pub fn new(competitors: Vec<(&'static str, Kind)>, cells: Vec<(Cell, Samples)>) -> Self {
        Self { competitors, cells }
    }

    /// Names and kinds, in the order in which they joined.
    pub fn competitors(&self) -> &[(&'static str, Kind)] {
        &self.competitors
    }

    /// The cells, in the order of the report.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        self.cells.iter().map(|(cell, _)| *cell)
    }

    /// The fewest and the most rounds of any cell.
    pub fn rounds(&self) -> (usize, usize) {
        let rounds = || {
            self.cells
                .iter()
                .flat_map(|(_, samples)| samples.samples.iter().map(|sample| sample.rounds))
        };
        (rounds().min().unwrap_or(0), rounds().max().unwrap_or(0))
    }

    /// The fewest and the most cycles of the core per tick of the counter in any cell.
    pub fn cycles_per_tick(&self) -> (f64, f64) {
        self.cells
            .iter()
            .map(|(_, samples)| samples.cycles_per_tick)
            .fold((f64::INFINITY, 0.0), |(least, most), cycles| {
                (least.min(cycles), most.max(cycles))
            })
    }

    /// What was measured of a competitor.
    pub fn sample(&self, cell: Cell, name: &str) -> Option<Sample> {
        let index = self.competitors.iter().position(|(n, _)| *n == name)?;
        let (_, samples) = self.cells.iter().find(|(c, _)| *c == cell)?;
        samples.samples.get(index).copied()
    }

    /// The fewest cycles per byte that any engine of the kernel took.
    fn kernel_best(&self, cell: Cell) -> Option<f64> {
        self.competitors
            .iter()
            .filter(|(_, kind)| *kind == Kind::Kernel)
            .filter_map(|(name, _)| Some(self.sample(cell, name)?.minimum))
            .min_by(f64::total_cmp)
    }

    /// How many times as fast as `baseline` a competitor is, by the minima. `baseline` is a name or one of the constants above; `None` where
    /// there is no such baseline.
    pub fn ratio(&self, cell: Cell, name: &str, baseline: &str) -> Option<f64> {
        let of = |name: &str| Some(self.sample(cell, name)?.minimum);
        let baseline = match baseline {
            KERNEL_BEST => self.kernel_best(cell)?,
            KERNEL_SAME_CLASS => of(self.same_class(name)?)?,
            name => of(name)?,
        };
        Some(baseline / of(name)?)
    }

    fn same_class(&self, name: &str) -> Option<&'static str> {
        match self.competitors.iter().find(|(n, _)| *n == name)?.1 {
            Kind::Engine(same_class) => same_class,
            Kind::Kernel | Kind::Library | Kind::TresorWay => None,
        }
    }

    /// Every baseline that the JSON compares to.
    pub fn baselines(&self) -> impl Iterator<Item = &'static str> + '_ {
        let named = self
            .competitors
            .iter()
            .filter(|(_, kind)| !matches!(kind, Kind::Engine(_)))
            .map(|(name, _)| *name);
        [KERNEL_BEST, KERNEL_SAME_CLASS].into_iter().chain(named)
    }
}

/// The baselines of the table: heading and name.
pub const TABLE_BASELINES: [(&str, &str); 3] = [
    ("best", KERNEL_BEST),
    ("class", KERNEL_SAME_CLASS),
    ("TRESOR", TRESOR_WAY),
];

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::workload::{Direction, Mode, Workload};

    /// The cell of [`example`].
    pub(crate) const CELL: Cell = Cell {
        workload: Workload::of(1, 4096),
        direction: Direction::Encrypt,
        mode: Mode::Isolated,
    };

    /// One engine of ours at half the speed of its kernel class and a quarter of the kernel's best.
    pub(crate) fn example() -> Results {
        let sample = |minimum| Sample {
            minimum,
            median: minimum * 1.5,
            rounds: 100,
        };
        Results::new(
            vec![
                ("tresor-aesni", Kind::Engine(Some("kernel-aesni"))),
                ("kernel-aesni", Kind::Kernel),
                ("kernel-vaes-avx512", Kind::Kernel),
                (TRESOR_WAY, Kind::TresorWay),
            ],
            vec![(
                CELL,
                Samples {
                    samples: vec![sample(1.0), sample(0.5), sample(0.25), sample(12.0)],
                    cycles_per_tick: 1.0,
                },
            )],
        )
    }

    #[test]
    fn ratios_are_throughput() {
        let results = example();
        let ratio = |baseline| results.ratio(CELL, "tresor-aesni", baseline);
        assert_eq!(ratio(KERNEL_BEST), Some(0.25));
        assert_eq!(ratio(KERNEL_SAME_CLASS), Some(0.5));
        assert_eq!(ratio(TRESOR_WAY), Some(12.0));
        assert_eq!(ratio("openssl"), None);
        assert_eq!(results.ratio(CELL, TRESOR_WAY, KERNEL_SAME_CLASS), None);
    }
}
