// SPDX-License-Identifier: GPL-2.0

//! What a machine computed, compared with the oracle: counted, so that the proof can tell how many results were wrong of how many.

use anyhow::{ensure, Result};
use guest_init::protocol::LoadReport;

use crate::guest::Guest;
use crate::proof::Counts;
use crate::report::Checked;

/// Bytes of a result: a data unit of the volumes that are compared.
const UNIT: u64 = 512;

/// How many results were compared, and how many of them were wrong. A result is a data unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Results {
    compared: u64,
    wrong: u64,
}

impl Results {
    /// Adds what was compared on the host.
    pub(super) fn add(&mut self, checked: Checked) {
        self.compared += checked.all;
        self.wrong += checked.all - checked.right;
    }

    /// Adds the work of load threads: each block that came back different, and each request that failed, counts as one.
    pub(super) fn add_load(&mut self, load: &LoadReport) {
        let right = load.verified / UNIT;
        self.add(Checked {
            right,
            all: right + load.errors,
        });
    }

    /// Has the guest compare what it reads with the test content of stream `seed`. The first difference counts as one wrong result.
    pub(super) fn read_back(
        &mut self,
        guest: &mut Guest,
        path: &str,
        seed: u64,
        len: u64,
    ) -> Result<()> {
        let right = guest.difference(path, seed, len)?;
        self.add(Checked {
            right: right.unwrap_or(len) / UNIT,
            all: right.map_or(len / UNIT, |at| at / UNIT + 1),
        });
        Ok(())
    }

    /// Adds them to what the proof is told.
    pub(super) fn count(&self, counts: &mut Counts) {
        counts.results_compared += self.compared;
        counts.wrong_results += self.wrong;
    }

    /// How many were wrong.
    pub(super) fn wrong(&self) -> u64 {
        self.wrong
    }

    /// Fails unless there were some and all are right.
    pub(super) fn expect_right(&self) -> Result<()> {
        ensure!(self.compared > 0, "no result was compared with the oracle");
        ensure!(
            self.wrong == 0,
            "{} of {} results are wrong",
            self.wrong,
            self.compared
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_results_are_counted_whoever_compared_them() -> Result<()> {
        let mut results = Results::default();
        assert!(results.expect_right().is_err(), "nothing was compared");
        results.add(Checked { right: 8, all: 8 });
        results.expect_right()?;
        results.add(Checked { right: 5, all: 8 });
        results.add_load(&LoadReport {
            verified: 64 << 10,
            errors: 2,
            ..LoadReport::default()
        });
        assert!(results.expect_right().is_err());
        let mut counts = Counts::default();
        results.count(&mut counts);
        assert_eq!(counts.wrong_results, 3 + 2);
        assert_eq!(counts.results_compared, 8 + 8 + 128 + 2);
        Ok(())
    }
}
