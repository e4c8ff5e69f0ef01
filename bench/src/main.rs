// SPDX-License-Identifier: GPL-2.0
//! Measures, and prints and writes the report. `cargo xtask bench` starts it with a kernel tree.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use bench::bounds::table;
use bench::check;
use bench::competitor::Roster;
use bench::machine::{self, Machine};
use bench::measure::{empty_request, Buffers};
use bench::report::Report;
use bench::results::Results;
use bench::workload::Cell;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use tresor::handle::Variant;

/// How long each competitor-by-competitor comparison takes: 34 of them.
const TIME_PER_CELL: Duration = Duration::from_secs(4);
/// The same with `--quick`.
const QUICK_TIME_PER_CELL: Duration = Duration::from_millis(700);

/// Measures the register-only XTS engines against the kernel's own and against libraries.
#[derive(Parser)]
struct Options {
    /// The kernel source tree whose engines are the baseline.
    #[arg(long, value_name = "DIR")]
    kernel_tree: Option<PathBuf>,
    /// Write all ratios.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the plot.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Take less than a minute; the figures are a little less steady.
    #[arg(long)]
    quick: bool,
    /// XTS-AES-128 instead of XTS-AES-256.
    #[arg(long)]
    aes128: bool,
    /// Measure nothing: calculate how fast the engines could be at best, for every core that is known.
    #[arg(long, requires = "kernel_tree", conflicts_with_all = ["json", "svg", "quick", "aes128"])]
    bounds: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if let (true, Some(tree)) = (options.bounds, &options.kernel_tree) {
        print!("{}", table::text(tree)?);
        return Ok(());
    }
    machine::stay_on_this_cpu()?;
    let variant = if options.aes128 {
        Variant::Aes128
    } else {
        Variant::Aes256
    };
    let mut roster = Roster::set_up(variant, options.kernel_tree.as_deref())?;
    let mut buffers = Buffers::new();
    check::agree(&mut roster.competitors, &mut buffers)?;
    let machine = Machine::look()?;
    let empty_request = empty_request(&mut buffers)?;
    let results = measure(&mut roster, &mut buffers, options.quick)?;
    let report = Report {
        machine,
        variant,
        absent: roster.absent,
        versions: roster.versions,
        results,
        empty_request,
    };
    print!("{}", report.text());
    if let Some(file) = &options.json {
        write(file, &report.json()?)?;
    }
    if let Some(file) = &options.svg {
        write(file, &report.svg())?;
    }
    Ok(())
}

fn measure(roster: &mut Roster, buffers: &mut Buffers, quick: bool) -> Result<Results> {
    let time = if quick {
        QUICK_TIME_PER_CELL
    } else {
        TIME_PER_CELL
    };
    let bar = ProgressBar::new(Cell::all().count() as u64)
        .with_style(ProgressStyle::with_template("{bar:30} {eta:>4}  {msg}")?);
    let results = Results::measure(&mut roster.competitors, buffers, time, &|cell| {
        bar.set_message(cell.to_string());
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    Ok(results)
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs_err::write(file, text).context("the report could not be written")?;
    eprintln!("written: {}", file.display());
    Ok(())
}
