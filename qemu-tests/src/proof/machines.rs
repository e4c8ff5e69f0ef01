// SPDX-License-Identifier: GPL-2.0

//! The methods that boot machines: groups of the scenarios that `cargo xtask test qemu` runs, among them controls that leak.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use anyhow::{ensure, Context as _, Result};

use super::{Control, Counts, Depth, Findings, Method, Setting};
use crate::scan::bytes_scanned;
use crate::scenarios::{self, Scenario, STORING_CHANNELS};

/// Machines at the same time.
const MACHINES: usize = 2;

/// Scenarios with which the leaks of the shipped kernel are looked for, and others that must find some.
pub(super) struct Machines {
    name: &'static str,
    about: &'static str,
    /// How the names of the scenarios begin. Those with `::control` in their names are controls.
    begins: &'static [&'static str],
    /// Scenarios that are controls, too, by the beginning of their names, and the channels that each of them must catch.
    controls: &'static [(&'static str, &'static [&'static str])],
}

/// Every store.
pub(super) const STORES: Machines = Machines {
    name: "stores",
    about: "watches every store of a machine from power-on to the end, with each engine that QEMU can run",
    begins: &["qemu::watch::", "qemu::newer_qemu::"],
    controls: &[
        ("qemu::watch::control_stock_aes", &["stock-aes"]),
        ("qemu::watch::control_self_tests", &["stock-aes-self-test"]),
        ("qemu::newer_qemu::control_frames", &["cpu-frame"]),
        ("qemu::controls::stores_are_seen", STORING_CHANNELS),
    ],
};

/// Interrupts.
pub(super) const STORM: Machines = Machines {
    name: "storm",
    about: "interrupts windows and engines at every instruction, on every CPU, and watches every store meanwhile",
    begins: &["qemu::storm::", "qemu::guards::"],
    controls: &[
        ("qemu::controls::nmi_unguarded", &["guards-removed-nmi"]),
        (
            "qemu::controls::exceptions_unguarded",
            &["guards-removed-mc-db"],
        ),
        ("qemu::controls::storm", &["guards-removed-storm"]),
        ("qemu::storm::control_cleared", &["wrong-result"]),
    ],
};

/// Snapshots.
pub(super) const RAM: Machines = Machines {
    name: "ram",
    about:
        "searches all RAM at checkpoints, and the dump of a crash, with a scanner of our own and with Debian's aeskeyfind",
    begins: &[
        "qemu::ram::",
        "qemu::snapshots::",
        "qemu::next_kernel::crash_dump",
    ],
    controls: &[
        ("qemu::next_kernel::crash_dump", &["stock-aes-crash-dump"]),
        ("qemu::ram::scan_with_control", &["stock-aes"]),
        (
            "qemu::controls::leaks_are_found",
            &[
                "spill",
                "push",
                "xsave",
                "rep-movsb",
                "schedule",
                "interrupt-frame",
                "virtio-dma",
            ],
        ),
    ],
};

impl Machines {
    /// The scenarios of this method; for the quick run each with one number of CPUs only.
    fn scenarios(&self, depth: Depth) -> Vec<Scenario> {
        let mut all = scenarios::all();
        all.retain(|scenario| {
            let begins = self.begins.iter();
            let controls = self.controls.iter().map(|(name, _)| name);
            begins
                .chain(controls)
                .any(|begin| scenario.name.starts_with(begin))
        });
        let mut seen = BTreeSet::new();
        all.retain(|scenario| {
            let quick = scenario.on_request().is_none();
            depth == Depth::Full || quick && seen.insert(without_cpus(&scenario.name).to_owned())
        });
        all
    }

    fn channels(&self, scenario: &str) -> Vec<String> {
        let listed = self
            .controls
            .iter()
            .find(|(name, _)| *name == without_cpus(scenario));
        match listed {
            Some((_, channels)) => channels.iter().map(|&channel| channel.into()).collect(),
            None => is_control(scenario)
                .then(|| scenario.rsplit("::").next().map(str::to_owned))
                .flatten()
                .into_iter()
                .collect(),
        }
    }

