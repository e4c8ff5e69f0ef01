// SPDX-License-Identifier: GPL-2.0

//! What the findings mean. A search that finds nothing is a success only if it could have found something.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Checked, Report};
use crate::secrets::Family;

/// The one word on a report. The first that applies is the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A trace of a secret is in RAM.
    FoundInRam,
    /// The registers were not empty while the machine slept.
    FoundInRegisters,
    /// The secret was not in the registers, or nothing was searched: nothing found means nothing.
    DoesNotCount,
    /// The same search does not see stock AES: it cannot be trusted.
    ControlFailed,
    /// Wrong data: the volume is not encrypted as it must be, or files are damaged.
    VolumeFailed,
    /// The key was in registers only.
    Passed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::FoundInRam => "FAILED: key found in RAM",
            Outcome::FoundInRegisters => "FAILED: key kept while asleep",
            Outcome::DoesNotCount => "DOES NOT COUNT",
            Outcome::ControlFailed => "CONTROL FAILED",
            Outcome::VolumeFailed => "FAILED: the volume is wrong",
            Outcome::Passed => "PASSED",
        })
    }
}

/// An outcome with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The worst that happened.
    pub outcome: Outcome,
    /// Every expectation that was not met, in words, worst first; empty if passed.
    pub problems: Vec<String>,
}

impl Verdict {
    /// Whether every expectation was met.
    pub fn passed(&self) -> bool {
        self.outcome == Outcome::Passed
    }

    /// The result in one sentence.
    pub fn headline(&self) -> &'static str {
        match self.outcome {
            Outcome::FoundInRam => "Traces of the key were found in RAM.",
            Outcome::FoundInRegisters => "The machine slept with the key in its registers.",
            Outcome::DoesNotCount => "This run proves nothing: the search did not happen while the secret was in the registers.",
            Outcome::ControlFailed => "This run proves nothing: the search missed a key that was in RAM.",
            Outcome::VolumeFailed => "The encrypted volume did not work as it must.",
            Outcome::Passed => "The disk key was in the processor’s registers, and nowhere in memory.",
        }
    }
}

/// Judges a report.
pub(super) fn of(report: &Report) -> Verdict {
    let mut problems = Vec::new();
    in_ram(report, &mut problems);
    asleep(report, &mut problems);
    counts(report, &mut problems);
    control(report, &mut problems);
    volume(report, &mut problems);
    problems.sort_by_key(|(outcome, _)| *outcome);
    Verdict {
        outcome: problems
            .first()
            .map_or(Outcome::Passed, |(outcome, _)| *outcome),
        problems: problems.into_iter().map(|(_, text)| text).collect(),
    }
}

type Problems = Vec<(Outcome, String)>;

fn in_ram(report: &Report, problems: &mut Problems) {
    let run = &report.tresor;
    if let Some(first) = run.hits.first() {
        problems.push((
            Outcome::FoundInRam,
            format!(
                "the scan found {} traces of secrets with the key in registers, the first at {:#x}: {}",
                run.hits.len(),
                first.offset,
                first.label
            ),
        ));
    }
    if run.aeskeyfind.ours > 0 {
        problems.push((
            Outcome::FoundInRam,
            format!("aeskeyfind found {} of our keys", run.aeskeyfind.ours),
        ));
    }
}

/// A sleeping machine has no need of a key at all.
fn asleep(report: &Report, problems: &mut Problems) {
    let asleep = &report.asleep;
    if let Some(first) = asleep.hits.first() {
        problems.push((
            Outcome::FoundInRam,
            format!(
                "the scan found {} traces of secrets while the machine slept, the first at {:#x}: {}",
                asleep.hits.len(),
                first.offset,
                first.label
            ),
        ));
    }
    if !asleep.empty.is_complete() {
        problems.push((
            Outcome::FoundInRegisters,
            format!(
                "the debug registers of {} of {} CPUs were empty while the machine slept",
                asleep.empty.right, asleep.empty.all
            ),
        ));
    }
}

fn counts(report: &Report, problems: &mut Problems) {
    let mut add = |text: String| problems.push((Outcome::DoesNotCount, text));
    let registers = &report.tresor.registers;
    if registers.len() != report.machine.cpus as usize {
        add(format!(
            "registers of {} CPUs were read, the machine has {}",
            registers.len(),
            report.machine.cpus
        ));
    }
    for cpu in registers {
        if !cpu.holds_secret {
            add(format!(
                "DR0 to DR3 of CPU {} did not hold the secret during the scan",
                cpu.cpu
            ));
        }
        if !cpu.breakpoints_off {
            add(format!(
                "DR7 of CPU {} enables a breakpoint: its debug registers are in other use",
                cpu.cpu
            ));
        }
    }
    if report.patterns == 0 {
        add("there was nothing to search for".to_owned());
    }
    if report.machine.ram_bytes == 0 {
        add("there was no RAM to search".to_owned());
    }
}

