// SPDX-License-Identifier: GPL-2.0

//! The proof as text: the matrix, the counts, the facts, the verdict, and what no method can see.

use std::fmt::Write;

use super::Proof;

/// Outside of what any of the methods can see.
const OUTSIDE: &[&str] = &[
    "system management mode and firmware: they can read every register",
    "a hypervisor below the kernel: it saves the registers of its guests",
    "microarchitecture: what speculation, sampling or power consumption tell of register contents",
    "real hardware: machines run under QEMU's TCG, whose CPU is an emulation",
];

/// The report.
pub fn text(proof: &Proof) -> String {
    let mut out = String::new();
    write(&mut out, proof).expect("writing to a string does not fail");
    out
}

fn write(out: &mut String, proof: &Proof) -> std::fmt::Result {
    matrix(out, proof)?;
    let counts = proof.counts();
    writeln!(out)?;
    for (name, count) in [
        ("stores watched", counts.stores_watched),
        ("leaks", counts.leaks),
        ("NMIs injected", counts.nmis),
        ("  in windows", counts.nmis_in_window),
        ("results compared", counts.results_compared),
        ("  wrong", counts.wrong_results),
        ("paths followed", counts.paths),
        ("tainted sinks", counts.tainted_sinks),
        ("RAM scanned, bytes", counts.ram_scanned),
    ] {
        writeln!(out, "{name:<20} {count:>15}")?;
    }
    for part in &proof.parts {
        writeln!(out, "\n{}: {}", part.name, part.about)?;
        let Ok(findings) = &part.result else { continue };
        for fact in &findings.facts {
            writeln!(out, "  {fact}")?;
        }
        for skipped in &findings.skipped {
            writeln!(out, "  not done: {skipped}")?;
        }
    }
    writeln!(out, "\nno method can see:")?;
    for outside in OUTSIDE {
        writeln!(out, "  {outside}")?;
    }
    let failures = proof.failures();
    writeln!(out)?;
    for failure in &failures {
        writeln!(out, "FAILED  {failure}")?;
    }
    let controls: usize = proof.findings().map(|(_, f)| f.controls.len()).sum();
    if failures.is_empty() {
        let names: Vec<_> = proof.parts.iter().map(|part| part.name).collect();
        writeln!(
            out,
            "Nothing was found by: {}. All {controls} leaks made on purpose were caught.",
            names.join(", ")
        )
    } else {
        writeln!(out, "This proves nothing: see above.")
    }
}

/// Channels down, methods across. A blank means that the method is not meant for the channel.
fn matrix(out: &mut String, proof: &Proof) -> std::fmt::Result {
    let mut channels: Vec<&str> = Vec::new();
    for (_, findings) in proof.findings() {
        for control in &findings.controls {
            if !channels.contains(&control.channel.as_str()) {
                channels.push(&control.channel);
            }
        }
    }
    let title = "leak made on purpose";
    let first = channels.iter().map(|channel| channel.len());
    let first = first.chain([title.len()]).max().unwrap_or_default();
    write!(out, "{title:<first$}")?;
    for part in &proof.parts {
        write!(out, "  {:<8}", part.name)?;
    }
    writeln!(out)?;
    for channel in channels {
        let mut line = format!("{channel:<first$}");
        for part in &proof.parts {
            let of_channel = part.result.iter().flat_map(|findings| &findings.controls);
            let caught: Vec<bool> = of_channel
                .filter(|control| control.channel == channel)
                .map(|control| control.caught)
                .collect();
            let word = match caught.as_slice() {
                [] => "",
                all if all.iter().all(|caught| *caught) => "caught",
                _ => "MISSED",
            };
            write!(line, "  {word:<width$}", width = part.name.len().max(8))?;
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
