// SPDX-License-Identifier: GPL-2.0

//! The machine code itself: the crate `taint` follows secrets through every path of the engines and windows.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{ensure, Result};
use taint::kernel::Image;
use taint::{
    check, controls, debug_register_uses, mutants, static_calls, Mark, Outcome, Program, Rule,
};

use super::{Control, Depth, Findings, Method, Setting};

/// Follows secrets through the linked code.
pub(super) struct MachineCode;

impl Method for MachineCode {
    fn name(&self) -> &'static str {
        "taint"
    }

    fn about(&self) -> &'static str {
        "follows secrets through every path of the engines and windows in the linked kernel"
    }

    fn boots(&self) -> bool {
        false
    }

    fn run(&self, setting: &Setting<'_>) -> Result<Findings> {
        let image = Image::read(&setting.vmlinux)?;
        let program = image.program()?;
        let mut findings = Findings::default();
        let mut outcomes = BTreeMap::new();
        for (name, function) in &program {
            let outcome = check(&program, function);
            findings.counts.paths += outcome.edges;
            findings.counts.tainted_sinks += outcome.findings.len() as u64;
            let wrong = outcome.findings.iter().map(ToString::to_string);
            findings.wrong.extend(wrong);
            outcomes.insert(name.as_str(), outcome);
        }
        findings.facts.push(format!(
            "{} functions, {} bytes of code, {} steps between instructions, each followed until nothing new came",
            program.len(),
            program.values().map(|function| function.code.len()).sum::<usize>(),
            findings.counts.paths,
        ));
        findings.facts.extend(declared(&program, &outcomes));
        debug_registers(&image, &program, &mut findings)?;
        let (calls, wrong) = static_calls(&image)?;
        findings.wrong.extend(wrong);
        findings.facts.push(format!(
            "{calls} static calls go to engines; each place where one is made was looked up in the kernel's list"
        ));
        for control in controls::controls()? {
            let detail = format!("{}: {:?}", control.name, control.found);
            let first = control.found.first().map(String::as_str);
            findings.facts.push(format!(
                "control: {}",
                first.unwrap_or("nothing, as expected")
            ));
            match control.channel {
                Some(channel) => findings.controls.push(Control {
                    channel: channel.to_owned(),
                    caught: control.caught,
                    detail,
                }),
                None if control.caught => (),
                None => findings
                    .wrong
                    .push(format!("finds a leak where there is none: {detail}")),
            }
        }
        if let Some(vmlinux) = &setting.controls {
            control_kernel(vmlinux, &mut findings)?;
        }
        if setting.depth == Depth::Full {
            let wipes = mutants::without_a_wipe(&program);
            let registers = mutants::with_another_register(&program);
            findings.facts.push(format!(
                "changed engines noticed: {} of {} without a wipe, {} of {} with another register in one instruction",
                wipes.noticed, wipes.all, registers.noticed, registers.all
            ));
        }
        Ok(findings)
    }
}

/// How the names of the functions begin that leak in the control kernel; the rest is the channel.
const LEAK: &str = "tresor_leak_";

/// What the check must say, at least, about each channel of the control kernel.
const LEAKS: &[(&str, Rule)] = &[
    ("spill", Rule::SecretStored),
    ("push", Rule::SecretStored),
    ("xsave", Rule::SecretStored),
    ("rep-movsb", Rule::UndeclaredStore),
    ("schedule", Rule::SecretStored),
    ("interrupt-frame", Rule::SecretInGeneral),
    ("unwiped", Rule::SecretLeft),
    ("branch", Rule::SecretBranch),
    ("table", Rule::SecretAddress),
];

/// The leaks that the control kernel has been built with; a channel without an expected rule is missed.
fn control_kernel(vmlinux: &Path, findings: &mut Findings) -> Result<()> {
    let program = Image::read(vmlinux)?.program()?;
    let before = findings.controls.len();
    for (name, function) in &program {
        let Some(channel) = name.strip_prefix(LEAK).map(|name| name.replace('_', "-")) else {
            continue;
        };
        let expected = LEAKS.iter().find(|(name, _)| *name == channel);
        let found = check(&program, function).findings;
        let reason = expected.and_then(|(_, rule)| found.iter().find(|found| found.rule == *rule));
        let detail = match reason {
            Some(reason) => reason.to_string(),
            None => format!("{expected:?} expected, found {found:?}"),
        };
        findings
            .facts
            .push(format!("control kernel: {channel}: {detail}"));
        findings.controls.push(Control {
            channel,
            caught: reason.is_some(),
            detail,
        });
    }
    ensure!(
        findings.controls.len() - before == LEAKS.len(),
        "the control kernel does not have the channels that are listed here"
    );
    Ok(())
}

/// Every place where something is let out, by function.
fn declared(program: &Program, outcomes: &BTreeMap<&str, Outcome>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut totals: BTreeMap<Mark, usize> = BTreeMap::new();
    for (name, outcome) in outcomes {
        let mut by_mark: BTreeMap<Mark, Vec<String>> = BTreeMap::new();
        for (offset, (mark, _)) in &outcome.declared {
            by_mark
                .entry(*mark)
                .or_default()
                .push(format!("+{offset:#x}"));
            *totals.entry(*mark).or_default() += 1;
        }
        let file = program.get(*name).map_or("", |function| &function.file);
        for (mark, offsets) in by_mark {
            lines.push(format!(
                "{file}: {name}: {}: {}",
                mark.name(),
                offsets.join(" ")
            ));
        }
    }
    let totals: Vec<_> = totals
        .iter()
        .map(|(mark, count)| format!("{count} {}", mark.name()))
        .collect();
    lines.insert(0, format!("declared in the source: {}", totals.join(", ")));
    lines
}

fn debug_registers(image: &Image, program: &Program, findings: &mut Findings) -> Result<()> {
    let mut known: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for used in debug_register_uses(image, program)? {
        match used.why {
            Some(why) => *known.entry((used.place, why)).or_default() += 1,
            None => {
                findings.counts.tainted_sinks += 1;
                findings.wrong.push(format!(
                    "{} at {:#x} uses a debug register that may hold S: {}",
                    used.place, used.address, used.instruction
                ));
            }
        }
    }
    findings.facts.push(
        "outside of these functions DR0 to DR3 are read nowhere; they are written in".to_owned(),
    );
    for ((place, why), count) in known {
        findings
            .facts
            .push(format!("  {place}, {count} times: {why}"));
    }
    Ok(())
}
