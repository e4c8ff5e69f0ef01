// SPDX-License-Identifier: GPL-2.0
//! The plot: one panel for each workload, one bar for each competitor, longer is faster.

use std::fmt::Write;

use super::Report;
use crate::competitor::Kind;
use crate::results::KERNEL_BEST;
use crate::workload::{Cell, Direction, Mode, Workload};

const COLUMNS: usize = 2;
const PANEL_WIDTH: usize = 560;
const BAR: usize = 15;
const BAR_PITCH: usize = 19;
/// Where bars begin: names are left of it.
const BARS_X: usize = 150;
/// Length of the longest bar: its figures are right of it.
const BARS_WIDTH: f64 = 270.0;
const HEAD: usize = 96;
const PANEL_HEAD: usize = 34;

/// One bar.
struct Bar {
    name: &'static str,
    kind: Kind,
    cycles_per_byte: f64,
    to_kernel: Option<f64>,
}

pub(super) fn svg(report: &Report) -> String {
    let panels: Vec<(Workload, Vec<Bar>)> = Workload::ALL
        .into_iter()
        .map(|workload| (workload, bars(report, workload)))
        .collect();
    let fastest = panels
        .iter()
        .flat_map(|(_, bars)| bars.iter().map(|bar| bar.cycles_per_byte))
        .fold(f64::INFINITY, f64::min);
    let panel_height = PANEL_HEAD + report.results.competitors().len() * BAR_PITCH + 14;
    // One more place than there are workloads, for the legend.
    let rows = (panels.len() + 1).div_ceil(COLUMNS);
    let (width, height) = (COLUMNS * PANEL_WIDTH + 20, HEAD + rows * panel_height);
    let place = |index: usize| {
        (
            10 + index % COLUMNS * PANEL_WIDTH,
            HEAD + index / COLUMNS * panel_height,
        )
    };

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let machine = &report.machine;
    let title = format!(
        "{}: encryption throughput, longer is faster",
        report.cipher()
    );
    text(
        &mut out,
        (16, 30),
        "font-size=\"20\" font-weight=\"bold\"",
        &title,
    );
    let cpu = format!("{}, {}", machine.cpu, machine.date);
    text(&mut out, (16, 52), "fill=\"#555\"", &cpu);
    let method = "every request isolated by lfence; fastest of many interleaved rounds; figures: cycles per byte, and throughput \
                  relative to the kernel's fastest engine; without reading debug registers";
    text(&mut out, (16, 72), "fill=\"#555\"", method);
    for (index, (workload, bars)) in panels.iter().enumerate() {
        panel(&mut out, place(index), *workload, bars, fastest);
    }
    legend(&mut out, place(panels.len()));
    out.push_str("</svg>\n");
    out
}

/// The bars of a workload, the fastest first.
fn bars(report: &Report, workload: Workload) -> Vec<Bar> {
    let cell = Cell {
        workload,
        direction: Direction::Encrypt,
        mode: Mode::Isolated,
    };
    let results = &report.results;
    let mut bars: Vec<Bar> = results
        .competitors()
        .iter()
        .filter_map(|&(name, kind)| {
            Some(Bar {
                name,
                kind,
                cycles_per_byte: results.sample(cell, name)?.minimum,
                to_kernel: results.ratio(cell, name, KERNEL_BEST),
            })
        })
        .collect();
    bars.sort_by(|a, b| a.cycles_per_byte.total_cmp(&b.cycles_per_byte));
    bars
}

fn panel(out: &mut String, (x, y): (usize, usize), workload: Workload, bars: &[Bar], fastest: f64) {
    let title = if workload.units > 1 {
        format!(
            "{} x {} bytes: tresor in one request, the others in {}",
            workload.units, workload.bytes, workload.units
        )
    } else {
        format!("{} bytes", workload.bytes)
    };
    text(
        out,
        (x + 6, y + 20),
        "font-size=\"14\" font-weight=\"bold\"",
        &title,
    );
    for (index, bar) in bars.iter().enumerate() {
        let top = y + PANEL_HEAD + index * BAR_PITCH;
        let baseline = top + BAR - 3;
        text(
            out,
            (x + BARS_X - 6, baseline),
            "text-anchor=\"end\"",
            bar.name,
        );
        let length = BARS_WIDTH * fastest / bar.cycles_per_byte;
        rect(out, (x + BARS_X, top), length, colour(bar.kind));
        let mut figures = format!("{:.3}", bar.cycles_per_byte);
        if let Some(ratio) = bar.to_kernel {
            let _ = write!(figures, "  ({ratio:.2})");
        }
        let right = x + BARS_X + length as usize + 6;
        text(out, (right, baseline), "fill=\"#555\"", &figures);
    }
}

fn legend(out: &mut String, (x, y): (usize, usize)) {
    let entries = [
        (
            Kind::Engine(None),
            "tresor: the key only in registers, unwrapped for each request",
        ),
        (Kind::Kernel, "the kernel's engines: key schedules in RAM"),
        (Kind::Library, "libraries: key schedules in RAM"),
        (
            Kind::TresorWay,
            "TRESOR (2011): the key schedule again for each block",
        ),
    ];
    for (index, (kind, meaning)) in entries.into_iter().enumerate() {
        let top = y + PANEL_HEAD + index * 26;
        rect(out, (x + 20, top), 22.0, colour(kind));
        text(out, (x + 52, top + BAR - 3), "", meaning);
    }
}

const fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Engine(_) => "#1b8a5a",
        Kind::Kernel => "#3a6ea5",
        Kind::Library => "#a7adb5",
        Kind::TresorWay => "#c8452f",
    }
}

fn rect(out: &mut String, (x, y): (usize, usize), length: f64, colour: &str) {
    let _ = writeln!(
        out,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
    );
}

fn text(out: &mut String, (x, y): (usize, usize), attributes: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" {attributes}>{text}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::results::tests::example;
    use tresor::handle::Variant;

    #[test]
    fn the_fastest_bar_comes_first_and_is_the_longest() {
        let report = Report {
            machine: Machine {
                cpu: "A < B & C".to_owned(),
                features: String::new(),
                ticks_per_second: 1e9,
                date: "2000-01-01".to_owned(),
            },
            variant: Variant::Aes256,
            absent: Vec::new(),
            versions: Vec::new(),
            results: example(),
            empty_request: 0.0,
        };
        let svg = svg(&report);
        assert!(svg.contains("A &lt; B &amp; C"));
        let at = |text: &str| svg.find(text).expect(text);
        // 0.25, 0.5, 1 and 12 cycles per byte
        let order =
            ["270.0", "135.0", "67.5", "5.6"].map(|width| at(&format!("width=\"{width}\"")));
        assert!(order.is_sorted());
        let order = [
            "kernel-vaes-avx512<",
            "kernel-aesni<",
            "tresor-aesni<",
            "tresor-way<",
        ]
        .map(at);
        assert!(order.is_sorted());
    }
}
