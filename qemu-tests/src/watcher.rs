// SPDX-License-Identifier: GPL-2.0

//! The store watcher on the harness's side: builds the plugin, tells it the secrets, reads what it counted and found.
//!
//! What the plugin does, and what it cannot see, is said in its crate, [`watcher`](::watcher).

pub mod symbols;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Result};
use watcher::config::{Config, Secret, Storm};
use watcher::report::Hit;
use watcher::shared::{SharedFile, State};

use crate::plugin_build;
use crate::secrets::{Family, Pattern, MIN_RUN};
use symbols::Symbols;

/// Compiles the plugin for QEMU 10.0 and returns the path of the library.
pub fn build(work_dir: &Path) -> Result<PathBuf> {
    plugin_build::build("watcher", "plugin", work_dir)
}

/// Compiles the plugin for QEMU 11.1, in a directory of its own, so that the two do not take turns.
pub fn build_v7(work_dir: &Path) -> Result<PathBuf> {
    plugin_build::build("watcher", "plugin,v7", &work_dir.join("v7"))
}

/// What a machine is to be watched for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The plugin, from [`build`].
    pub library: PathBuf,
    /// What must not be stored.
    pub patterns: Vec<Pattern>,
    /// Where it may be interrupted.
    pub storm: Storm,
}

/// The watcher of one machine.
pub struct Watcher {
    /// The plugin's counters and switches.
    pub shared: SharedFile,
    hits: PathBuf,
}

/// What was counted and found. Sums over all CPUs.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Stores to RAM that were compared with the secrets.
    pub stores: u64,
    /// Stores to devices and ROM, which go to no RAM.
    pub device_stores: u64,
    /// Stores after which a secret was in RAM.
    pub leaks: u64,
    /// Stores after which a long piece of the pass phrase was in RAM.
    pub pass_phrase: u64,
    /// Frames pushed by the CPU that were compared with the secrets.
    pub frames: u64,
    /// Interrupts and exceptions of which QEMU told itself (11.1 and later). Their frames are among the frames.
    pub events: u64,
    /// Words that equal four bytes of a secret, in a run too short for a leak.
    pub short_runs: u64,
    /// How many of those are to be expected by chance.
    pub short_runs_expected: f64,
    /// Interruptions that the plugin asked for.
    pub injected: u64,
    /// Interruptions that came between two instructions of a window.
    pub in_windows: u64,
    /// Interruptions that came between two instructions of an engine.
    pub in_engines: u64,
    /// The finds; the plugin writes only the first ones of each instruction.
    pub hits: Vec<Hit>,
}

impl Watcher {
    /// Writes the plugin's configuration below `private`, a directory that is removed with the machine because the secrets are in it, and
    /// returns what QEMU's option `-plugin` wants. Counters and finds go to `dir`.
    pub fn prepare(
        plan: &Plan,
        ram: &Path,
        ram_bytes: u64,
        dir: &Path,
        private: &Path,
    ) -> Result<(Self, String)> {
        let shared = dir.join("watcher.counters");
        let hits = dir.join("watcher.hits");
        let config_path = private.join("watcher.json");
        let watcher = Self {
            shared: SharedFile::create(&shared)?,
            hits: hits.clone(),
        };
        Config {
            ram: std::path::absolute(ram)?,
            ram_bytes,
            shared: std::path::absolute(&shared)?,
            hits: std::path::absolute(hits)?,
            secrets: plan.patterns.iter().map(secret).collect(),
            storm: plan.storm.clone(),
        }
        .write(&config_path)?;
        let escaped = |path: &Path| path.display().to_string().replace(',', ",,");
        let option = format!(
            "file={},config={}",
            escaped(&plan.library),
            escaped(&config_path)
        );
        Ok((watcher, option))
    }

    /// Everything so far. Fails if the plugin did not watch all of it.
    pub fn watched(&self) -> Result<Watched> {
        let shared = &self.shared;
        ensure!(
            shared.state() == State::Armed,
            "the store watcher is {:?}: the reason is in qemu.log",
            shared.state()
        );
        let unseen = shared.sum(|cpu| &cpu.unseen_stores);
        let unreadable = shared.sum(|cpu| &cpu.unreadable_frames);
        ensure!(
            unseen + unreadable == 0,
            "QEMU did not say where {unseen} stores went, and {unreadable} frames could not be read: nobody looked at them"
        );
        let words = shared.sum(|cpu| &cpu.words);
        let windows = shared
            .random_windows
            .load(std::sync::atomic::Ordering::Relaxed);
        Ok(Watched {
            stores: shared.sum(|cpu| &cpu.stores),
            device_stores: shared.sum(|cpu| &cpu.device_stores),
            leaks: shared.sum(|cpu| &cpu.leaks),
            pass_phrase: shared.sum(|cpu| &cpu.pass_phrase),
            frames: shared.sum(|cpu| &cpu.frames),
            events: shared.sum(|cpu| &cpu.events),
            short_runs: shared.sum(|cpu| &cpu.short_runs),
            short_runs_expected: words as f64 * windows as f64 / 2f64.powi(32),
            injected: shared.sum(|cpu| &cpu.injected),
            in_windows: shared.sum(|cpu| &cpu.in_windows),
            in_engines: shared.sum(|cpu| &cpu.in_engines),
            hits: watcher::report::read(&self.hits)?,
        })
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watcher({})", self.hits.display())
    }
}

impl Watched {
    /// Instructions that stored a secret other than the pass phrase.
    pub fn leaking(&self) -> BTreeSet<u64> {
        self.places(false)
    }

    /// Instructions that stored a long piece of the pass phrase.
    pub fn storing_pass_phrase(&self) -> BTreeSet<u64> {
        self.places(true)
    }

    fn places(&self, pass_phrase: bool) -> BTreeSet<u64> {
        self.hits
            .iter()
            .filter(|hit| hit.pass_phrase == pass_phrase)
            .map(|hit| hit.rip)
            .collect()
    }

    /// The first find of each of these instructions, one text each.
    pub fn describe(&self, places: &BTreeSet<u64>, symbols: &Symbols) -> Vec<String> {
        places
            .iter()
            .filter_map(|rip| self.hits.iter().find(|hit| hit.rip == *rip))
            .map(|hit| {
                format!(
                    "{:#x} ({}): {} bytes of {} from its byte {}, {} of {} bytes to {:#x} (physical {:#x}), CPU {}",
                    hit.rip,
                    symbols.name(hit.rip),
                    hit.run,
                    hit.secret,
                    hit.secret_offset,
                    if hit.pushed { "pushed by the CPU, frame" } else { "store" },
                    hit.size,
                    hit.virt,
                    hit.phys,
                    hit.cpu
                )
            })
            .collect()
    }
}

fn secret(pattern: &Pattern) -> Secret {
    let pass_phrase = pattern.family == Family::PassPhrase;
    Secret {
        label: pattern.label.clone(),
        bytes: pattern.bytes.to_vec(),
        min_run: pattern.min_run as u64,
        pass_phrase,
        // Texts have a longer shortest run.
        random: !pass_phrase && pattern.min_run == MIN_RUN,
    }
}
