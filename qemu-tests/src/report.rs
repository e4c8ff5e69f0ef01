// SPDX-License-Identifier: GPL-2.0

//! What the demo found, and how it is told: as text, as figures ([`json`]) and as a page to show to a friend ([`html`]).
//!
//! The demo fills in [`Report`]; whether that is a success follows from the data alone, in [`verdict`].

mod html;
mod json;
mod ram_map;
mod text;
mod verdict;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::keyfind::KeyCount;
use crate::registers::CpuRegisters;
use crate::scan::Hit;

pub use html::html;
pub use json::{json, Figures};
pub use ram_map::RamUse;
pub use text::text;
pub use verdict::{Outcome, Verdict};

/// Everything the demo measured in its two runs. Holds no secret: labels, addresses and masked registers only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What was tested.
    pub machine: MachineFacts,
    /// How many patterns the scan searched for; the same list in both runs.
    pub patterns: usize,
    /// Whether the pass phrase is among the patterns: very short ones are found in any RAM by chance.
    pub pass_phrase_searched: bool,
    /// The run whose key is in registers.
    pub tresor: Run,
    /// The control: the same volume, opened with the same key by the kernel's own AES.
    pub stock: Run,
    /// The machine of the tresor run while it slept with the volume open.
    pub asleep: Asleep,
    /// Encrypted sectors read from the disk image and compared with what the oracle computes.
    pub sectors: Checked,
}

/// What was seen of a machine that sleeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asleep {
    /// CPUs whose registers DR0..DR3 were empty.
    pub empty: Checked,
    /// Every run of a secret found in RAM.
    pub hits: Vec<Hit>,
}

/// What was tested.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MachineFacts {
    /// Release of the kernel in the machine, e.g. "7.3.4".
    pub kernel: String,
    /// Version of QEMU, e.g. "10.0.2".
    pub qemu: String,
    /// Number of CPUs of the machine.
    pub cpus: u32,
    /// Size of its RAM in bytes.
    pub ram_bytes: u64,
    /// PBKDF2 iterations of the slot.
    pub iterations: u32,
    /// Size of `K1 || K2` in bits.
    pub key_bits: u32,
    /// Sector size of the encrypted volume in bytes.
    pub sector_size: u32,
}

/// One of the two runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Cipher as dm-crypt names it, e.g. "tresor-xts-plain64".
    pub cipher: String,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// The debug registers at the moment of the scan, one entry per CPU.
    pub registers: Vec<CpuRegisters>,
    /// Every run of a secret found in RAM.
    pub hits: Vec<Hit>,
    /// How long the scan took.
    pub scan_time: Duration,
    /// What `aeskeyfind` found in the same RAM.
    pub aeskeyfind: KeyCount,
    /// Files read back through the encrypted volume and compared.
    pub files: Checked,
    /// Which parts of RAM were in use.
    pub ram_use: RamUse,
}

/// One step of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What was done, in words: "Boot and ask for the pass phrase".
    pub name: String,
    /// How long it took.
    pub time: Duration,
}

/// How many of a number of things are as they must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Number that is right.
    pub right: u64,
    /// Number in all.
    pub all: u64,
}

impl Checked {
    /// Whether there was something to check and all of it is right.
    pub fn is_complete(self) -> bool {
        self.all > 0 && self.right == self.all
    }
}

impl Report {
    /// Whether DR0..DR3 of every CPU held the register secret when the RAM of the tresor run was scanned.
    pub fn secret_in_registers(&self) -> bool {
        self.tresor.registers.len() == self.machine.cpus as usize
            && self.tresor.registers.iter().all(|cpu| cpu.holds_secret)
    }

    /// What the findings mean.
    pub fn verdict(&self) -> Verdict {
        verdict::of(self)
    }
}

#[cfg(test)]
mod sample;
