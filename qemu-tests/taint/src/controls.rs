// SPDX-License-Identifier: GPL-2.0
//! Engines that leak on purpose, and what must be said about each.

use anyhow::{Context, Result};

use crate::flow::{check, Program};
use crate::function::Function;
use crate::object_file;
use crate::rule::Rule;

/// A leak, its channel and the rules that it breaks, all of them. Names are those of `controls/engines.S` without `control_`.
const CONTROLS: &[(&str, Option<&str>, &[Rule])] = &[
    ("clean", None, &[]),
    ("spill", Some("spill"), &[Rule::SecretStored]),
    (
        "push",
        Some("push"),
        &[Rule::SecretStored, Rule::SecretInGeneral],
    ),
    ("xsave", Some("xsave"), &[Rule::SecretStored]),
    ("fxsave", Some("xsave"), &[Rule::SecretStored]),
    ("rep_movsb", Some("rep-movsb"), &[Rule::UndeclaredStore]),
    ("unwiped", Some("unwiped"), &[Rule::SecretLeft]),
    (
        "unwiped_path",
        Some("unwiped"),
        &[Rule::SecretLeft, Rule::NotWiped],
    ),
    ("branch", Some("branch"), &[Rule::SecretBranch]),
    (
        "table",
        Some("table"),
        &[Rule::SecretInGeneral, Rule::SecretAddress],
    ),
    ("gather", Some("table"), &[Rule::SecretAddress]),
    (
        "general",
        Some("general-register"),
        &[Rule::SecretInGeneral, Rule::SecretLeft],
    ),
    (
        "debug_register",
        Some("general-register"),
        &[Rule::SecretInGeneral],
    ),
    (
        "count",
        Some("variable-shift"),
        &[Rule::SecretInGeneral, Rule::SecretTiming],
    ),
    (
        "vector_shift",
        Some("variable-shift"),
        &[Rule::SecretTiming],
    ),
    (
        "divide",
        Some("division"),
        &[Rule::SecretInGeneral, Rule::SecretTiming],
    ),
    ("flags_pushed", Some("flags"), &[Rule::SecretStored]),
    ("port", Some("port"), &[Rule::SecretInGeneral, Rule::Port]),
    ("elsewhere", Some("result-elsewhere"), &[Rule::Destination]),
    (
        "moved",
        Some("result-elsewhere"),
        &[
            Rule::SecretInGeneral,
            Rule::SecretAddress,
            Rule::Destination,
            Rule::SecretLeft,
        ],
    ),
    ("pass_phrase", Some("pass-phrase"), &[Rule::SecretStored]),
    ("window_left", Some("window"), &[Rule::SecretLeft]),
    ("window_push", Some("window"), &[Rule::SecretStored]),
    ("unknown", Some("unknown-instruction"), &[Rule::Unknown]),
    ("call", Some("call"), &[Rule::Flow, Rule::Declaration]),
    ("jump", Some("call"), &[Rule::Flow, Rule::Declaration]),
];

/// A control and what the check said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Name of the engine that leaks.
    pub name: &'static str,
    /// The channel; none for the engine that leaks nothing.
    pub channel: Option<&'static str>,
    /// Whether exactly the expected rules were named.
    pub caught: bool,
    /// What was found, in words.
    pub found: Vec<String>,
}

/// Runs the check on every control; the first, which does not leak, is `caught` if nothing was found in it.
pub fn controls() -> Result<Vec<Control>> {
    // Vectors, because the parser asks for an aligned beginning.
    let windows = include_bytes!(env!("TAINT_CONTROL_WINDOWS")).to_vec();
    let engines = include_bytes!(env!("TAINT_CONTROLS")).to_vec();
    let program = by_name(object_file::parse(&windows, "windows.S")?);
    let engines = by_name(object_file::parse(&engines, "engines.S")?);
    anyhow::ensure!(
        engines.len() == CONTROLS.len(),
        "controls/engines.S and the list of controls differ"
    );
    let run = |(name, channel, rules): &(&'static str, Option<&'static str>, &[Rule])| {
        let engine = engines.get(&format!("control_{name}"));
        let engine = engine.with_context(|| format!("no control is called {name}"))?;
        let findings = check(&program, engine).findings;
        let mut found: Vec<Rule> = findings.iter().map(|finding| finding.rule).collect();
        found.sort_unstable();
        found.dedup();
        let mut expected = rules.to_vec();
        expected.sort_unstable();
        Ok(Control {
            name,
            channel: *channel,
            caught: found == expected,
            found: findings.iter().map(ToString::to_string).collect(),
        })
    };
    CONTROLS.iter().map(run).collect()
}

fn by_name(functions: Vec<Function>) -> Program {
    let named = functions.into_iter();
    named
        .map(|function| (function.name.clone(), function))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_control_is_caught_for_its_reason() {
        let missed: Vec<_> = super::controls()
            .unwrap()
            .into_iter()
            .filter(|control| !control.caught)
            .collect();
        assert_eq!(missed, []);
    }
}
