// SPDX-License-Identifier: GPL-2.0
//! What a person and a program get to see of the results.

use crate::competitor::Roster;
use crate::machine::Machine;
use crate::results::Results;

mod json;
mod svg;
mod text;

/// Everything that a report is made of.
#[derive(Debug)]
pub struct Report {
    /// The machine.
    pub machine: Machine,
    /// For example `XTS-AES-256`.
    pub cipher: &'static str,
    /// Whether the bars are about this cipher.
    pub bars_apply: bool,
    /// Those who were not measured, and why.
    pub absent: Vec<(&'static str, String)>,
    /// Versions of what came from outside this repository.
    pub versions: Vec<String>,
    /// The samples.
    pub results: Results,
}

impl Report {
    /// Puts it together.
    pub fn new(
        machine: Machine,
        (cipher, bars_apply): (&'static str, bool),
        roster: Roster,
        results: Results,
    ) -> Self {
        Self {
            machine,
            cipher,
            bars_apply,
            absent: roster.absent,
            versions: roster.versions,
            results,
        }
    }

    /// Tables and bars, for a terminal.
    pub fn text(&self) -> String {
        text::text(self)
    }

    /// All ratios.
    pub fn json(&self) -> String {
        json::json(&self.results)
    }

    /// The plot.
    pub fn svg(&self) -> String {
        svg::svg(self)
    }
}
