// SPDX-License-Identifier: GPL-2.0

//! The figures, for programs.

use serde::{Deserialize, Serialize};

use super::Report;

/// The figures of a report. Field names are an interface: scripts read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// DR0..DR3 of every CPU held the secret during the scan.
    pub secret_in_registers: bool,
    /// CPUs of the machine.
    pub cpus: u32,
    /// Bytes of RAM searched, in each run.
    pub ram_bytes: u64,
    /// Patterns searched for.
    pub patterns: usize,
    /// Traces found with the key in registers.
    pub tresor_hits: usize,
    /// Traces found in the control with stock AES.
    pub stock_hits: usize,
    /// Keys of ours that `aeskeyfind` found with the key in registers.
    pub aeskeyfind_tresor: usize,
    /// Keys of ours that it found in the control.
    pub aeskeyfind_stock: usize,
    /// Files read back intact after the sleep.
    pub files_verified: u64,
    /// DR0..DR3 of every CPU were empty while the machine slept.
    pub registers_empty_asleep: bool,
    /// Traces found while the machine slept.
    pub asleep_hits: usize,
}

impl From<&Report> for Figures {
    fn from(report: &Report) -> Self {
        Self {
            secret_in_registers: report.secret_in_registers(),
            cpus: report.machine.cpus,
            ram_bytes: report.machine.ram_bytes,
            patterns: report.patterns,
            tresor_hits: report.tresor.hits.len(),
            stock_hits: report.stock.hits.len(),
            aeskeyfind_tresor: report.tresor.aeskeyfind.ours,
            aeskeyfind_stock: report.stock.aeskeyfind.ours,
            files_verified: report.tresor.files.right,
            registers_empty_asleep: report.asleep.empty.is_complete(),
            asleep_hits: report.asleep.hits.len(),
        }
    }
}

/// The figures as one line of JSON.
pub fn json(report: &Report) -> String {
    serde_json::to_string(&Figures::from(report)).expect("numbers and booleans are always JSON")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn names_and_order_are_fixed() {
        let mut report = sample::report();
        report.stock.hits.truncate(3);
        assert_eq!(
            json(&report),
            r#"{"secret_in_registers":true,"cpus":2,"ram_bytes":536870912,"patterns":995,"tresor_hits":0,"stock_hits":3,"aeskeyfind_tresor":0,"aeskeyfind_stock":2,"files_verified":24,"registers_empty_asleep":true,"asleep_hits":0}"#
        );
    }

    #[test]
    fn a_cpu_without_the_secret_shows() {
        let mut report = sample::report();
        report.tresor.registers[1].holds_secret = false;
        assert!(!Figures::from(&report).secret_in_registers);
        report.tresor.registers.truncate(1);
        assert!(
            !Figures::from(&report).secret_in_registers,
            "one CPU was not looked at"
        );
    }
}
