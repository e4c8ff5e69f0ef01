// SPDX-License-Identifier: GPL-2.0

//! What the plugin wrote: instructions of each kind, for each call and each stretch.

use std::path::Path;

use anyhow::{ensure, Context};
use fs_err as fs;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::plan::Kind;

/// Instructions by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count([u64; Kind::ALL.len()]);

impl Count {
    /// From what there is of some kinds.
    pub fn new(parts: &[(Kind, u64)]) -> Self {
        let mut count = Self::default();
        for &(kind, number) in parts {
            count.0[kind as usize] += number;
        }
        count
    }

    /// Instructions of one kind.
    pub fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// All instructions.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// No interrupt, fault or change of tasks in between.
    pub(crate) fn is_undisturbed(&self) -> bool {
        self.of(Kind::Disturbance) == 0
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("all", &self.total())?;
        for kind in Kind::ALL.into_iter().filter(|&it| it != Kind::Disturbance) {
            map.serialize_entry(kind.name(), &self.of(kind))?;
        }
        map.end()
    }
}

/// One call or stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) count: Count,
}

/// All records after byte `from` of the file, and where the next ones will begin.
pub(crate) fn read(file: &Path, from: usize) -> anyhow::Result<(Vec<Record>, usize)> {
    let text = fs::read_to_string(file)?;
    let text = text.get(from..).context("the file of records shrank")?;
    // The last line may not be complete yet.
    let end = text.rfind('\n').map_or(0, |at| at + 1);
    let records = text[..end]
        .lines()
        .map(parse)
        .collect::<anyhow::Result<_>>()?;
    Ok((records, from + end))
}

fn parse(line: &str) -> anyhow::Result<Record> {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default().to_owned();
    let mut count = Count::default();
    let numbers: Vec<u64> = words
        .map(|word| word.parse().with_context(|| format!("no number: {line}")))
        .collect::<anyhow::Result<_>>()?;
    ensure!(
        numbers.len() == count.0.len(),
        "a record of {} kinds instead of {}: {line}",
        numbers.len(),
        count.0.len()
    );
    count.0.copy_from_slice(&numbers);
    Ok(Record { name, count })
}

/// The count in the middle when sorted by their totals, of those that were not disturbed.
pub(crate) fn typical<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<Count> {
    let mut counts: Vec<_> = records
        .into_iter()
        .map(|record| record.count)
        .filter(Count::is_undisturbed)
        .collect();
    counts.sort_by_key(Count::total);
    counts.get(counts.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(numbers: [u64; 8]) -> Record {
        Record {
            name: "x".into(),
            count: Count(numbers),
        }
    }

    #[test]
    fn an_unfinished_line_is_left_for_the_next_time() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("records");
        fs::write(&file, "x 1 2 3 4 5 6 7 8\nx 1 2").expect("write");
        let (records, end) = read(&file, 0).expect("read");
        assert_eq!(records, [record([1, 2, 3, 4, 5, 6, 7, 8])]);
        fs::write(&file, "x 1 2 3 4 5 6 7 8\nx 1 2 0 0 0 0 0 0\n").expect("write");
        let (records, _) = read(&file, end).expect("read");
        assert_eq!(records, [record([1, 2, 0, 0, 0, 0, 0, 0])]);
        assert!(parse("x 1 2").is_err() && parse("x 1 2 3 4 5 6 7 y").is_err());
    }

    #[test]
    fn the_typical_count_is_not_a_disturbed_one() {
        let records = [
            record([9, 0, 0, 0, 0, 0, 0, 0]),
            record([7, 0, 0, 0, 0, 0, 0, 0]),
            record([8, 0, 0, 0, 0, 0, 0, 0]),
            record([1, 0, 0, 0, 0, 0, 0, 5]),
            record([2, 0, 0, 0, 0, 0, 0, 5]),
        ];
        assert_eq!(typical(&records).map(|count| count.total()), Some(8));
        assert_eq!(typical(&records[3..]), None);
    }
}
