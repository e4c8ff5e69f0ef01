// SPDX-License-Identifier: GPL-2.0

//! The list of finds: one line of JSON each, written at once, so that it is there however QEMU ends.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use fs_err::File;
use serde::{Deserialize, Serialize};

/// How many finds of the same instruction are written; the counters have all of them.
const PER_INSTRUCTION: u32 = 32;

/// A store after which a secret was in RAM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Address of the instruction that stored, or of the handler's first one if `pushed`.
    pub rip: u64,
    /// Virtual address of the store.
    pub virt: u64,
    /// Physical address of the run; 0 if unknown.
    pub phys: u64,
    /// Bytes that the instruction stored.
    pub size: u64,
    /// Length of the run in bytes.
    pub run: u64,
    /// First byte of the run within the secret.
    pub secret_offset: u64,
    /// The secret's label.
    pub secret: String,
    /// The CPU that stored.
    pub cpu: u32,
    /// It was the CPU itself that pushed it when it took an interrupt or exception.
    pub pushed: bool,
    /// The secret is a form of the pass phrase.
    pub pass_phrase: bool,
}

/// The list under construction.
#[derive(Debug)]
pub(crate) struct Report {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    written: HashMap<(u64, bool), u32>,
}

impl Report {
    /// Starts an empty list.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Ok(Self {
            inner: Mutex::new(Inner {
                file: File::create(path)?,
                written: HashMap::new(),
            }),
        })
    }

    /// Adds a find, unless its instruction has had many.
    pub(crate) fn add(&self, hit: &Hit) -> Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.written.entry((hit.rip, hit.pass_phrase)).or_default();
        *count += 1;
        if *count > PER_INSTRUCTION {
            return Ok(());
        }
        let mut line = serde_json::to_vec(hit)?;
        line.push(b'\n');
        inner
            .file
            .write_all(&line)
            .context("a find could not be written: is the disk full?")
    }
}

/// Reads a list.
pub fn read(path: &Path) -> Result<Vec<Hit>> {
    fs_err::read_to_string(path)?
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .with_context(|| format!("{} has a line that is no find", path.display()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_one_instruction_does_not_fill_it() {
        let path = std::env::temp_dir().join(format!("watcher-hits-{}", std::process::id()));
        let report = Report::create(&path).expect("create");
        let hit = |rip| Hit {
            rip,
            virt: 1,
            phys: 2,
            size: 8,
            run: 16,
            secret_offset: 0,
            secret: "S".into(),
            cpu: 0,
            pushed: false,
            pass_phrase: false,
        };
        for _ in 0..100 {
            report.add(&hit(1)).expect("add");
        }
        report.add(&hit(2)).expect("add");
        let hits = read(&path).expect("read");
        assert_eq!(hits.len(), 1 + PER_INSTRUCTION as usize);
        assert_eq!(hits.last(), Some(&hit(2)));
        std::fs::remove_file(&path).expect("remove");
    }
}
