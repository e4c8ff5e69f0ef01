// SPDX-License-Identifier: GPL-2.0
//! What a person and a program get to see of the results.

use anyhow::Result;
use tresor::handle::Variant;

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
    /// The cipher.
    pub variant: Variant,
    /// Those who were not measured, and why.
    pub absent: Vec<(&'static str, String)>,
    /// Versions of what came from outside this repository.
    pub versions: Vec<String>,
    /// The samples.
    pub results: Results,
    /// Cycles of an isolated request that does nothing: the part of the harness in every figure.
    pub empty_request: f64,
}

impl Report {
    /// The name of the cipher.
    fn cipher(&self) -> &'static str {
        match self.variant {
            Variant::Aes128 => "XTS-AES-128",
            Variant::Aes256 => "XTS-AES-256",
        }
    }

    /// Tables and bars, for a terminal.
    pub fn text(&self) -> String {
        text::text(self)
    }

    /// All ratios.
    pub fn json(&self) -> Result<String> {
        json::json(&self.results)
    }

    /// The plot.
    pub fn svg(&self) -> String {
        svg::svg(self)
    }
}
