// SPDX-License-Identifier: GPL-2.0
//! `tresorctl slot add`, `change`, `remove`, `test`, `list` and `store`: several pass phrases for one
//! secret.
//!
//! A new slot for an existing secret needs S, which is computed here, in memory that is not swapped, and
//! wiped at once.

use std::path::PathBuf;

use anyhow::{ensure, Context};
use tresor::reference::{self, Secret};

use crate::failure::Failure;
use crate::locked;
use crate::luks::cryptsetup::Cryptsetup;
use crate::luks::metadata::{slots_token, Metadata};
use crate::new::{random, Cost};
use crate::pass_phrase::{PassPhrase, Source};
use crate::register_secret::{unlock, TRIES};
use crate::slot_file::SlotFile;
use crate::stored_slot::StoredSlot;

/// The file that all of these work on.
#[derive(clap::Args)]
pub(crate) struct InFile {
    /// The file of slots.
    #[arg(long, value_name = "FILE")]
    slot_file: PathBuf,
}

/// A new pass phrase and its cost.
#[derive(clap::Args)]
pub(crate) struct NewPassPhrase {
    /// Read the new pass phrase from this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    new_pass_phrase_file: Option<PathBuf>,
    #[command(flatten)]
    cost: Cost,
}

/// Options of `slot add` and `slot change`.
#[derive(clap::Args)]
pub(crate) struct NewSlotOptions {
    #[command(flatten)]
    file: InFile,
    #[command(flatten)]
    old: Source,
    #[command(flatten)]
    new: NewPassPhrase,
}

/// Options of `slot remove`.
#[derive(clap::Args)]
pub(crate) struct RemoveOptions {
    #[command(flatten)]
    file: InFile,
    /// The slot's id, as `slot list` shows it, or a beginning of it that no other slot has. Default: the
    /// slot that the pass phrase fits.
    #[arg(long, value_name = "ID", conflicts_with = "pass_phrase_file")]
    id: Option<String>,
    #[command(flatten)]
    old: Source,
}

/// Options of `slot test`.
#[derive(clap::Args)]
pub(crate) struct TestOptions {
    #[command(flatten)]
    file: InFile,
    #[command(flatten)]
    old: Source,
}

/// Options of `slot list`.
#[derive(clap::Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    file: InFile,
}

/// Options of `slot store`.
#[derive(clap::Args)]
pub(crate) struct StoreOptions {
    #[command(flatten)]
    file: InFile,
    /// The device with the LUKS2 header.
    #[arg(value_name = "DEV")]
    device: PathBuf,
}

/// Stores the slots of a file in the header of a volume.
pub(crate) fn store(options: &StoreOptions) -> anyhow::Result<()> {
    let file = SlotFile::read(&options.file.slot_file)?;
    let slots: Vec<String> = file.slots().map(StoredSlot::to_string).collect();
    let cryptsetup = Cryptsetup::find()?;
    let device = &options.device;
    let metadata = Metadata::parse(&cryptsetup.metadata(device)?)?;
    let (old, _) = metadata.stored_slots();
    // The new one first: if the power fails, both are there.
    cryptsetup.add_token(device, &slots_token(&slots)).context(
        "the header may have no room for the slots: remove a token or keyslot that is not needed",
    )?;
    for number in old {
        cryptsetup.remove_token(device, &number)?;
    }
    println!("{} has {} slot(s) now.", device.display(), slots.len());
    Ok(())
}

/// Adds a slot.
pub(crate) fn add(options: &NewSlotOptions) -> anyhow::Result<()> {
    locked::keep_all_in_memory()?;
    let mut file = SlotFile::read(&options.file.slot_file)?;
    let opened = open(&file, &options.old, "A pass phrase that opens a slot now: ")?;
    let slot = make(&opened, &options.new)?;
    file.add(slot.clone());
    file.write()?;
    println!("Added slot {}.", slot.id());
    Ok(())
}

