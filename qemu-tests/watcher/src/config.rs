// SPDX-License-Identifier: GPL-2.0

//! What the harness tells the plugin: a JSON file whose path is the plugin's one argument (`config=PATH`).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One byte sequence that must not be stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secret {
    /// What it is. Holds no secret itself.
    pub label: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How many consecutive bytes of it make a leak.
    pub min_run: u64,
    /// A form of the pass phrase, which has to pass through the buffers of the keyboard: its runs are counted apart.
    pub pass_phrase: bool,
    /// Its bytes look like random numbers: meaningful for the count of short runs.
    pub random: bool,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({}, {} bytes)", self.label, self.bytes.len())
    }
}

/// A range of guest code by virtual addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// First instruction.
    pub start: u64,
    /// The address behind the last instruction.
    pub end: u64,
    /// Symbol at the start.
    pub name: String,
}

impl Range {
    /// Whether an address is inside.
    pub fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// Where and how the guest is interrupted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Storm {
    /// The window routines: at every boundary once in each sweep, and none again until the sweep is over, because a guarded routine starts
    /// again at its first instruction.
    pub windows: Vec<Range>,
    /// The other routines in the section of windows, which choose one of them: not interrupted on purpose, but the guard counts what comes there.
    pub choices: Vec<Range>,
    /// The engines, which are interrupted and go on: at every boundary.
    pub engines: Vec<Range>,
    /// The handlers of interrupts and exceptions.
    pub entries: Vec<Entry>,
}

/// The first instruction of a handler: what the CPU pushed is checked there, and the interrupted address counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its address.
    pub address: u64,
    /// How far above the stack pointer the interrupted address is, in bytes: 8 where an error code or a vector lies below it.
    pub rip_offset: u64,
    /// The [`crate::shared::Vector`] that leads here, [`crate::shared::Vector::None`] for all that a storm does not use.
    pub vector: crate::shared::Vector,
}

/// Everything the plugin needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// The file that is the guest's RAM: file offsets are physical addresses.
    pub ram: PathBuf,
    /// Its length in bytes.
    pub ram_bytes: u64,
    /// The file with [`crate::shared::Shared`], made by the harness.
    pub shared: PathBuf,
    /// Takes one line of JSON per [`crate::report::Hit`].
    pub hits: PathBuf,
    /// What to look for.
    pub secrets: Vec<Secret>,
    /// Where to interrupt, and where to look at what the CPU pushed.
    pub storm: Storm,
}

impl Config {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs_err::read(path)?;
        serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} is not of this version of the harness: build the plugin again",
                path.display()
            )
        })
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(fs_err::write(path, serde_json::to_vec(self)?)?)
    }
}
