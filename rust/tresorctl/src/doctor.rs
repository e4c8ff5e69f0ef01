// SPDX-License-Identifier: GPL-2.0
//! `tresorctl doctor`: the driver, and whether the machine has what the protection rests on.
//!
//! The kernel says at boot what it can tell of the same properties; here more is looked at, and now.

mod driver;
mod properties;
mod system;

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use tresor::machine::Property;

use driver::Driver;
use system::System;

/// Options of `tresorctl doctor`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Prints JSON, for programs.
    #[arg(long)]
    json: bool,
    /// Looks at the files below DIR instead of those of the running system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Whether the machine has a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It has.
    Ok,
    /// Not entirely.
    Weak,
    /// It has not.
    Missing,
    /// It cannot be seen.
    Unknown,
}

/// What was found about one property.
#[derive(Debug, Serialize)]
struct Finding {
    #[serde(serialize_with = "name")]
    property: Property,
    state: State,
    /// What was seen.
    seen: String,
    /// What it means, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'static str>,
    /// What to do about it, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

fn name<S: serde::Serializer>(property: &Property, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(property.name())
}

impl Finding {
    fn new(property: Property, state: State, seen: impl Into<String>) -> Self {
        let wanting = state != State::Ok;
        Self {
            property,
            state,
            seen: seen.into(),
            meaning: wanting.then(|| property.missing()),
            advice: wanting.then(|| property.advice()),
        }
    }
}

/// Everything.
#[derive(Serialize)]
struct Report {
    driver: Driver,
    machine: Vec<Finding>,
}

/// Looks and prints. What is missing is no failure of this command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let system = System::new(&options.root)?;
    let report = Report {
        driver: Driver::look(&system),
        machine: properties::look(&system),
    };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", text(&report));
    }
    Ok(())
}

fn text(report: &Report) -> String {
    let mut text = String::from("driver\n");
    for line in report.driver.lines() {
        let _ = writeln!(text, "  {line}");
    }
    text.push_str("\nmachine\n");
    for it in &report.machine {
        let state = match it.state {
            State::Ok => "ok",
            State::Weak => "weak",
            State::Missing => "MISSING",
            State::Unknown => "unknown",
        };
        let _ = writeln!(text, "  {state:<8} {:<18} {}", it.property.name(), it.seen);
        if let (Some(meaning), Some(advice)) = (it.meaning, it.advice) {
            let meaning = if it.state == State::Unknown {
                format!("if it is missing: {meaning}")
            } else {
                meaning.to_owned()
            };
            let _ = writeln!(text, "{:11}{meaning}", "");
            let _ = writeln!(text, "{:11}-> {advice}", "");
        }
    }
    text
}
