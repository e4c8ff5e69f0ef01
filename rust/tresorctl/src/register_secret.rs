// SPDX-License-Identifier: GPL-2.0
//! The register secret S in this program's memory: only for the commands that say so and ask.

use std::path::PathBuf;

use anyhow::{bail, ensure, Context};
use tresor::reference::{Secret, Sha256};
use tresor::slot::Slot;

use crate::failure::Failure;
use crate::pass_phrase::{PassPhrase, Source};
use crate::slot_file::SlotFile;
use crate::stored_slot::StoredSlot;

/// How often the pass phrase is asked for on a terminal.
pub(crate) const TRIES: u32 = 3;

/// Where S comes from.
#[derive(clap::Args, Default)]
pub(crate) struct FromSlot {
    /// The slot, with or without "tresor.slot=" before it. Default: those in the volume's header
    /// (`slot store`), or the one on the kernel command line.
    #[arg(long, conflicts_with = "slot_file")]
    pub(crate) slot: Option<StoredSlot>,
    /// A file of slots; the pass phrase may be that of any.
    #[arg(long, value_name = "FILE")]
    pub(crate) slot_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pass_phrase: Source,
}

impl FromSlot {
    /// Whether the person named a slot.
    pub(crate) fn is_given(&self) -> bool {
        self.slot.is_some() || self.slot_file.is_some()
    }

    /// The slots to try: `stored` are those in the volume's header.
    pub(crate) fn slots(&self, stored: &[String]) -> anyhow::Result<Vec<StoredSlot>> {
        if let Some(slot) = &self.slot {
            return Ok(vec![slot.clone()]);
        }
        if let Some(path) = &self.slot_file {
            return Ok(SlotFile::read(path)?.slots().cloned().collect());
        }
        if !stored.is_empty() {
            eprintln!("Taking the slots that the volume's header has.");
            return stored
                .iter()
                .map(|text| text.parse().context("a slot in the volume's header"))
                .collect();
        }
        let line = std::fs::read("/proc/cmdline").context("cannot read /proc/cmdline")?;
        let text = tresor::cmdline::value(&line, b"tresor.slot").context(
            "there is no slot: give --slot or --slot-file with the one that was on the kernel \
             command line (tresor.slot=) of the machine that wrote the volume",
        )?;
        let slot = Slot::parse::<Sha256>(text)
            .context("the slot on the kernel command line is damaged; give --slot")?;
        Ok(vec![StoredSlot {
            argon2id: None,
            slot,
        }])
    }

    /// Asks for the pass phrase and computes S.
    pub(crate) fn secret(&self, stored: &[String]) -> anyhow::Result<Secret> {
        let slots = self.slots(stored)?;
        if let Some(path) = &self.pass_phrase.pass_phrase_file {
            return Ok(unlock(&slots, PassPhrase::read(path)?.bytes())?.1);
        }
        for left in (0..TRIES).rev() {
            let pass_phrase = PassPhrase::ask_once("Tresor pass phrase: ")?;
            match unlock(&slots, pass_phrase.bytes()) {
                Err(error) if left > 0 && error.is::<Failure>() => eprintln!("{error}"),
                other => return Ok(other?.1),
            }
        }
        bail!(Failure::WrongPassPhrase)
    }
}

/// The first slot that the pass phrase fits, by its place, and the secret.
pub(crate) fn unlock(slots: &[StoredSlot], pass_phrase: &[u8]) -> anyhow::Result<(usize, Secret)> {
    ensure!(!slots.is_empty(), "there is no slot to try");
    for (place, slot) in slots.iter().enumerate() {
        if let Some(s) = slot.unlock(pass_phrase)? {
            return Ok((place, s));
        }
    }
    bail!(Failure::WrongPassPhrase)
}
