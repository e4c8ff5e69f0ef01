// SPDX-License-Identifier: GPL-2.0
//! The tables for a terminal.

use std::fmt::{self, Write};

use tresor::handle::Variant;

use super::Report;
use crate::bars::Bar;
use crate::results::{KERNEL_BEST, TABLE_BASELINES};
use crate::workload::{direction_name, Cell, Mode, Workload, DIRECTIONS};

const METHOD: &str = "\
method   one process on one CPU; all competitors in turn in every round, the minimum and the median of all rounds; one request to warm up
         before each timed series of about 32 KiB; keys set before; a request of the kernel or of a library encrypts its IV and the data, one
         of ours also derives the keys from S. S comes from a buffer: user space cannot read the debug registers, so what reading them
         costs is in no figure, for ours and for TRESOR's way. Before timing, all competitors gave the same result for every workload.
         isolated: lfence around every request; isolated-batch: around the batch; back-to-back: nowhere.
         Ratios are throughput: above 1 is faster than the baseline. best = the kernel's fastest engine here, class = the kernel's engine for
         the same CPUs, TRESOR = the whole key schedule for every 16-byte block.";

pub(super) fn text(report: &Report) -> String {
    let mut out = String::new();
    // A String takes everything that is written to it.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> fmt::Result {
    head(report, out)?;
    for workload in Workload::ALL {
        isolated(report, workload, out)?;
    }
    for mode in [Mode::IsolatedBatch, Mode::BackToBack] {
        summary(report, mode, out)?;
    }
    if report.variant == Variant::Aes256 {
        writeln!(
            out,
            "\nbars: throughput that was asked for, isolated, on a CPU with AVX-512 and VAES"
        )?;
        for bar in Bar::ALL {
            writeln!(out, "  {}", bar.judge(&report.results))?;
        }
    }
    Ok(())
}

fn head(report: &Report, out: &mut String) -> fmt::Result {
    writeln!(out, "{}, cycles per byte", report.cipher())?;
    write!(out, "{}", report.machine)?;
    let (least, most) = report.results.cycles_per_tick();
    writeln!(
        out,
        "cycles   of the core: ticks of the time stamp counter ({:.3} GHz) times {least:.3} to {most:.3}, found in each comparison by a \
         chain of dependent instructions",
        report.machine.ticks_per_second / 1e9
    )?;
    writeln!(
        out,
        "harness  an isolated request that does nothing takes {:.0} cycles; they are in every figure",
        report.empty_request
    )?;
    writeln!(out, "others   {}", report.versions.join("; "))?;
    let (fewest, most) = report.results.rounds();
    writeln!(out, "rounds   {fewest} to {most}")?;
    writeln!(out, "{METHOD}")?;
    for (name, why) in &report.absent {
        writeln!(out, "absent   {name}: {why}")?;
    }
    Ok(())
}

/// Both directions of a workload side by side.
fn isolated(report: &Report, workload: Workload, out: &mut String) -> fmt::Result {
    write!(out, "\n{:<20}", format!("{workload} isolated"))?;
    for direction in DIRECTIONS {
        write!(out, " | {:>7} {:>7}", direction_name(direction), "median")?;
        for (heading, _) in TABLE_BASELINES {
            write!(out, " {heading:>6}")?;
        }
    }
    writeln!(out)?;
    for (name, _) in report.results.competitors() {
        write!(out, "{name:<20}")?;
        for direction in DIRECTIONS {
            let cell = Cell {
                workload,
                direction,
                mode: Mode::Isolated,
            };
            if let Some(sample) = report.results.sample(cell, name) {
                write!(out, " | {:>7.3} {:>7.3}", sample.minimum, sample.median)?;
            }
            for (_, baseline) in TABLE_BASELINES {
                let ratio = report.results.ratio(cell, name, baseline);
                write!(out, " {:>6}", ratio.map_or(String::new(), short))?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A whole mode: minimum and ratio to the kernel's best.
fn summary(report: &Report, mode: Mode, out: &mut String) -> fmt::Result {
    let workloads: Vec<Workload> = Workload::ALL
        .into_iter()
        .filter(|workload| Mode::of(*workload).contains(&mode))
        .collect();
    for direction in DIRECTIONS {
        let heading = format!("{} {}", mode.name(), direction_name(direction));
        write!(out, "\n{heading:<22}")?;
        for workload in &workloads {
            write!(out, " | {:>7} {:>5}", workload.to_string(), "best")?;
        }
        writeln!(out)?;
        for (name, _) in report.results.competitors() {
            write!(out, "{name:<22}")?;
            for &workload in &workloads {
                let cell = Cell {
                    workload,
                    direction,
                    mode,
                };
                if let Some(sample) = report.results.sample(cell, name) {
                    let ratio = report.results.ratio(cell, name, KERNEL_BEST);
                    write!(
                        out,
                        " | {:>7.3} {:>5}",
                        sample.minimum,
                        ratio.map_or(String::new(), short)
                    )?;
                }
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// A ratio in five characters.
fn short(ratio: f64) -> String {
    match ratio {
        10.0.. => format!("{ratio:.1}"),
        0.1.. => format!("{ratio:.2}"),
        _ => format!("{ratio:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn ratios_keep_three_digits() {
        assert_eq!(short(45.08), "45.1");
        assert_eq!(short(1.076), "1.08");
        assert_eq!(short(0.0204), "0.020");
    }
}
