// SPDX-License-Identifier: GPL-2.0
//! `tresorctl luks`: LUKS2 volumes whose volume key is a wrapped handle; from stock LUKS2 and back
//! without touching the data.
//!
//! Only the header changes: the segment's cipher and the key that the keyslots hold. The new header is
//! made by stock cryptsetup in a copy ([`plan`]), tried there, and written in an order that survives
//! power loss at any moment ([`commit`]).

use std::path::PathBuf;

use anyhow::{bail, ensure, Context};
use clap::{Args, Subcommand};

use crate::locked::Locked;
use crate::pass_phrase::read_whole;
use crate::register_secret::FromSlot;
use crate::terminal::Terminal;
use cryptsetup::{Kdf, SECRET_MAX};

mod adopt;
mod backup;
mod change;
mod commit;
pub(crate) mod cryptsetup;
mod disk;
mod format;
#[cfg(test)]
mod fuzz;
mod header;
pub(crate) mod key;
pub(crate) mod metadata;
mod plan;
mod release;
#[cfg(test)]
mod tests;
pub(crate) mod wrapper;

/// The cipher of stock volumes.
pub(crate) const STOCK: &str = "aes-xts-plain64";
/// The cipher of volumes with a wrapped handle: the name that stock cryptsetup takes for one whose key
/// is not a key.
pub(crate) const WRAPPED: &str = "paes-xts-plain64";

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Luks {
    /// Makes a new LUKS2 volume with a fresh key that only registers will ever hold. ALL DATA ON THE
    /// DEVICE IS LOST.
    Format(format::Options),
    /// Makes an existing LUKS2 volume one whose key only registers hold. The data stays as it is.
    Adopt(ChangeOptions),
    /// Makes it a stock volume again. The data stays as it is.
    Release(ChangeOptions),
}

/// Runs one of them.
pub(crate) fn run(command: &Luks) -> anyhow::Result<()> {
    crate::locked::keep_all_in_memory()?;
    match command {
        Luks::Format(options) => format::run(options),
        Luks::Adopt(options) => adopt::run(options),
        Luks::Release(options) => release::run(options),
    }
}

/// Options of `luks adopt` and `luks release`.
#[derive(Args)]
pub(crate) struct ChangeOptions {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    from: FromSlot,
}

/// What changing a header needs to know.
#[derive(Args)]
pub(crate) struct Change {
    /// The device with the LUKS2 header. Its volume must be closed.
    #[arg(value_name = "DEV")]
    pub(crate) device: PathBuf,
    /// Where to copy the header first. It must be on another disk, one that survives power loss.
    #[arg(long, value_name = "FILE")]
    pub(crate) backup: Option<PathBuf>,
    /// Read the LUKS pass phrase from this file ("-": standard input) instead of asking for it: all of
    /// the file, as `cryptsetup --key-file` does.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Take over the keyslot of this key file, too. May be given several times. Keyslots whose pass
    /// phrase is not given are dropped.
    #[arg(long, value_name = "FILE")]
    pub(crate) also_key_file: Vec<PathBuf>,
    /// Do not ask whether you agree.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) kdf: Kdf,
}

/// A LUKS pass phrase or key file, of any bytes, in locked memory.
pub(crate) struct LuksPass {
    memory: Locked,
    len: usize,
}

impl LuksPass {
    /// Reads a key file, or asks.
    pub(crate) fn get(file: Option<&PathBuf>, prompt: &str) -> anyhow::Result<Self> {
        let (memory, len) = match file {
            Some(path) => {
                let (memory, len) = read_whole(path)?;
                ensure!(
                    len < SECRET_MAX,
                    "{} is too long for a key file: less than {SECRET_MAX} bytes are supported",
                    path.display()
                );
                (memory, len)
            }
            None => ask(prompt)?,
        };
        ensure!(len > 0, "the LUKS pass phrase is empty");
        Ok(Self { memory, len })
    }

    /// Asks twice for a new one, if there is no file.
    pub(crate) fn get_new(file: Option<&PathBuf>) -> anyhow::Result<Self> {
        let first = Self::get(file, "New LUKS pass phrase: ")?;
        if file.is_none() {
            let second = Self::get(None, "The same again: ")?;
            ensure!(
                first.bytes() == second.bytes(),
                "the two pass phrases differ; run the command again"
            );
        }
        Ok(first)
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory.bytes()[..self.len]
    }
}

fn ask(prompt: &str) -> anyhow::Result<(Locked, usize)> {
    let terminal =
        Terminal::new().context("no LUKS pass phrase; --key-file names a file with it")?;
    let mut memory = Locked::new()?;
    match terminal.ask(prompt, memory.bytes_mut())? {
        Some(len) => Ok((memory, len)),
        None => bail!("the LUKS pass phrase is too long"),
    }
}
