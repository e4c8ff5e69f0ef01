// SPDX-License-Identifier: GPL-2.0

//! The place with the most traces, close up: an expanded key is a solid band of colour.

use std::collections::BTreeMap;

use super::super::ram_map::Trace;
use super::super::Run;
use super::escape::Escaped;
use crate::scan::Hit;

/// Bytes of a square, squares of a row, and rows.
const SQUARE: u64 = 16;
const COLUMNS: u64 = 32;
const ROWS: u64 = 4;
const WINDOW: u64 = SQUARE * COLUMNS * ROWS;

/// Side of a square in the drawing's units.
const SIDE: u64 = 20;

/// The window of the run with the most traces; nothing if there are fewer than two traces in one place.
pub(super) fn zoom(run: &Run) -> String {
    let mut windows: BTreeMap<u64, Vec<&Hit>> = BTreeMap::new();
    for hit in &run.hits {
        windows.entry(hit.offset / WINDOW).or_default().push(hit);
    }
    let Some((window, hits)) = windows.into_iter().max_by_key(|(_, hits)| hits.len()) else {
        return String::new();
    };
    if hits.len() < 2 {
        return String::new();
    }
    let start = window * WINDOW;
    let squares: String = squares(start, &hits)
        .iter()
        .map(|(number, hit)| square(*number, hit))
        .collect();
    format!(
        "<p class=\"note\">Close up: the {WINDOW} bytes at <code>{start:#x}</code>, {} traces, {SQUARE} bytes a square</p>\n\
         <svg class=\"map\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Close-up of the place with the most traces\">\n\
         <rect class=\"free\" width=\"{width}\" height=\"{height}\"/>\n{squares}</svg>\n",
        hits.len(),
        width = COLUMNS * SIDE,
        height = ROWS * SIDE,
    )
}

/// The squares that hold at least a byte of a trace.
fn squares<'a>(start: u64, hits: &[&'a Hit]) -> BTreeMap<u64, &'a Hit> {
    let mut squares = BTreeMap::new();
    for hit in hits {
        let first = (hit.offset - start) / SQUARE;
        let last = (hit.offset - start + hit.len as u64 - 1) / SQUARE;
        for number in first..=last.min(COLUMNS * ROWS - 1) {
            squares.entry(number).or_insert(*hit);
        }
    }
    squares
}

fn square(number: u64, hit: &Hit) -> String {
    format!(
        "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{side}\" height=\"{side}\"><title>{:#x}: {}</title></rect>\n",
        Trace::of(hit).class(),
        number % COLUMNS * SIDE + 1,
        number / COLUMNS * SIDE + 1,
        hit.offset,
        Escaped(&hit.label),
        side = SIDE - 2,
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    #[test]
    fn the_fullest_place_is_shown() {
        let run = sample::report().stock;
        let page = zoom(&run);
        // 13 forward and 13 inverse round keys of the sample, each in a square of its own.
        assert_eq!(page.matches("class=\"t-round\"").count(), 26);
        assert!(page.contains("0x1c923000"), "{page}");
    }

    #[test]
    fn a_trace_across_squares_colours_all_it_touches() {
        let mut run = sample::report().stock;
        run.hits.truncate(1);
        run.hits[0].offset = 2 * WINDOW + 8;
        run.hits[0].len = 32;
        assert_eq!(squares(2 * WINDOW, &[&run.hits[0]]).len(), 3);
        run.hits[0].offset = 3 * WINDOW - 8;
        assert_eq!(
            squares(2 * WINDOW, &[&run.hits[0]]).len(),
            1,
            "the rest is outside"
        );
    }

    #[test]
    fn without_traces_there_is_nothing_to_show() {
        assert_eq!(zoom(&sample::report().tresor), "");
    }
}
