// SPDX-License-Identifier: GPL-2.0

//! The scanner finds what is planted, and these tests find a scanner that does not.

use std::io::Write;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use rand::{rngs::StdRng, Rng, RngCore, SeedableRng};

use zeroize::Zeroizing;

use super::*;
use crate::secrets::MIN_RUN;

/// A list like the real one: lengths of 6 to 96 bytes.
fn random_patterns(rng: &mut StdRng, count: usize) -> Vec<Pattern> {
    (0..count)
        .map(|i| {
            let mut bytes = vec![0; [6, 7, 8, 9, 16, 23, 32, 64, 96][i % 9]];
            rng.fill_bytes(&mut bytes);
            Pattern {
                label: format!("pattern {i}"),
                family: Family::ALL[i % Family::ALL.len()],
                min_run: MIN_RUN.min(bytes.len()),
                bytes: Zeroizing::new(bytes),
            }
        })
        .collect()
}

fn random_ram(rng: &mut StdRng, len: usize) -> Vec<u8> {
    let mut ram = vec![0; len];
    rng.fill_bytes(&mut ram);
    ram
}

type Scan = fn(&Scanner, &[u8]) -> Vec<Hit>;

/// Plants pieces of patterns, whole or not, at any offset or around the edges of pages and chunks, and compares.
fn finds_what_is_planted(scan: Scan, seed: u64) -> TestCaseResult {
    let rng = &mut StdRng::seed_from_u64(seed);
    let scanner = Scanner::new(random_patterns(rng, 90));
    let len = 2 * CHUNK + rng.random_range(0..9000);
    let mut ram = vec![0; len];
    // Random bytes only here and there: pages of RAM are mostly zero, and the test shall be quick.
    for page in ram.chunks_mut(4096).step_by(7) {
        rng.fill_bytes(page);
    }
    let mut expected = Vec::new();
    let mut place = rng.random_range(0..3000);
    while place + 200 < len {
        let index = rng.random_range(0..scanner.patterns.len());
        let pattern = &scanner.patterns[index];
        let run = rng.random_range(pattern.min_run..=pattern.bytes.len());
        let at = rng.random_range(0..=pattern.bytes.len() - run);
        ram[place..place + run].copy_from_slice(&pattern.bytes[at..at + run]);
        // What is beside the piece must not lengthen it by chance.
        if at > 0 && place > 0 {
            ram[place - 1] = !pattern.bytes[at - 1];
        }
        if at + run < pattern.bytes.len() {
            ram[place + run] = !pattern.bytes[at + run];
        }
        expected.push(hit(pattern, place, at, run));
        let next = place + run + 2;
        place = match rng.random_range(0..4) {
            0 => next + rng.random_range(0..100),
            1 => next
                .next_multiple_of(4096)
                .saturating_sub(rng.random_range(0..40))
                .max(next),
            2 => next
                .next_multiple_of(CHUNK)
                .saturating_sub(rng.random_range(0..100))
                .max(next),
            _ => next + rng.random_range(0..60_000),
        };
    }
    // The first and the last bytes of RAM.
    let pattern = &scanner.patterns[4];
    let size = pattern.bytes.len();
    ram[len - size..].copy_from_slice(&pattern.bytes);
    expected.push(hit(pattern, len - size, 0, size));
    expected.sort();
    prop_assert_eq!(scan(&scanner, &ram), expected);
    Ok(())
}

fn run(scan: Scan, cases: u32) -> Result<(), String> {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&any::<u64>(), |seed| finds_what_is_planted(scan, seed))
        .map_err(|error| error.to_string())
}

#[test]
fn every_planted_piece_is_found_once_with_its_length() {
    run(|scanner, ram| scanner.scan(ram), 24).unwrap();
}

/// Controls: scanners with the faults such code has must fail the test above.
#[test]
fn broken_scanners_are_caught() {
    let broken: [(&str, Scan); 4] = [
        ("aligned offsets only", |scanner, ram| {
            scanner
                .scan(ram)
                .into_iter()
                .filter(|hit| hit.offset % 4 == 0)
                .collect()
        }),
        ("chunks without overlap", |scanner, ram| {
            let mut hits = scanner.scan(ram);
            hits.retain(|hit| {
                hit.offset as usize / CHUNK == (hit.offset as usize + WINDOW - 1) / CHUNK
            });
            hits
        }),
        ("whole patterns only", |scanner, ram| {
            scanner
                .scan(ram)
                .into_iter()
                .filter(Hit::is_whole)
                .collect()
        }),
        ("the last window is forgotten", |scanner, ram| {
            scanner.scan(&ram[..ram.len() - 1])
        }),
    ];
    for (name, scan) in broken {
        assert!(
            run(scan, 24).is_err(),
            "a scanner with this fault passes: {name}"
        );
    }
}

#[test]
fn random_ram_has_no_hits() {
    let rng = &mut StdRng::seed_from_u64(1);
    let mut patterns = random_patterns(rng, 900);
    patterns.retain(|pattern| pattern.bytes.len() >= WINDOW);
    let ram = random_ram(rng, 32 << 20);
    assert_eq!(Scanner::new(patterns).scan(&ram), []);
}

#[test]
fn a_run_below_the_minimum_does_not_count() {
    let rng = &mut StdRng::seed_from_u64(2);
    let mut pattern = random_patterns(rng, 9).pop().unwrap();
    pattern.min_run = 16;
    let mut ram = vec![0; 8192];
    ram[4090..4105].copy_from_slice(&pattern.bytes[..15]);
    let scanner = Scanner::new(vec![pattern.clone()]);
    assert_eq!(scanner.scan(&ram), []);
    ram[4090..4106].copy_from_slice(&pattern.bytes[..16]);
    assert_eq!(scanner.scan(&ram), [hit(&pattern, 4090, 0, 16)]);
}

#[test]
fn ram_shorter_than_a_window() {
    let scanner = Scanner::new(random_patterns(&mut StdRng::seed_from_u64(3), 9));
    assert_eq!(scanner.scan(&[]), []);
    assert_eq!(scanner.scan(&[0; 7]), []);
}

#[test]
fn a_missing_ram_file_is_explained() {
    let scanner = Scanner::new(Vec::new());
    let error = scanner
        .scan_file(Path::new("no/such/ram"))
        .expect_err("there is no such file");
    assert!(format!("{error:#}").contains("no/such/ram"), "{error:#}");
}

/// Prints the speed for a person; asserts no time, because other work may share the machine.
#[test]
fn speed_on_a_file_of_512_mib() {
    let rng = &mut StdRng::seed_from_u64(4);
    let mut patterns = random_patterns(rng, 1100);
    patterns.retain(|pattern| pattern.bytes.len() >= WINDOW);
    let planted = patterns[6].clone();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let block = random_ram(rng, 16 << 20);
    for i in 0..32 {
        // Half random, half empty, as RAM is.
        let block = if i % 2 == 0 {
            &block[..]
        } else {
            &vec![0; 16 << 20][..]
        };
        file.write_all(block).unwrap();
    }
    file.write_all(&planted.bytes).unwrap();
    let scanner = Scanner::new(patterns);
    let start = Instant::now();
    let hits = scanner.scan_file(file.path()).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "512 MiB, {} patterns: {seconds:.2} s, {:.0} MiB/s",
        scanner.patterns(),
        512.0 / seconds
    );
    assert!(hits
        .iter()
        .any(|hit| hit.label == planted.label && hit.is_whole()));
}
