// SPDX-License-Identifier: GPL-2.0

//! The two runs side by side: a number, a map of RAM, and what was found.

use std::collections::BTreeMap;

use super::super::ram_map::{marked_cells, totals, Trace, COLUMNS};
use super::super::{Report, Run};
use super::escape::Escaped;
use super::zoom::zoom;

/// Side of a cell in the drawing's units.
const CELL: usize = 10;

/// How far a mark reaches over its cell on each side, and the free border that needs, in the drawing's units.
const OVERLAP: usize = 2;
const BORDER: usize = 3;

/// How many traces the table of a run names one by one.
const LISTED: usize = 200;

/// Both runs with their legend.
pub(super) fn runs(report: &Report) -> String {
    format!(
        "<section aria-label=\"Maps of memory\">\n<div class=\"pair\">\n{}{}</div>\n{}</section>\n",
        run(&report.tresor, "With tresor", "key in registers", report),
        run(
            &report.stock,
            "Control: the kernel’s own AES",
            "same disk, same key, same search",
            report
        ),
        legend(report),
    )
}

fn run(run: &Run, title: &str, note: &str, report: &Report) -> String {
    let count = run.hits.len();
    let things = if count == 1 {
        "trace of keys in RAM"
    } else {
        "traces of keys in RAM"
    };
    let mood = if count == 0 { "none" } else { "some" };
    format!(
        "<div class=\"card\">\n<h2>{title}</h2>\n<p class=\"note\"><code>{cipher}</code> · {note}</p>\n\
         <p class=\"count {mood}\"><strong>{count}</strong> {things}</p>\n{map}\
         <p class=\"axis\"><span>0</span><span>{used} of {all} MiB in use</span><span>{all} MiB</span></p>\n\
         <p class=\"note\"><code>aeskeyfind</code> found {keys} of our keys here.</p>\n{zoom}{list}</div>\n",
        cipher = Escaped(&run.cipher),
        map = map(run),
        used = run.ram_use.used_bytes() >> 20,
        all = report.machine.ram_bytes >> 20,
        keys = if run.aeskeyfind.ours == 0 { "none".to_owned() } else { run.aeskeyfind.ours.to_string() },
        zoom = zoom(run),
        list = list(run),
    )
}

/// The map: first a layer of grey for RAM in use, cells of one shade joined, then a mark for each cell with a trace.
fn map(run: &Run) -> String {
    let cells = run.ram_use.percent.len();
    let rows = cells.div_ceil(COLUMNS).max(1);
    let (width, height) = (COLUMNS * CELL, rows * CELL);
    let marked = marked_cells(run);
    let mut out = format!(
        "<svg class=\"map\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Map of RAM: {} places with traces of keys\">\n\
         <rect class=\"free\" x=\"{BORDER}\" y=\"{BORDER}\" width=\"{width}\" height=\"{height}\"/>\n",
        width + 2 * BORDER,
        height + 2 * BORDER,
        marked.len(),
    );
    for (row, percent) in run.ram_use.percent.chunks(COLUMNS).enumerate() {
        let mut column = 0;
        for same in percent.chunk_by(|a, b| shade(*a) == shade(*b)) {
            if shade(same[0]) > 0 {
                out.push_str(&format!(
                    "<rect class=\"u{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{CELL}\"/>\n",
                    shade(same[0]),
                    column * CELL + BORDER,
                    row * CELL + BORDER,
                    same.len() * CELL,
                ));
            }
            column += same.len();
        }
    }
    for (cell, traces) in &marked {
        out.push_str(&mark(run, *cell, traces));
    }
    out.push_str("</svg>\n");
    out
}

/// 0: empty, 1 to 4: a quarter each.
fn shade(percent: u8) -> u8 {
    percent.div_ceil(25).min(4)
}

