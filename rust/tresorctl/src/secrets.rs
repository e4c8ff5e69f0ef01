// SPDX-License-Identifier: GPL-2.0
//! `tresorctl secrets`: what the registers hold, for tests. Only with feature `test-secrets`.

use std::path::PathBuf;

use anyhow::Context;
use tresor::handle::{Handle, Variant};
use tresor::reference::{self, Sha256};
use tresor::slot::Slot;

use crate::check;
use crate::pass_phrase::PassPhrase;

/// Options of `secrets`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The slot, with or without "tresor.slot=" before it.
    #[arg(long, value_parser = check::parse)]
    slot: Slot,
    /// Read the pass phrase from this file ("-": standard input).
    #[arg(long, value_name = "FILE")]
    pass_phrase_file: PathBuf,
    /// Also print the volume key of these 32 or 64 bytes, which setkey gets.
    #[arg(long, value_name = "FILE")]
    handle_file: Option<PathBuf>,
}

/// Prints S, and K1 and K2 of a handle, as lines of `NAME=HEX`.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let pass_phrase = PassPhrase::read(&options.pass_phrase_file)?;
    let s = reference::unlock(&options.slot, pass_phrase.bytes())?;
    println!("S={}", hex::encode(*s));
    if let Some(path) = &options.handle_file {
        let key = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let bad = || format!("{} is no handle", path.display());
        let variant = Variant::from_key_len(key.len()).with_context(bad)?;
        let handle = Handle::derived::<Sha256>(&key).with_context(bad)?;
        let volume_key = reference::volume_key(&s, &handle, variant);
        let (k1, k2) = volume_key.split_at(volume_key.len() / 2);
        println!("K1={}\nK2={}", hex::encode(k1), hex::encode(k2));
    }
    Ok(())
}
