// SPDX-License-Identifier: GPL-2.0

//! The report for a terminal.

use super::ram_map::{totals, Trace};
use super::{Checked, Report, Run};

const WIDTH: usize = 32;

/// The report as lines of text, 80 columns wide except for reasons of a failure.
pub fn text(report: &Report) -> String {
    let mut out = table(report);
    if !report.pass_phrase_searched {
        out.push_str("\nThe pass phrase is too short to be searched for: chance would find it.\n");
    }
    let verdict = report.verdict();
    out.push_str(&format!("\n{}\n{}\n", verdict.outcome, verdict.headline()));
    for problem in &verdict.problems {
        out.push_str(&format!("  - {problem}\n"));
    }
    out
}

fn table(report: &Report) -> String {
    let (tresor, stock) = (&report.tresor, &report.stock);
    let mut rows = vec![
        row("", "tresor", "stock AES"),
        row("cipher", &tresor.cipher, &stock.cipher),
        row(
            "secret in debug registers",
            &registers(tresor),
            &registers(stock),
        ),
        row(
            "files read back intact",
            &of(tresor.files),
            &of(stock.files),
        ),
        row(
            "sectors equal to the oracle's",
            &of(report.sectors),
            "(the same disk)",
        ),
        row(
            "registers empty while asleep",
            &format!("{} CPUs", of(report.asleep.empty)),
            "(did not sleep)",
        ),
        row(
            "traces of keys while asleep",
            &report.asleep.hits.len().to_string(),
            "(did not sleep)",
        ),
        row(
            "traces of keys in RAM",
            &tresor.hits.len().to_string(),
            &stock.hits.len().to_string(),
        ),
    ];
    let (ours, theirs) = (totals(&tresor.hits), totals(&stock.hits));
    for trace in Trace::ALL {
        let counts = (
            ours.get(&trace).copied().unwrap_or(0),
            theirs.get(&trace).copied().unwrap_or(0),
        );
        if counts != (0, 0) {
            rows.push(row(
                &format!("  {}", trace.name()),
                &counts.0.to_string(),
                &counts.1.to_string(),
            ));
        }
    }
    rows.push(row(
        "keys of ours aeskeyfind found",
        &keys(tresor),
        &keys(stock),
    ));
    rows.push(row(
        "patterns searched for",
        &report.patterns.to_string(),
        &report.patterns.to_string(),
    ));
    rows.push(row("time of the search", &seconds(tresor), &seconds(stock)));
    let mut out = format!(
        "Linux {} in QEMU {}, {} CPUs, {} MiB of RAM\n\n",
        report.machine.kernel,
        report.machine.qemu,
        report.machine.cpus,
        report.machine.ram_bytes >> 20,
    );
    for row in rows {
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

fn row(name: &str, tresor: &str, stock: &str) -> String {
    format!("{name:WIDTH$} {tresor:22} {stock}")
}

fn of(checked: Checked) -> String {
    format!("{} of {}", checked.right, checked.all)
}

fn registers(run: &Run) -> String {
    let holding = run.registers.iter().filter(|cpu| cpu.holds_secret).count();
    format!("{holding} of {} CPUs", run.registers.len())
}

fn keys(run: &Run) -> String {
    format!("{} (of {} keys)", run.aeskeyfind.ours, run.aeskeyfind.all)
}

fn seconds(run: &Run) -> String {
    format!("{:.1} s", run.scan_time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_good_report_fits_a_terminal_and_says_the_verdict() {
        let text = text(&sample::report());
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert!(text.contains("\nPASSED\n"), "{text}");
        assert!(text.contains("2 of 2 CPUs"), "{text}");
        assert!(text.contains("round key"), "{text}");
    }

    #[test]
    fn reasons_follow_a_bad_verdict() {
        let mut report = sample::report();
        report.stock.hits.clear();
        let text = text(&report);
        assert!(text.contains("CONTROL FAILED"), "{text}");
        assert!(text.lines().last().unwrap().starts_with("  - "), "{text}");
    }

    #[test]
    fn an_unsearched_pass_phrase_is_said() {
        let mut report = sample::report();
        assert!(!text(&report).contains("too short"));
        report.pass_phrase_searched = false;
        assert!(text(&report).contains("too short"));
    }
}