/// Puts a slot with another pass phrase in the place of one.
pub(crate) fn change(options: &NewSlotOptions) -> anyhow::Result<()> {
    locked::keep_all_in_memory()?;
    let mut file = SlotFile::read(&options.file.slot_file)?;
    let opened = open(&file, &options.old, "The pass phrase to change: ")?;
    let slot = make(&opened, &options.new)?;
    let old = file.slots().nth(opened.place).map(StoredSlot::id);
    file.replace(opened.place, Some(slot.clone()));
    file.write()?;
    println!(
        "Slot {} took the place of {}.",
        slot.id(),
        old.unwrap_or_default()
    );
    eprintln!(
        "Every copy of the old slot is still opened by the old pass phrase: change the one on the kernel command \
         line, too, and backups."
    );
    Ok(())
}

/// Removes a slot.
pub(crate) fn remove(options: &RemoveOptions) -> anyhow::Result<()> {
    locked::keep_all_in_memory()?;
    let mut file = SlotFile::read(&options.file.slot_file)?;
    let ids: Vec<String> = file.slots().map(StoredSlot::id).collect();
    ensure!(
        ids.len() > 1,
        "this is the last slot: without it the secret, and every volume that depends on it, cannot be had again. \
         If that is what you want, delete the file"
    );
    let place = match &options.id {
        Some(start) => {
            let fits: Vec<usize> = (0..ids.len())
                .filter(|&place| ids[place].starts_with(start.as_str()))
                .collect();
            match fits[..] {
                [place] => place,
                [] => anyhow::bail!(
                    "no slot has an id that begins with {start}; `slot list` shows them"
                ),
                _ => anyhow::bail!(
                    "several slots have an id that begins with {start}; give more of it"
                ),
            }
        }
        None => open(&file, &options.old, "The pass phrase to remove: ")?.place,
    };
    file.replace(place, None);
    file.write()?;
    println!("Removed slot {}.", ids[place]);
    eprintln!("Every copy of it is still opened by its pass phrase.");
    Ok(())
}

/// Tells which slot a pass phrase fits.
pub(crate) fn test(options: &TestOptions) -> anyhow::Result<()> {
    locked::keep_all_in_memory()?;
    let file = SlotFile::read(&options.file.slot_file)?;
    let opened = open(&file, &options.old, "Tresor pass phrase: ")?;
    println!(
        "The pass phrase fits slot {}.",
        file.slots()
            .nth(opened.place)
            .map(StoredSlot::id)
            .unwrap_or_default()
    );
    Ok(())
}

/// Shows what is public of all slots.
pub(crate) fn list(options: &ListOptions) -> anyhow::Result<()> {
    let file = SlotFile::read(&options.file.slot_file)?;
    for slot in file.slots() {
        println!("{} {}", slot.id(), slot.cost());
    }
    Ok(())
}

/// A slot that a pass phrase opened.
struct OpenedSlot {
    place: usize,
    s: Secret,
}

fn open(file: &SlotFile, source: &Source, prompt: &str) -> anyhow::Result<OpenedSlot> {
    let slots: Vec<StoredSlot> = file.slots().cloned().collect();
    let attempt = |pass_phrase: &PassPhrase| {
        unlock(&slots, pass_phrase.bytes()).map(|(place, s)| OpenedSlot { place, s })
    };
    if let Some(path) = &source.pass_phrase_file {
        return attempt(&PassPhrase::read(path)?);
    }
    for _ in 1..TRIES {
        match attempt(&PassPhrase::ask_once(prompt)?) {
            Err(error) if error.is::<Failure>() => eprintln!("{error}"),
            other => return other,
        }
    }
    attempt(&PassPhrase::ask_once(prompt)?)
}

/// A new slot for the same secret.
fn make(opened: &OpenedSlot, new: &NewPassPhrase) -> anyhow::Result<StoredSlot> {
    let pass_phrase = match &new.new_pass_phrase_file {
        Some(path) => PassPhrase::read(path)?,
        None => PassPhrase::ask_twice()?,
    };
    new.cost.slot(pass_phrase.bytes(), |phrase, iterations| {
        Ok(reference::slot_of(
            &opened.s,
            phrase,
            iterations,
            random()?,
            random()?,
        ))
    })
}
