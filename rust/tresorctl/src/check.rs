// SPDX-License-Identifier: GPL-2.0
//! `tresorctl slot check`.

use anyhow::{anyhow, bail};
use tresor::reference::{self, Sha256};
use tresor::slot::Slot;

use crate::pass_phrase::{PassPhrase, Source};

/// Options of `slot check`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The slot, with or without "tresor.slot=" before it.
    #[arg(value_parser = parse)]
    slot: Slot,
    #[command(flatten)]
    pass_phrase: Source,
}

/// Says what the slot is, and whether the pass phrase fits.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let slot = &options.slot;
    println!(
        "The slot is intact: version 1, pbkdf2-sha256, {} iterations.",
        slot.iterations()
    );
    if let Some(path) = &options.pass_phrase.pass_phrase_file {
        let pass_phrase = PassPhrase::read(path)?;
        if !reference::verify(slot, pass_phrase.bytes()) {
            bail!("wrong pass phrase for this slot");
        }
        println!("The pass phrase is right.");
    }
    Ok(())
}

/// Reads a slot from the command line.
pub(crate) fn parse(text: &str) -> anyhow::Result<Slot> {
    let slot = text.strip_prefix("tresor.slot=").unwrap_or(text);
    Slot::parse::<Sha256>(slot.as_bytes()).map_err(|error| {
        anyhow!("{error}; copy the slot again, or make a new one with `tresorctl slot new`")
    })
}
