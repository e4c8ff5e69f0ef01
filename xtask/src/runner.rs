// SPDX-License-Identifier: GPL-2.0
//! Counting and reporting tests of every kind in one list.

use std::collections::VecDeque;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::{mpsc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::progress::clock;

/// Prefixes of the names of all tests.
pub(crate) const FAMILIES: &[&str] = &[
    "unit::",
    "hygiene::",
    "package::",
    "prove::",
    "qemu::",
    "bochs::",
];

/// Which tests the person asked for: those whose name contains the text.
#[derive(Clone, Copy)]
pub(crate) struct Filter<'a>(pub(crate) Option<&'a str>);

impl Filter<'_> {
    /// Is this test wanted?
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.0.is_none_or(|text| name.contains(text))
    }

    /// Can any test be wanted whose name begins with `prefix`? Decides before the names are known.
    ///
    /// A text that is the beginning of a family's names, like `unit` or `unit::tresor`, means this family only.
    pub(crate) fn may_take(&self, prefix: &str) -> bool {
        self.0.is_none_or(|text| {
            let begins = |name: &str| text.starts_with(name) || name.starts_with(text);
            begins(prefix) || !FAMILIES.iter().any(|family| begins(family))
        })
    }
}

/// How a test ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Passed,
    /// Why it did not.
    Failed(String),
    /// Why it could not be tried.
    Skipped(String),
}

impl From<anyhow::Result<()>> for Outcome {
    fn from(result: anyhow::Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}

/// All results so far.
#[derive(Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
    /// What ended as it did at the second try.
    repeated: Vec<String>,
    /// What took its time, in the order of its beginning, and since when.
    stages: Vec<(&'static str, Instant)>,
}

impl Tally {
    /// Prints and counts one result.
    pub(crate) fn record(&mut self, name: &str, outcome: Outcome, time: Option<Duration>) {
        let time = time.map_or_else(String::new, |time| format!(" ({})", clock(time)));
        match outcome {
            Outcome::Passed => {
                println!("ok      {name}{time}");
                self.passed += 1;
            }
            Outcome::Failed(why) => {
                println!("FAILED  {name}{time}");
                for line in why.lines() {
                    println!("        {line}");
                }
                self.failed.push(name.to_owned());
            }
            Outcome::Skipped(why) => {
                println!("skipped {name}: {why}");
                self.skipped += 1;
            }
        }
    }

    /// Tells which of the recorded tests waited in vain, and were run once more alone.
    pub(crate) fn repeated(&mut self, names: Vec<String>) {
        self.repeated.extend(names);
    }

    /// Tells that something begins that may take minutes; what began before has ended.
    pub(crate) fn stage(&mut self, name: &'static str) {
        self.stages.push((name, Instant::now()));
    }

    /// Runs one test here and records it.
    pub(crate) fn run(&mut self, name: &str, test: impl FnOnce() -> anyhow::Result<()>) {
        let started = Instant::now();
        let outcome = guarded(test);
        self.record(name, outcome, Some(started.elapsed()));
    }

    /// Runs tests on `workers` threads and records each as it ends.
    pub(crate) fn run_parallel<T: Send>(
        &mut self,
        workers: usize,
        tests: Vec<(String, T)>,
        run: impl Fn(&str, T) -> anyhow::Result<()> + Sync,
    ) {
        let queue = Mutex::new(VecDeque::from(tests));
        let (sender, results) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..workers {
                let (sender, queue, run) = (sender.clone(), &queue, &run);
                scope.spawn(move || loop {
                    let next = queue
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front();
                    let Some((name, test)) = next else { break };
                    let started = Instant::now();
                    let outcome = guarded(|| run(&name, test));
                    if sender.send((name, outcome, started.elapsed())).is_err() {
                        break;
                    }
                });
            }
            drop(sender);
            for (name, outcome, time) in results {
                self.record(&name, outcome, Some(time));
            }
        });
    }

    /// Prints the failed names and the last line, and turns them into the exit code.
    pub(crate) fn finish(self) -> ExitCode {
        for (what, names) in [
            ("failed", &self.failed),
            (
                "waited in vain, and were run once more alone",
                &self.repeated,
            ),
        ] {
            if !names.is_empty() {
                println!("\n{what}:");
                for name in names {
                    println!("  {name}");
                }
            }
        }
        if self.failed.is_empty() && self.passed + self.skipped == 0 {
            println!(
                "\nno test has that in its name: names begin with {}",
                FAMILIES.join(", ")
            );
        }
        println!("\n{}", self.times());
        println!("{}", self.summary());
        // A filter that selects nothing must not look like success.
        if self.failed.is_empty() && self.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// How long each stage took.
    fn times(&self) -> String {
        let ends = self.stages.iter().skip(1).map(|&(_, begin)| begin);
        let stages: Vec<_> = self
            .stages
            .iter()
            .zip(ends.chain([Instant::now()]))
            .map(|(&(name, begin), end)| format!("{name} {}", clock(end - begin)))
            .collect();
        stages.join(", ")
    }

    fn summary(&self) -> String {
        let mut line = format!("{} passed, {} failed", self.passed, self.failed.len());
        if self.skipped > 0 {
            line.push_str(&format!(", {} skipped", self.skipped));
        }
        line
    }
}

/// A panic is a failure of this test only.
fn guarded(test: impl FnOnce() -> anyhow::Result<()>) -> Outcome {
    match catch_unwind(AssertUnwindSafe(test)) {
        Ok(result) => result.into(),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Outcome::Failed(format!("panicked: {text}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn filters_decide_what_is_prepared() {
        let all = Filter(None);
        assert!(all.takes("unit::x") && all.may_take("qemu::"));
        let unit = Filter(Some("unit::tresor"));
        assert!(unit.may_take("unit::") && !unit.may_take("qemu::") && !unit.may_take("hygiene::"));
        assert!(unit.takes("unit::tresor::slot") && !unit.takes("unit::xtask::apt"));
        let family = Filter(Some("hygiene"));
        assert!(family.may_take("hygiene::") && !family.may_take("unit::"));
        let word = Filter(Some("slot"));
        assert!(FAMILIES.iter().all(|family| word.may_take(family)));
        assert!(!Filter(Some("unit::xtask")).may_take("unit::doc::"));
    }

    #[test]
    fn results_are_counted_whatever_way_a_test_ends() {
        let mut tally = Tally::default();
        let tests: Vec<(String, u32)> = (0..5).map(|n| (format!("t{n}"), n)).collect();
        tally.run_parallel(2, tests, |_, n| match n {
            0 => bail!("an error"),
            1 => panic!("a panic"),
            _ => Ok(()),
        });
        tally.record("s", Outcome::Skipped("no reason".into()), None);
        tally.failed.sort();
        assert_eq!(tally.failed, ["t0", "t1"]);
        assert_eq!(tally.summary(), "3 passed, 2 failed, 1 skipped");
        assert_eq!(tally.times(), "");
        tally.stage("a");
        tally.stage("b");
        assert_eq!(tally.times(), "a 0.0 s, b 0.0 s");
        assert_eq!(tally.finish(), ExitCode::FAILURE);
    }

    #[test]
    fn nothing_tested_is_no_success() {
        assert_eq!(Tally::default().finish(), ExitCode::FAILURE);
        let mut tally = Tally::default();
        tally.run("good", || Ok(()));
        assert_eq!(tally.summary(), "1 passed, 0 failed");
        assert_eq!(tally.finish(), ExitCode::SUCCESS);
    }
}
