// SPDX-License-Identifier: GPL-2.0
//! The figures that were asked of the engines before they were written, and whether they are reached.

use std::fmt;

use crate::competitor::TRESOR_WAY;
use crate::results::{Results, KERNEL_BEST, KERNEL_SAME_CLASS};
use crate::workload::{Cell, Direction, Mode, Workload};

/// An engine must have at least this throughput, relative to a baseline, every request isolated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    engine: &'static str,
    baseline: &'static str,
    workload: Workload,
    at_least: f64,
}

impl Bar {
    const fn new(
        engine: &'static str,
        baseline: &'static str,
        workload: Workload,
        at_least: f64,
    ) -> Self {
        Self {
            engine,
            baseline,
            workload,
            at_least,
        }
    }

    /// All of them. They hold for CPUs with AVX-512 and VAES and for AES-256.
    pub const ALL: [Self; 9] = [
        Self::new("tresor-avx512", KERNEL_BEST, Workload::of(1, 512), 0.75),
        Self::new("tresor-avx512", KERNEL_BEST, Workload::of(1, 4096), 0.93),
        Self::new("tresor-avx512", KERNEL_BEST, Workload::of(1, 16384), 0.97),
        Self::new("tresor-avx512", KERNEL_BEST, Workload::of(8, 512), 1.6),
        Self::new("tresor-avx512", KERNEL_BEST, Workload::of(4, 4096), 1.07),
        Self::new("tresor-avx", KERNEL_SAME_CLASS, Workload::of(1, 4096), 0.85),
        Self::new(
            "tresor-vaes",
            KERNEL_SAME_CLASS,
            Workload::of(1, 4096),
            0.75,
        ),
        Self::new(
            "tresor-aesni",
            KERNEL_SAME_CLASS,
            Workload::of(1, 4096),
            0.60,
        ),
        Self::new("tresor-avx512", TRESOR_WAY, Workload::of(1, 4096), 45.0),
    ];

    /// The class of our engine.
    pub fn class(self) -> &'static str {
        self.engine.trim_start_matches("tresor-")
    }

    /// To whom it is compared.
    pub fn baseline(self) -> &'static str {
        self.baseline
    }

    /// What is asked of both.
    pub fn workload(self) -> Workload {
        self.workload
    }

    /// The ratio that was asked for.
    pub fn at_least(self) -> f64 {
        self.at_least
    }

    /// What was measured.
    pub fn judge(self, results: &Results) -> Judged {
        let ratio = |direction, mode| {
            let cell = Cell {
                workload: self.workload,
                direction,
                mode,
            };
            results.ratio(cell, self.engine, self.baseline)
        };
        Judged {
            bar: self,
            encrypt: ratio(Direction::Encrypt, Mode::Isolated),
            decrypt: ratio(Direction::Decrypt, Mode::Isolated),
            note: self.note(results),
        }
    }

    /// What a reader has to know beside the ratio of encryption.
    fn note(self, results: &Results) -> Option<String> {
        let cell = |mode| Cell {
            workload: self.workload,
            direction: Direction::Encrypt,
            mode,
        };
        if self.baseline == TRESOR_WAY {
            let engine = results.ratio(cell(Mode::Isolated), self.engine, TRESOR_WAY)?;
            let to_kernel = results.ratio(cell(Mode::Isolated), self.engine, KERNEL_BEST)?;
            return Some(format!("the kernel's best: {:.3}", engine / to_kernel));
        }
        let batch = results.ratio(cell(Mode::IsolatedBatch), self.engine, self.baseline)?;
        Some(format!(
            "{batch:.3} where the kernel's requests may overlap"
        ))
    }
}

/// A bar, and the ratios that were measured: `None` where the engine or the baseline cannot run here.
#[derive(Clone, Debug)]
pub struct Judged {
    bar: Bar,
    encrypt: Option<f64>,
    decrypt: Option<f64>,
    note: Option<String>,
}

/// Whether a bar is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In both directions.
    Met,
    /// In one direction.
    MetOneWay(Direction),
    /// In neither.
    NotMet,
    /// The engine or the baseline cannot run here.
    NotMeasured,
}

impl Judged {
    /// Whether the bar is met.
    pub fn verdict(&self) -> Verdict {
        let (Some(encrypt), Some(decrypt)) = (self.encrypt, self.decrypt) else {
            return Verdict::NotMeasured;
        };
        let at_least = self.bar.at_least;
        match (encrypt >= at_least, decrypt >= at_least) {
            (true, true) => Verdict::Met,
            (true, false) => Verdict::MetOneWay(Direction::Encrypt),
            (false, true) => Verdict::MetOneWay(Direction::Decrypt),
            (false, false) => Verdict::NotMet,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Met => "met",
            Self::MetOneWay(Direction::Encrypt) => "NOT MET (decrypt)",
            Self::MetOneWay(Direction::Decrypt) => "NOT MET (encrypt)",
            Self::NotMet => "NOT MET",
            Self::NotMeasured => "not measured here",
        })
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio =
            |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
        write!(
            f,
            "{:<14} {:>7} to {:<18} >= {:>5.2}  encrypt {:>6}  decrypt {:>6}  {}",
            self.bar.engine,
            self.bar.workload.to_string(),
            self.bar.baseline,
            self.bar.at_least,
            ratio(self.encrypt),
            ratio(self.decrypt),
            self.verdict(),
        )?;
        if let Some(note) = &self.note {
            write!(f, " ({note})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let judged = |encrypt, decrypt| {
            Judged {
                bar: Bar::ALL[1],
                encrypt,
                decrypt,
                note: None,
            }
            .verdict()
        };
        assert_eq!(judged(Some(0.93), Some(0.99)), Verdict::Met);
        assert_eq!(
            judged(Some(0.93), Some(0.929)),
            Verdict::MetOneWay(Direction::Encrypt)
        );
        assert_eq!(judged(Some(0.9), Some(0.92)), Verdict::NotMet);
        assert_eq!(judged(None, Some(0.99)), Verdict::NotMeasured);
    }

    #[test]
    fn a_bar_of_an_absent_engine_is_not_met() {
        let results = crate::results::tests::example();
        for bar in Bar::ALL {
            assert_eq!(bar.judge(&results).verdict(), Verdict::NotMeasured);
        }
    }
}