    fn add(&self, findings: &mut Findings, dir: &Path, scenario: &str, result: Result<()>) {
        let error = result.err().map(|error| format!("{error:#}"));
        for channel in self.channels(scenario) {
            findings.controls.push(Control {
                channel,
                caught: error.is_none(),
                detail: format!("{scenario}: {}", error.as_deref().unwrap_or("as expected")),
            });
        }
        if is_control(scenario) {
            return;
        }
        let mut counts = Counts::left_in(dir);
        if let Some(error) = &error {
            findings.wrong.push(format!("{scenario}: {error}"));
        } else {
            // Equalities by chance, which did not come back with other secrets.
            counts.leaks = 0;
        }
        findings.facts.push(format!(
            "{scenario}: {}, {} stores watched, {} interrupts, {} of them in windows, {} of {} results wrong",
            if error.is_none() { "nothing" } else { "FAILED" },
            counts.stores_watched,
            counts.nmis,
            counts.nmis_in_window,
            counts.wrong_results,
            counts.results_compared
        ));
        findings.counts += counts;
    }
}

impl Method for Machines {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn boots(&self) -> bool {
        true
    }

    fn run(&self, setting: &Setting<'_>) -> Result<Findings> {
        let context = setting.machines.as_ref();
        let context = scenarios::Context {
            nmis_in_window: setting.depth.nmis_in_window(),
            ..context.context("there is no kernel to boot")?.clone()
        };
        let context = &context;
        let mut skipped = Vec::new();
        for scenario in self.scenarios(Depth::Full) {
            if let (Some(some), Depth::Quick) = (scenario.on_request(), setting.depth) {
                skipped.push(format!("{}: {}", scenario.name, some.why));
            }
        }
        let mut scenarios = self.scenarios(setting.depth);
        if context.newer_qemu.is_none() {
            scenarios.retain(|scenario| {
                let wants = scenario.is_in_newer_qemu();
                if wants {
                    skipped.push(format!("{}: QEMU 11.1 cannot be had here", scenario.name));
                }
                !wants
            });
        }
        ensure!(!scenarios.is_empty(), "there is no scenario for it");
        let scanned = bytes_scanned();
        let waiting = Mutex::new(scenarios.iter());
        let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
        let done = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..MACHINES {
                scope.spawn(|| {
                    while let Some(scenario) = next() {
                        (setting.progress)(&scenario.name);
                        let result = scenario.run(context);
                        if let Ok(mut done) = done.lock() {
                            done.push((scenario, result));
                        }
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(|error| error.into_inner());
        ensure!(
            done.len() == scenarios.len(),
            "a scenario ended without a result"
        );
        done.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let mut findings = Findings {
            skipped,
            ..Findings::default()
        };
        for (scenario, result) in done {
            self.add(
                &mut findings,
                &scenario.dir(context),
                &scenario.name,
                result,
            );
        }
        findings.counts.ram_scanned = bytes_scanned() - scanned;
        Ok(findings)
    }
}

/// Whether a scenario is there to leak, and looks at nothing else.
fn is_control(scenario: &str) -> bool {
    scenario.contains("::control")
}

/// The name of a scenario without the number of CPUs at its end.
fn without_cpus(scenario: &str) -> &str {
    scenario.rsplit_once('_').map_or(scenario, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_scenarios_and_controls_of_its_own() {
        for method in [STORES, RAM] {
            let scenarios = method.scenarios(Depth::Quick);
            let is_shipped = |scenario: &&Scenario| !is_control(&scenario.name);
            assert!(scenarios.iter().any(|scenario| is_shipped(&scenario)));
            assert!(scenarios
                .iter()
                .any(|scenario| !method.channels(&scenario.name).is_empty()));
            assert!(scenarios.len() < method.scenarios(Depth::Full).len());
        }
    }

    #[test]
    fn a_scenario_that_fails_is_wrong_and_a_control_that_fails_is_missed() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let counts = Counts {
            stores_watched: 5,
            leaks: 1,
            ..Counts::default()
        };
        counts.leave_in(dir.path())?;
        let add = |scenario: &str, result| {
            let mut findings = Findings::default();
            STORES.add(&mut findings, dir.path(), scenario, result);
            findings
        };
        let good = add("qemu::watch::avx_1cpu", Ok(()));
        assert_eq!((good.counts.leaks, good.counts.stores_watched), (0, 5));
        assert!(good.wrong.is_empty() && good.controls.is_empty());
        let bad = add("qemu::watch::avx_1cpu", Err(anyhow::anyhow!("a store")));
        assert_eq!((bad.counts.leaks, bad.wrong.len()), (1, 1));
        let control = add("qemu::watch::control_stock_aes_1cpu", Ok(()));
        assert_eq!(control.controls[0].channel, "stock-aes");
        assert!(control.controls[0].caught && control.counts == Counts::default());
        let new = add(
            "qemu::watch::control_new_1cpu",
            Err(anyhow::anyhow!("nothing")),
        );
        assert_eq!(new.controls[0].channel, "control_new_1cpu");
        assert!(!new.controls[0].caught);
        Ok(())
    }
}
