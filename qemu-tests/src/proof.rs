// SPDX-License-Identifier: GPL-2.0

//! The proof that no key byte reaches RAM: several independent methods, each with controls that it must catch, and one verdict.
//!
//! A [`Method`] looks at the shipped kernel in its own way and says what it counted, what it found wrong, and which of its controls it
//! caught. A control is a leak made on purpose through one channel (a push, a table lookup, ...); a control that is not caught fails
//! the proof, because then nothing is known about that channel. Adding a method is a `Box` in [`methods`].

mod json;
mod machine_code;
mod machines;
mod text;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::scenarios;

pub use json::json;
pub use text::text;

/// How much the proof does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every method and every control, with as few repetitions as show that they work.
    Quick,
    /// The long run.
    Full,
}

impl Depth {
    /// How many NMIs must hit a window, in each engine class.
    pub fn nmis_in_window(self) -> u64 {
        match self {
            Depth::Quick => 2_000,
            Depth::Full => 100_000,
        }
    }
}

/// What the methods look at.
pub struct Setting<'a> {
    /// How much to do.
    pub depth: Depth,
    /// The shipped kernel as it was linked, with symbols; beside it lie the objects it was linked from.
    pub vmlinux: PathBuf,
    /// The control kernel, which leaks on request, linked likewise; `None` if only methods without a machine run.
    pub controls: Option<PathBuf>,
    /// The shipped kernel's boot image, an initramfs, and a directory for files; `None` if only methods without a machine run.
    pub machines: Option<scenarios::Context>,
    /// Tells the person what is being done.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// One way of looking for leaks.
pub trait Method {
    /// Its name: the column of the matrix, and `prove::NAME` as a test. Lower case, one word.
    fn name(&self) -> &'static str;
    /// What it looks at, in one sentence.
    fn about(&self) -> &'static str;
    /// Whether it boots machines.
    fn boots(&self) -> bool;
    /// Runs the check and its controls. An error means that it could not be done, which fails the proof.
    fn run(&self, setting: &Setting<'_>) -> Result<Findings>;
}

/// What a method found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// How much was looked at.
    pub counts: Counts,
    /// What is wrong with the shipped kernel, one text for each finding. Empty if nothing is.
    pub wrong: Vec<String>,
    /// The leaks made on purpose.
    pub controls: Vec<Control>,
    /// Facts for the report: what was declassified, which CPUs ran, statistics.
    pub facts: Vec<String>,
    /// What this method could not do here, and why: counted and printed, never silent.
    pub skipped: Vec<String>,
}

/// A leak made on purpose, and whether the method noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The channel: the row of the matrix. The same channel has the same name in every method: "push", "xsave", "table".
    pub channel: String,
    /// Whether the method caught it, for the right reason.
    pub caught: bool,
    /// What the method said about it, or what it should have said.
    pub detail: String,
}

/// How much was looked at. What a method does not count stays zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Stores of the whole machine that were compared with the secrets.
    pub stores_watched: u64,
    /// Runs of secret bytes that were found in RAM, in the shipped kernel.
    pub leaks: u64,
    /// NMIs injected.
    pub nmis: u64,
    /// Those of them that interrupted a window.
    pub nmis_in_window: u64,
    /// Results that were compared with what the oracle computes: data units.
    pub results_compared: u64,
    /// Those of them that were wrong.
    pub wrong_results: u64,
    /// Control-flow edges of the machine code that were followed to a fixed point.
    pub paths: u64,
    /// Places in it where something secret goes where it must not.
    pub tainted_sinks: u64,
    /// Bytes of RAM searched.
    pub ram_scanned: u64,
}

/// The file beside a scenario's logs in which it leaves its counts.
const COUNTS: &str = "counts.json";

impl Counts {
    /// Leaves the counts beside a scenario's logs.
    pub fn leave_in(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_string(self)?;
        Ok(fs_err::write(dir.join(COUNTS), text)?)
    }

    /// The counts of a scenario; nothing if it counts nothing.
    pub(crate) fn left_in(dir: &Path) -> Self {
        let text = fs_err::read_to_string(dir.join(COUNTS)).ok();
        let counts = text.and_then(|text| serde_json::from_str(&text).ok());
        counts.unwrap_or_default()
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.stores_watched += other.stores_watched;
        self.leaks += other.leaks;
        self.nmis += other.nmis;
        self.nmis_in_window += other.nmis_in_window;
        self.results_compared += other.results_compared;
        self.wrong_results += other.wrong_results;
        self.paths += other.paths;
        self.tainted_sinks += other.tainted_sinks;
        self.ram_scanned += other.ram_scanned;
    }
}

/// Every method, in the order of the report.
pub fn methods() -> Vec<Box<dyn Method>> {
    vec![
        Box::new(machine_code::MachineCode),
        Box::new(machines::STORES),
        Box::new(machines::STORM),
        Box::new(machines::RAM),
    ]
}

/// What all methods found.
#[derive(Debug, Default)]
pub struct Proof {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    about: &'static str,
    result: Result<Findings, String>,
}

impl Proof {
    /// Runs the methods one after the other. A method that cannot be run does not keep the others from it.
    pub fn run(methods: &[Box<dyn Method>], setting: &Setting<'_>) -> Self {
        let mut proof = Self::default();
        for method in methods {
            (setting.progress)(method.name());
            let result = method.run(setting);
            proof.add(method.name(), method.about(), result);
        }
        proof
    }

    fn add(&mut self, name: &'static str, about: &'static str, result: Result<Findings>) {
        self.parts.push(Part {
            name,
            about,
            result: result.map_err(|error| format!("{error:#}")),
        });
    }

    /// Everything that was counted.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for (_, findings) in self.findings() {
            sum += findings.counts;
        }
        sum
    }

    /// Why the proof fails, one text for each reason. Empty if it holds.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if self.parts.is_empty() {
            failures.push("no method was run".to_owned());
        }
        for Part { name, result, .. } in &self.parts {
            match result {
                Err(error) => failures.push(format!("{name}: could not be done: {error}")),
                Ok(findings) => failures.extend(findings.failures(name)),
            }
        }
        failures
    }

    /// Whether nothing was found in the shipped kernel, and every control was caught.
    pub fn holds(&self) -> bool {
        self.failures().is_empty()
    }

    fn findings(&self) -> impl Iterator<Item = (&'static str, &Findings)> {
        self.parts
            .iter()
            .filter_map(|part| Some((part.name, part.result.as_ref().ok()?)))
    }
}

impl Findings {
    /// Why the method called `name` fails.
    pub fn failures(&self, name: &str) -> Vec<String> {
        let mut failures: Vec<_> = self
            .wrong
            .iter()
            .map(|text| format!("{name}: {text}"))
            .collect();
        if self.counts.leaks + self.counts.wrong_results + self.counts.tainted_sinks > 0
            && self.wrong.is_empty()
        {
            failures.push(format!(
                "{name}: it counted something wrong: {:?}",
                self.counts
            ));
        }
        let missed = self.controls.iter().filter(|control| !control.caught);
        failures.extend(missed.map(|control| {
            format!(
                "{name}: did not catch the control `{}`: {}",
                control.channel, control.detail
            )
        }));
        if self.controls.is_empty() {
            failures.push(format!("{name}: has no control that was run"));
        }
        failures
    }
}

#[cfg(test)]
mod tests;
