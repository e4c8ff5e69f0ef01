// SPDX-License-Identifier: GPL-2.0

//! The figures of the proof, for programs.

use serde::Serialize;

use super::Proof;

/// The figures. Field names are an interface: scripts read them.
#[derive(Serialize)]
struct Figures<'a> {
    stores_watched: u64,
    leaks: u64,
    nmis: u64,
    nmis_in_window: u64,
    wrong_results: u64,
    paths: u64,
    tainted_sinks: u64,
    controls: Vec<Control<'a>>,
}

#[derive(Serialize)]
struct Control<'a> {
    channel: &'a str,
    check: &'a str,
    caught: bool,
}

/// The figures as one line of JSON.
pub fn json(proof: &Proof) -> String {
    let counts = proof.counts();
    let controls = proof.findings().flat_map(|(check, findings)| {
        findings.controls.iter().map(move |control| Control {
            channel: &control.channel,
            check,
            caught: control.caught,
        })
    });
    let figures = Figures {
        stores_watched: counts.stores_watched,
        leaks: counts.leaks,
        nmis: counts.nmis,
        nmis_in_window: counts.nmis_in_window,
        wrong_results: counts.wrong_results,
        paths: counts.paths,
        tainted_sinks: counts.tainted_sinks,
        controls: controls.collect(),
    };
    serde_json::to_string(&figures).expect("numbers, booleans and words are always JSON")
}
