// SPDX-License-Identifier: GPL-2.0
//! `tresorctl slot check`.

use anyhow::bail;
use tresor::reference;

use crate::pass_phrase::{PassPhrase, Source};
use crate::stored_slot::StoredSlot;

/// Options of `slot check`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The slot, with or without "tresor.slot=" before it.
    slot: StoredSlot,
    #[command(flatten)]
    pass_phrase: Source,
}

/// Says what the slot is, and whether the pass phrase fits.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let slot = &options.slot;
    println!("The slot is intact: version 1, {}.", slot.cost());
    if let Some(path) = &options.pass_phrase.pass_phrase_file {
        let pass_phrase = PassPhrase::read(path)?;
        let fits = slot.with_pass_phrase(pass_phrase.bytes(), |phrase| {
            reference::verify(&slot.slot, phrase)
        })?;
        if !fits {
            bail!("wrong pass phrase for this slot");
        }
        println!("The pass phrase is right.");
    }
    Ok(())
}
