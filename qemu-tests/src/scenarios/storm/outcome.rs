// SPDX-License-Identifier: GPL-2.0

//! What a storm did, from the counters and bit maps of the plugin.

use anyhow::{Context, Result};
use fs_err as fs;
use tresor::class::Class;
use watcher::shared::{Shared, Vector};

use crate::machine::Machine;
use crate::scenarios::lab::Lab;
use crate::watcher::symbols::Symbols;
use crate::watcher::Watched;

/// What a storm did.
pub(super) struct Outcome {
    /// Counts and finds of the last machine.
    pub(super) watched: Watched,
    /// Each instruction that stored a secret in both runs, as text.
    pub(super) leaks: Vec<String>,
    /// Interrupts in windows, on each CPU.
    pub(super) in_windows: Vec<u64>,
    /// How often the guard in the kernel's entries says that it found a window interrupted.
    pub(super) guard_hits: u64,
    /// Boundaries in windows that were never interrupted on some CPU, as text.
    pub(super) missed: Vec<String>,
    /// Boundaries in the engine at which instructions ran.
    pub(super) engine_boundaries: usize,
    /// How many of those were interrupted.
    pub(super) engine_interrupted: usize,
}

impl Outcome {
    /// The figures, in lines.
    fn text(&self) -> String {
        format!(
            "{} interrupts, {} in windows (on each CPU: {:?}), {} in the engine\n\
             {} of {} boundaries of the engine's code\n",
            self.watched.injected,
            self.watched.in_windows,
            self.in_windows,
            self.watched.in_engines,
            self.engine_interrupted,
            self.engine_boundaries,
        )
    }

    /// Leaves them beside the logs.
    pub(super) fn note(&self, lab: &Lab<'_>) -> Result<()> {
        Ok(fs::write(lab.dir.join("storm.txt"), self.text())?)
    }
}

/// Interrupts in windows so far, for each CPU.
pub(super) fn in_windows(shared: &Shared, cpus: u32) -> Vec<u64> {
    shared.cpus[..cpus as usize]
        .iter()
        .map(|cpu| cpu.in_windows.load(std::sync::atomic::Ordering::Relaxed))
        .collect()
}

/// What the bit maps of a standing machine say.
pub(super) fn outcome(
    machine: &Machine,
    symbols: &Symbols,
    class: Class,
    vector: Vector,
) -> Result<Outcome> {
    let shared = &machine.watcher()?.shared;
    let ranges = symbols.storm(class, machine.home())?;
    let base = ranges.windows.iter().map(|range| range.start).min();
    let base = base.context("the kernel has no windows")?;
    // The first boundaries are those of the instructions that the caller runs; there is nothing of S in a register yet.
    let before = if vector == Vector::Debug { 2 } else { 1 };
    let mut missed = Vec::new();
    for (number, cpu) in shared.cpus[..machine.cpus() as usize].iter().enumerate() {
        let hit: Vec<u64> = cpu.window_hits.iter().map(|bit| base + bit).collect();
        let run: Vec<u64> = cpu.window_runs.iter().map(|bit| base + bit).collect();
        for routine in &ranges.windows {
            let run = run.iter().filter(|address| routine.contains(**address));
            missed.extend(
                run.skip(before)
                    .filter(|address| !hit.contains(address))
                    .map(|address| format!("CPU {number}: {}", symbols.name(*address))),
            );
        }
    }
    let engine_run: Vec<u64> = shared.engine_runs.iter().collect();
    let engine_hit: Vec<u64> = shared.engine_hits.iter().collect();
    Ok(Outcome {
        watched: Watched::default(),
        leaks: Vec::new(),
        guard_hits: 0,
        in_windows: in_windows(shared, machine.cpus()),
        missed,
        engine_interrupted: engine_run
            .iter()
            .filter(|bit| engine_hit.contains(bit))
            .count(),
        engine_boundaries: engine_run.len(),
    })
}