/// A mark: one stripe for each kind of trace in the cell.
fn mark(run: &Run, cell: usize, traces: &BTreeMap<Trace, usize>) -> String {
    let what: Vec<_> = traces
        .iter()
        .map(|(trace, count)| format!("{count} × {}", trace.name()))
        .collect();
    let side = CELL + 2 * OVERLAP;
    let (x, y) = (
        cell % COLUMNS * CELL + BORDER - OVERLAP,
        cell / COLUMNS * CELL + BORDER - OVERLAP,
    );
    let mut out = format!(
        "<g class=\"mark\"><title>{:#x}: {}</title><rect class=\"ring\" x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\"/>",
        cell as u64 * run.ram_use.cell_bytes,
        what.join(", "),
    );
    let width = side as f64 / traces.len() as f64;
    for (n, trace) in traces.keys().enumerate() {
        out.push_str(&format!(
            "<rect class=\"{}\" x=\"{:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{side}\"/>",
            trace.class(),
            x as f64 + n as f64 * width,
        ));
    }
    out.push_str("</g>\n");
    out
}

fn list(run: &Run) -> String {
    if run.hits.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<details>\n<summary>Every trace with its address</summary>\n<div class=\"scroll\">\n<table>\n\
         <tr><th>address</th><th>bytes</th><th>what</th></tr>\n",
    );
    for hit in run.hits.iter().take(LISTED) {
        out.push_str(&format!(
            "<tr><td><code>{:#010x}</code></td><td>{}</td><td><i class=\"dot {}\"></i>{}</td></tr>\n",
            hit.offset,
            if hit.is_whole() { hit.len.to_string() } else { format!("{} of {}", hit.len, hit.pattern_len) },
            Trace::of(hit).class(),
            Escaped(&hit.label),
        ));
    }
    out.push_str("</table>\n</div>\n");
    if run.hits.len() > LISTED {
        out.push_str(&format!(
            "<p class=\"note\">and {} more</p>\n",
            run.hits.len() - LISTED
        ));
    }
    out.push_str("</details>\n");
    out
}

fn legend(report: &Report) -> String {
    let (ours, theirs) = (totals(&report.tresor.hits), totals(&report.stock.hits));
    let mut out = String::from("<ul class=\"legend\">\n");
    for trace in Trace::ALL {
        let count = ours.get(&trace).unwrap_or(&0) + theirs.get(&trace).unwrap_or(&0);
        if count > 0 {
            out.push_str(&format!(
                "<li><i class=\"dot {}\"></i>{} <small>{count}</small></li>\n",
                trace.class(),
                trace.name()
            ));
        }
    }
    out.push_str(&format!(
        "<li><i class=\"dot used\"></i>memory in use</li>\n<li><i class=\"dot free\"></i>empty (all zeros)</li>\n</ul>\n\
         <p class=\"note\">Each square is {} KiB; a coloured one holds at least one trace. All of RAM was searched, at every byte, for {} patterns: \
         the keys, every key computed from them, their pieces of 8 bytes, other byte orders, and text.</p>\n",
        report.tresor.ram_use.cell_bytes >> 10,
        report.patterns
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    #[test]
    fn marks_are_where_something_was_found_only() {
        let report = sample::report();
        assert_eq!(map(&report.tresor).matches("class=\"mark").count(), 0);
        assert_eq!(
            map(&report.stock).matches("class=\"mark").count(),
            marked_cells(&report.stock).len()
        );
        assert!(map(&report.stock).contains("round key"));
    }

    #[test]
    fn shades_cover_every_per_cent() {
        assert_eq!([0, 1, 25, 26, 99, 100].map(shade), [0, 1, 1, 2, 4, 4]);
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let mut run = sample::report().stock;
        let hit = run.hits[0].clone();
        run.hits = vec![hit; LISTED + 5];
        assert!(list(&run).contains("and 5 more"));
    }

    #[test]
    fn a_report_without_a_map_still_has_a_page() {
        let mut report = sample::report();
        report.stock.ram_use = Default::default();
        assert!(runs(&report).contains("</svg>"));
    }
}
