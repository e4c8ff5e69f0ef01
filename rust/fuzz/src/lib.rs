// SPDX-License-Identifier: GPL-2.0
//! Feeds a parser with mutations of good inputs, and keeps the first input on which it panics.
//!
//! Guided by answers: an input that gets an answer which no other has got is mutated further, so
//! that errors are reached which need several changes at once. A target should therefore say as
//! much as it can in its answer: the kind of the error, and the place.
//!
//! cargo-fuzz is guided by the branches of the code, which finds more, but needs programs that are
//! not in Debian. These run with every `cargo test`, always with the same inputs;
//! `TRESOR_FUZZ_SECONDS=600` runs each target that long, with other ones each time.

use std::collections::BTreeSet;
use std::env;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

mod mutate;

use mutate::Random;

/// The environment variable that asks for a long run.
pub const SECONDS_VARIABLE: &str = "TRESOR_FUZZ_SECONDS";
/// Inputs of a short run.
const CASES: u64 = 20_000;
/// Inputs that are mutated further at most: a target whose answers never end does not eat memory.
const CORPUS: usize = 4096;

/// What is known of a target's inputs.
#[derive(Clone, Copy, Default)]
pub struct Inputs<'a> {
    /// Good ones.
    pub good: &'a [&'a [u8]],
    /// Pieces that have a meaning.
    pub words: &'a [&'a [u8]],
    /// Makes checksums right again, if the input is one that has them. Done to half of the inputs.
    pub mend: Option<fn(&mut [u8])>,
    /// How many are tried in a short run, if not as many as a fast target takes in a second.
    pub cases: Option<u64>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Report {
    /// Inputs tried.
    pub cases: u64,
    /// All answers.
    pub answers: BTreeSet<String>,
    /// The first input on which the target panicked.
    pub crash: Option<Vec<u8>>,
}

impl Report {
    /// Fails, with the input, if the target has panicked.
    ///
    /// # Panics
    ///
    /// That is how it fails.
    pub fn expect_no_crash(&self) {
        if let Some(input) = &self.crash {
            panic!(
                "input {} of the run, on which it panics:\n{}\n{:?}",
                self.cases,
                hex(input),
                String::from_utf8_lossy(input)
            );
        }
    }

    /// Fails unless the target has given each of these answers: otherwise the inputs do not get as
    /// far into it as they should.
    ///
    /// # Panics
    ///
    /// That is how it fails.
    pub fn expect_answers(&self, answers: &[&str]) {
        for answer in answers {
            assert!(
                self.answers.contains(*answer),
                "no input of {} got the answer {answer}: {:?}",
                self.cases,
                self.answers
            );
        }
    }
}

/// Runs a target, for a moment or as long as the environment says.
///
/// # Panics
///
/// If the environment variable is no number.
pub fn run(inputs: &Inputs<'_>, target: impl Fn(&[u8]) -> String) -> Report {
    let limit = env::var(SECONDS_VARIABLE).ok().map(|text| {
        let seconds = text.parse();
        Duration::from_secs(seconds.expect("TRESOR_FUZZ_SECONDS is to be a number"))
    });
    let Some(limit) = limit else {
        let enough = inputs.cases.unwrap_or(CASES);
        return run_while(inputs, 1, |cases, _| cases < enough, target);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = now.map_or(0, |now| now.as_nanos() as u64);
    run_while(inputs, seed, |_, time| time < limit, target)
}

fn run_while(
    inputs: &Inputs<'_>,
    seed: u64,
    goes_on: impl Fn(u64, Duration) -> bool,
    target: impl Fn(&[u8]) -> String,
) -> Report {
    let mut random = Random::new(seed);
    let mut corpus: Vec<Vec<u8>> = inputs.good.iter().map(|good| good.to_vec()).collect();
    corpus.push(Vec::new());
    let mut report = Report::default();
    let begin = Instant::now();
    while goes_on(report.cases, begin.elapsed()) {
        let mut input = match corpus.get(report.cases as usize) {
            // Each as it is, first.
            Some(input) if report.cases < inputs.good.len() as u64 => input.clone(),
            _ => random.mutation(&corpus, inputs.words),
        };
        if let Some(mend) = inputs.mend.filter(|_| random.below(2) == 0) {
            mend(&mut input);
        }
        report.cases += 1;
        // The target has no state of its own that a panic could leave broken.
        let Ok(answer) = catch_unwind(AssertUnwindSafe(|| target(&input))) else {
            report.crash = Some(input);
            return report;
        };
        if report.answers.insert(answer) && corpus.len() < CORPUS {
            corpus.push(input);
        }
    }
    report
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A format with a length, a type, a value and a sum, and a reader of it that trusts the length.
    fn reader(bytes: &[u8]) -> String {
        let [b'L', len, rest @ ..] = bytes else {
            return "no magic".into();
        };
        let Some((sum, body)) = rest.split_first() else {
            return "short".into();
        };
        if *sum != sum_of(body) {
            return "damaged".into();
        }
        format!("{:?}", &body[..usize::from(*len)].first())
    }

    fn sum_of(body: &[u8]) -> u8 {
        body.iter().fold(7, |sum, byte| sum.wrapping_mul(31) ^ byte)
    }

    fn mend(bytes: &mut [u8]) {
        if bytes.len() > 2 {
            bytes[2] = sum_of(&bytes[3..]);
        }
    }

    fn good() -> Vec<u8> {
        let mut good = b"L\x04?data".to_vec();
        mend(&mut good);
        good
    }

    #[test]
    fn a_length_that_is_trusted_is_found() {
        let inputs = Inputs {
            good: &[&good()],
            mend: Some(mend),
            ..Inputs::default()
        };
        let report = run(&inputs, reader);
        let crash = report.crash.expect("the bug is found");
        assert!(usize::from(crash[1]) > crash.len() - 3, "{crash:?}");
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let inputs = Inputs {
            good: &[&good()],
            ..Inputs::default()
        };
        let answers = |seed| run_while(&inputs, seed, |cases, _| cases < 300, hex).answers;
        assert_eq!(answers(1), answers(1));
        assert_ne!(answers(1), answers(2));
        assert!(answers(1).contains(&hex(&good())));
    }

    #[test]
    fn what_needs_several_changes_is_reached_by_the_answers() {
        let target = |bytes: &[u8]| {
            let hits = bytes.iter().zip(b"key").take_while(|(a, b)| a == b);
            assert!(hits.clone().count() < 3, "reached");
            hits.count().to_string()
        };
        let report = run(&Inputs::default(), target);
        assert_eq!(
            report.crash.as_deref().map(|input| &input[..3]),
            Some(&b"key"[..])
        );
    }
}