fn control(report: &Report, problems: &mut Problems) {
    let mut add = |text: String| problems.push((Outcome::ControlFailed, text));
    for family in [Family::VolumeKey, Family::RoundKey] {
        if !report.stock.hits.iter().any(|hit| hit.family == family) {
            add(format!(
                "the scan found no {family} of stock AES, which keeps them in RAM"
            ));
        }
    }
    if report.stock.aeskeyfind.ours == 0 {
        add("aeskeyfind found no key of stock AES".to_owned());
    }
}

fn volume(report: &Report, problems: &mut Problems) {
    for (what, checked) in [
        ("files read back after the sleep", report.tresor.files),
        (
            "files that stock AES reads with the same key",
            report.stock.files,
        ),
        (
            "sectors on the disk that the oracle computes",
            report.sectors,
        ),
    ] {
        let Checked { right, all } = checked;
        if !checked.is_complete() {
            problems.push((
                Outcome::VolumeFailed,
                format!("{what}: {right} of {all} are right"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    /// A change to a good report, the outcome it must have, and a word of the reason.
    type Case = (fn(&mut Report), Outcome, &'static str);

    const CASES: &[Case] = &[
        (
            |r| r.tresor.hits = r.stock.hits[..1].to_vec(),
            Outcome::FoundInRam,
            "1 traces",
        ),
        (
            |r| r.tresor.aeskeyfind.ours = 1,
            Outcome::FoundInRam,
            "aeskeyfind",
        ),
        (
            |r| r.asleep.hits = r.stock.hits[..2].to_vec(),
            Outcome::FoundInRam,
            "while the machine slept",
        ),
        (
            |r| r.asleep.empty.right = 1,
            Outcome::FoundInRegisters,
            "1 of 2 CPUs",
        ),
        (
            |r| r.asleep.empty = Checked { right: 0, all: 0 },
            Outcome::FoundInRegisters,
            "0 of 0 CPUs",
        ),
        (
            |r| r.tresor.registers[1].holds_secret = false,
            Outcome::DoesNotCount,
            "CPU 1",
        ),
        (
            |r| r.tresor.registers[0].breakpoints_off = false,
            Outcome::DoesNotCount,
            "DR7",
        ),
        (
            |r| r.tresor.registers.clear(),
            Outcome::DoesNotCount,
            "0 CPUs",
        ),
        (
            |r| r.patterns = 0,
            Outcome::DoesNotCount,
            "nothing to search",
        ),
        (|r| r.machine.ram_bytes = 0, Outcome::DoesNotCount, "no RAM"),
        (
            |r| r.stock.hits.clear(),
            Outcome::ControlFailed,
            "volume key",
        ),
        (
            |r| r.stock.hits.retain(|hit| hit.family != Family::RoundKey),
            Outcome::ControlFailed,
            "round key",
        ),
        (
            |r| r.stock.aeskeyfind.ours = 0,
            Outcome::ControlFailed,
            "aeskeyfind",
        ),
        (
            |r| r.tresor.files.right -= 1,
            Outcome::VolumeFailed,
            "23 of 24",
        ),
        (
            |r| r.stock.files = Checked { right: 0, all: 0 },
            Outcome::VolumeFailed,
            "stock AES reads",
        ),
        (|r| r.sectors.right = 0, Outcome::VolumeFailed, "oracle"),
    ];

    #[test]
    fn a_good_report_passes() {
        let verdict = sample::report().verdict();
        assert!(verdict.passed(), "{:?}", verdict.problems);
        assert!(verdict.problems.is_empty());
    }

    #[test]
    fn each_broken_expectation_is_named() {
        for (i, (change, outcome, word)) in CASES.iter().enumerate() {
            let mut report = sample::report();
            change(&mut report);
            let verdict = report.verdict();
            assert_eq!(verdict.outcome, *outcome, "case {i}");
            assert!(!verdict.passed());
            assert!(
                verdict.problems[0].contains(word),
                "case {i}: {:?}",
                verdict.problems
            );
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let mut report = sample::report();
        report.sectors.right = 0;
        report.stock.hits.clear();
        report.tresor.aeskeyfind.ours = 2;
        let verdict = report.verdict();
        assert_eq!(verdict.outcome, Outcome::FoundInRam);
        assert_eq!(verdict.problems.len(), 4);
    }
}
