// SPDX-License-Identifier: GPL-2.0

//! The sections around the maps: the result, the registers, the steps, and what all this does not show.

use std::time::Duration;

use super::super::{Report, Run, Verdict};
use super::escape::Escaped;

/// The result in one sentence, and how it came about.
pub(super) fn header(report: &Report, verdict: &Verdict) -> String {
    let problems: String = verdict
        .problems
        .iter()
        .map(|problem| format!("<li>{}</li>\n", Escaped(problem)))
        .collect();
    let problems = if problems.is_empty() {
        problems
    } else {
        format!("<ul class=\"problems\">\n{problems}</ul>\n")
    };
    format!(
        "<header>\n<p class=\"verdict\">{outcome}</p>\n<h1>{headline}</h1>\n{problems}\
         <p class=\"lead\">A computer with an encrypted disk normally keeps the disk’s key in its memory, where anyone who can read the memory finds it. \
         <em>tresor</em> keeps it in the debug registers of the processor instead. This is a test of that: a real Linux kernel in a virtual machine, \
         its whole memory searched while the disk was open; and beside it, as a control, the same search on a kernel that works the usual way.</p>\n\
         <dl class=\"facts\">\n{facts}</dl>\n</header>\n",
        outcome = Escaped(verdict.outcome),
        headline = Escaped(verdict.headline()),
        facts = facts(report),
    )
}

fn facts(report: &Report) -> String {
    let (files, stock_files) = (report.tresor.files, report.stock.files);
    [
        (
            format!("{} / {}", report.tresor.hits.len(), report.stock.hits.len()),
            "traces of keys in RAM, with tresor / with stock AES",
        ),
        (
            format!(
                "{} / {}",
                report.tresor.aeskeyfind.ours, report.stock.aeskeyfind.ours
            ),
            "keys found by Debian’s aeskeyfind, an attacker’s tool",
        ),
        (
            report.asleep.hits.len().to_string(),
            "traces of keys in RAM while the machine slept, its registers empty",
        ),
        (
            format!("{} of {}", files.right, files.all),
            "files read back intact after the machine had slept",
        ),
        (
            format!("{} of {}", stock_files.right, stock_files.all),
            "of these files stock AES reads, too, given the key",
        ),
        (
            format!("{} of {}", report.sectors.right, report.sectors.all),
            "sectors on the disk exactly as an independent AES computes them",
        ),
    ]
    .iter()
    .map(|(figure, what)| format!("<div><dt>{what}</dt><dd>{figure}</dd></div>\n"))
    .collect()
}

/// The debug registers of every CPU at the moment of the scan.
pub(super) fn registers(report: &Report) -> String {
    let mut rows = String::new();
    for cpu in &report.tresor.registers {
        let cells: String = cpu
            .masked
            .iter()
            .map(|value| format!("<td><code>{value}</code></td>"))
            .collect();
        let (class, mark) = if cpu.holds_secret {
            ("yes", "✓ secret")
        } else {
            ("no", "✗ other")
        };
        rows.push_str(&format!(
            "<tr><th>CPU {}</th><td class=\"{class}\">{mark}</td>{cells}</tr>\n",
            cpu.cpu
        ));
    }
    format!(
        "<section>\n<h2>Where the key was instead</h2>\n\
         <p>Read from outside, while the machine stood still for the search. They are emptied when the machine goes to sleep, and filled when the \
         pass phrase is typed again. The test computed the secret from the pass phrase on its own and compared all \
         256 bits; only the first and last two digits of each register are shown here.</p>\n<div class=\"scroll\">\n<table class=\"registers\">\n\
         <tr><th></th><th></th><th>DR0</th><th>DR1</th><th>DR2</th><th>DR3</th></tr>\n{rows}</table>\n</div>\n</section>\n"
    )
}

/// The steps of both runs, their times as bars of one scale.
pub(super) fn steps(report: &Report) -> String {
    let longest = [&report.tresor, &report.stock]
        .iter()
        .flat_map(|run| &run.steps)
        .map(|step| step.time)
        .max()
        .unwrap_or_default();
    format!(
        "<section>\n<h2>What was done</h2>\n<div class=\"pair\">\n{}{}</div>\n\
         <p class=\"note\">The machine is emulated instruction by instruction, so times here say nothing about the speed of real hardware.</p>\n</section>\n",
        step_list(&report.tresor, "With tresor", longest),
        step_list(&report.stock, "Control", longest),
    )
}

fn step_list(run: &Run, title: &str, longest: Duration) -> String {
    let steps: String = run
        .steps
        .iter()
        .map(|step| {
            let share = 100.0 * step.time.as_secs_f64() / longest.as_secs_f64().max(0.001);
            format!(
                "<li><span>{}</span><span class=\"time\">{:.1} s</span><i class=\"bar\" style=\"width:{share:.1}%\"></i></li>\n",
                Escaped(&step.name),
                step.time.as_secs_f64()
            )
        })
        .collect();
    format!("<div class=\"card\">\n<h3>{title}</h3>\n<ol class=\"steps\">\n{steps}</ol>\n</div>\n")
}

/// What a reader must not conclude.
pub(super) fn limits(report: &Report) -> String {
    let pass_phrase = if report.pass_phrase_searched {
        ""
    } else {
        "<li>The pass phrase was not searched for: it is so short that chance would find it in any memory.</li>\n"
    };
    format!(
        "<section>\n<h2>What this does not show</h2>\n<ul class=\"limits\">\n\
         <li>The search saw memory at two moments, asleep and awake. It does not rule out a trace that was there for a moment earlier, and was overwritten.</li>\n\
         <li>It finds 8 bytes or more of a secret in a row, in plain or rearranged form; not shorter pieces, and not a form it does not know.</li>\n\
         <li>Keys only: files that are open are in memory in plain text, as on every computer.</li>\n\
         <li>The registers protect against someone who reads memory, not against someone who runs code in the kernel, in the firmware, or \
         on the host of a virtual machine.</li>\n\
         <li>An emulator is no processor: what real hardware stores by itself cannot be seen here.</li>\n{pass_phrase}</ul>\n</section>\n"
    )
}

/// The small print: what was tested, and how to repeat it.
pub(super) fn details(report: &Report) -> String {
    let machine = &report.machine;
    format!(
        "<footer>\n<p>Linux {kernel} in QEMU {qemu} · {cpus} · {ram} MiB RAM · XTS with {bits}-bit keys, {sector}-byte sectors · \
         pass phrase through {iterations} rounds of PBKDF2 (few, for a quick test) · scans took {ours:.1} s and {theirs:.1} s</p>\n\
         <p>Repeat it: <code>cargo xtask demo --html report.html</code></p>\n</footer>\n",
        kernel = Escaped(&machine.kernel),
        qemu = Escaped(&machine.qemu),
        cpus = if machine.cpus == 1 { "1 CPU".to_owned() } else { format!("{} CPUs", machine.cpus) },
        ram = machine.ram_bytes >> 20,
        bits = machine.key_bits,
        sector = machine.sector_size,
        iterations = machine.iterations,
        ours = report.tresor.scan_time.as_secs_f64(),
        theirs = report.stock.scan_time.as_secs_f64(),
    )
}
