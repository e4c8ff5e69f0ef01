// SPDX-License-Identifier: GPL-2.0
//! `tresorctl slot new`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::value_parser;
use rustix::rand::{getrandom, GetRandomFlags};
use tresor::reference;
use tresor::slot::{Slot, ITERATIONS_MIN};

use crate::pass_phrase::{PassPhrase, Source};
use crate::slot_file::SlotFile;
use crate::speed::Speed;
use crate::stored_slot::{Argon2id, StoredSlot};

/// Options of `slot new`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    cost: Cost,
    /// Write the slot to this new file, too, so that `slot add` can add pass phrases for its secret.
    #[arg(long, value_name = "FILE")]
    slot_file: Option<PathBuf>,
    #[command(flatten)]
    pass_phrase: Source,
}

/// What a guess at the pass phrase of a new slot costs.
#[derive(clap::Args)]
pub(crate) struct Cost {
    /// PBKDF2 iterations: each guess at the pass phrase costs as many.
    #[arg(long, value_name = "N", conflicts_with = "time", value_parser = value_parser!(u32).range(i64::from(ITERATIONS_MIN)..))]
    iterations: Option<u32>,
    /// Choose the iterations so that unlocking takes about this long on this machine, in
    /// milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = value_parser!(u32).range(1..))]
    time: u32,
    /// Put Argon2id in front, so that each guess costs memory, too. The kernel's own prompt cannot use
    /// such a slot: for machines that are unlocked from the initramfs, by tresorctl.
    #[arg(long)]
    argon2id: bool,
    /// Memory for Argon2id in MiB, at most 4096. Default: 1024, or a quarter of what the machine has if
    /// that is less.
    #[arg(long, value_name = "MIB", requires = "argon2id", value_parser = value_parser!(u32).range(1..=4096))]
    memory: Option<u32>,
    /// Passes of Argon2id over the memory.
    #[arg(long, value_name = "N", requires = "argon2id", default_value_t = 3, value_parser = value_parser!(u32).range(1..=1000))]
    passes: u32,
}

/// Lanes of Argon2id: RFC 9106 section 4 recommends four.
const LANES: u32 = 4;
/// MiB of memory for Argon2id where there is much.
const MEMORY: u32 = 1024;

impl Cost {
    /// A slot of this cost for a pass phrase. `make` makes the kernel's slot for the pass phrase that the
    /// kernel gets, and these iterations; none if they are too few.
    pub(crate) fn slot(
        &self,
        pass_phrase: &[u8],
        make: impl FnOnce(&[u8], u32) -> anyhow::Result<Option<Slot>>,
    ) -> anyhow::Result<StoredSlot> {
        let iterations = self.iterations();
        let argon2id = self.argon2id.then(|| self.of_argon2id()).transpose()?;
        let slot = match &argon2id {
            None => make(pass_phrase, iterations),
            Some(argon2id) => {
                eprintln!(
                    "Argon2id takes {} MiB and {} passes before that.",
                    argon2id.memory >> 10,
                    argon2id.passes
                );
                argon2id.stretch(pass_phrase, |phrase| make(phrase, iterations))?
            }
        };
        let slot = slot?.with_context(|| {
            format!("{iterations} iterations are too few; a slot has {ITERATIONS_MIN} or more")
        })?;
        Ok(StoredSlot { argon2id, slot })
    }

    fn of_argon2id(&self) -> anyhow::Result<Argon2id> {
        let quarter = rustix::system::sysinfo().totalram as u64 / (4 << 20);
        let default = u64::from(MEMORY).min(quarter.max(1)) as u32;
        Ok(Argon2id {
            memory: self.memory.unwrap_or(default) << 10,
            passes: self.passes,
            lanes: LANES,
            salt: random()?,
        })
    }

    /// The iterations, measured if they are not given. Tells the person.
    fn iterations(&self) -> u32 {
        let speed = Speed::measure();
        let iterations = self
            .iterations
            .unwrap_or_else(|| speed.iterations_in(Duration::from_millis(self.time.into())));
        eprintln!(
            "Making a slot of {iterations} iterations, about {:.2} s per try on this CPU {}.",
            speed.time_of(iterations).as_secs_f64(),
            speed.what
        );
        iterations
    }
}

/// Makes a slot. The text goes to standard output, words for people to standard error.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let file = options
        .slot_file
        .as_deref()
        .map(SlotFile::new)
        .transpose()?;
    let pass_phrase = match &options.pass_phrase.pass_phrase_file {
        Some(path) => PassPhrase::read(path)?,
        None => PassPhrase::ask_twice()?,
    };
    let slot = options
        .cost
        .slot(pass_phrase.bytes(), |phrase, iterations| {
            Ok(reference::new_slot(
                phrase,
                iterations,
                random()?,
                random()?,
                random()?,
            ))
        })?;
    if let Some(mut file) = file {
        file.add(slot.clone());
        file.write()?;
    }
    if slot.argon2id.is_some() {
        eprintln!("The slot, for `tresorctl unlock --slot` or a file of slots:");
        println!("{slot}");
    } else {
        eprintln!("The slot, and the same as an option for the kernel command line:");
        println!("{slot}\ntresor.slot={slot}");
    }
    eprintln!(
        "Keep a copy: without this slot its secret, and every volume that depends on it, cannot be had again."
    );
    Ok(())
}

/// Bytes from the kernel's random number generator.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())
            .context("cannot get random bytes")?;
    }
    Ok(bytes)
}
