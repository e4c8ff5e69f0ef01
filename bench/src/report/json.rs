// SPDX-License-Identifier: GPL-2.0
//! The ratios as JSON: one object for each competitor, baseline and cell.

use anyhow::Result;
use serde::Serialize;

use crate::results::Results;
use crate::workload::direction_name;

#[derive(Serialize)]
struct Row {
    engine: &'static str,
    baseline: &'static str,
    /// Of one data unit.
    bytes: usize,
    units: usize,
    direction: &'static str,
    mode: &'static str,
    /// Throughput of `engine` relative to `baseline`.
    ratio: f64,
    /// Cycles per byte of `engine`.
    cpb: f64,
}

pub(super) fn json(results: &Results) -> Result<String> {
    let mut rows = Vec::new();
    for cell in results.cells() {
        for (engine, _) in results.competitors() {
            for baseline in results.baselines() {
                let (Some(ratio), Some(sample)) = (
                    results.ratio(cell, engine, baseline),
                    results.sample(cell, engine),
                ) else {
                    continue;
                };
                rows.push(Row {
                    engine,
                    baseline,
                    bytes: cell.workload.bytes,
                    units: cell.workload.units,
                    direction: direction_name(cell.direction),
                    mode: cell.mode.name(),
                    ratio: rounded(ratio),
                    cpb: rounded(sample.minimum),
                });
            }
        }
    }
    // Each row on a line of its own, so that two reports can be compared by lines.
    let lines = rows
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

/// To four digits after the point: more are noise.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_documented_fields() {
        let text = json(&crate::results::tests::example()).expect("no number is special");
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).expect("a list");
        let row = rows
            .iter()
            .find(|row| row["engine"] == "tresor-aesni" && row["baseline"] == "kernel-best")
            .expect("the engine against the kernel's best");
        assert_eq!(
            *row,
            serde_json::json!({
                "engine": "tresor-aesni", "baseline": "kernel-best", "bytes": 4096, "units": 1,
                "direction": "encrypt", "mode": "isolated", "ratio": 0.25, "cpb": 1.0,
            })
        );
    }
}
