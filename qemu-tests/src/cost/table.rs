// SPDX-License-Identifier: GPL-2.0

//! The figures as text.

use std::fmt::Write;

use super::measure::{Case, Direction, Figures};
use super::plan::Kind;
use super::record::Count;

/// What can be spent in an undisturbed count.
const COLUMNS: [Kind; 7] = [
    Kind::Engine,
    Kind::Window,
    Kind::Driver,
    Kind::Fpu,
    Kind::CryptoApi,
    Kind::DmCrypt,
    Kind::Other,
];

/// Tables for a terminal.
pub fn text(figures: &Figures) -> String {
    let mut text = String::from(
        "Instructions in the kernel, counted in an emulated machine (XTS-AES-256; the median of 64, without those that an interrupt met)\n\n",
    );
    text.push_str("One request to the cipher, from the caller's call to its return\n");
    head(&mut text, "bytes");
    for case in &figures.cases {
        row(&mut text, case, &size(case), &case.request);
    }
    text.push_str("\n4096 bytes through dm-crypt's loop, with its requests\n");
    head(&mut text, "requests");
    for case in &figures.cases {
        row(&mut text, case, &case.requests.to_string(), &case.page);
    }
    text.push_str("\nLongest stretches from power-on\n");
    let _ = writeln!(
        text,
        "{:<8} {:>9} {:>12}",
        "engine", "IRQs off", "FPU section"
    );
    for it in &figures.stretches {
        let _ = writeln!(
            text,
            "{:<8} {:>9} {:>12}",
            it.engine, it.irqs_off, it.fpu_section
        );
    }
    text
}

/// Bytes of a request, by data units if it has several.
fn size(case: &Case) -> String {
    let (bytes, unit) = (case.request_bytes(), u64::from(case.sector_size));
    if bytes == unit {
        bytes.to_string()
    } else {
        format!("{} x {unit}", bytes / unit)
    }
}

fn head(text: &mut String, third: &str) {
    let _ = write!(
        text,
        "{:<7} {:<18} {:>6} {:<7} {third:>8} {:>7}",
        "engine", "cipher", "sector", "", "all"
    );
    for kind in COLUMNS {
        let _ = write!(text, " {:>width$}", kind.name(), width = width(kind));
    }
    text.push('\n');
}

fn row(text: &mut String, case: &Case, third: &str, count: &Count) {
    let direction = match case.direction {
        Direction::Encrypt => "encrypt",
        Direction::Decrypt => "decrypt",
    };
    let _ = write!(
        text,
        "{:<7} {:<18} {:>6} {direction:<7} {third:>8} {:>7}",
        case.engine,
        case.cipher,
        case.sector_size,
        count.total()
    );
    for kind in COLUMNS {
        let _ = write!(text, " {:>width$}", count.of(kind), width = width(kind));
    }
    text.push('\n');
}

fn width(kind: Kind) -> usize {
    kind.name().len().max(6)
}
