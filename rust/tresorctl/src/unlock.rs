// SPDX-License-Identifier: GPL-2.0
//! `tresorctl unlock` and `tresorctl lock`.

use std::path::PathBuf;

use anyhow::Context;
use rustix::mm::MlockAllFlags;

use crate::device::Device;
use crate::failure::Failure;
use crate::pass_phrase::{PassPhrase, Source};
use crate::register_secret::TRIES;
use crate::slot_file::SlotFile;
use crate::stored_slot::StoredSlot;

/// What the driver takes for its own slot: that of the kernel command line, or of the first unlock.
const OF_COMMAND_LINE: &str = "";

/// A slot to try; none is the one of the kernel command line.
pub(crate) type Tried = Option<StoredSlot>;

/// Options of `unlock`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    slots: Slots,
    #[command(flatten)]
    pass_phrase: Source,
}

/// Which slots are tried.
#[derive(clap::Args)]
pub(crate) struct Slots {
    /// Use this slot instead of the one on the kernel command line.
    #[arg(long, conflicts_with = "slot_file")]
    slot: Option<StoredSlot>,
    /// Try the slots of this file, one after the other.
    #[arg(long, value_name = "FILE")]
    slot_file: Option<PathBuf>,
}

impl Slots {
    /// Reads them.
    pub(crate) fn read(&self) -> anyhow::Result<Vec<Tried>> {
        Ok(match &self.slot_file {
            Some(path) => SlotFile::read(path)?.slots().cloned().map(Some).collect(),
            None => vec![self.slot.clone()],
        })
    }
}

/// Options of `lock`.
#[derive(clap::Args)]
pub(crate) struct LockOptions {
    /// Let requests fail until the key is there again instead of waiting. What was not yet written
    /// is lost: only to get rid of a volume that will not be unlocked any more.
    #[arg(long, conflicts_with = "ask")]
    fail: bool,
    /// Then ask for the pass phrase and unlock again. The program is in memory already, so this
    /// works where tresorctl itself is on a locked volume.
    #[arg(long)]
    ask: bool,
}

/// Asks for the pass phrase and has the driver make the key of it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    stay_in_memory()?;
    let device = Device::open()?;
    unlock(&device, &options.slots.read()?, &options.pass_phrase)
}

/// Has the driver wipe the key.
pub(crate) fn lock(options: &LockOptions) -> anyhow::Result<()> {
    stay_in_memory()?;
    let device = Device::open()?;
    device.lock(options.fail)?;
    if options.ask {
        eprintln!("Locked.");
        return unlock(&device, &[None], &Source::default());
    }
    eprintln!(
        "Locked: the key is in no register any more. Requests {}.",
        if options.fail {
            "fail until it is unlocked"
        } else {
            "wait until `tresorctl unlock`"
        }
    );
    Ok(())
}

fn unlock(device: &Device, slots: &[Tried], source: &Source) -> anyhow::Result<()> {
    let done = match &source.pass_phrase_file {
        Some(path) => try_each(device, slots, &PassPhrase::read(path)?),
        None => ask(device, slots),
    };
    done?;
    let status = device.status()?;
    eprintln!(
        "Unlocked: the key is in the registers of {} of {} CPUs.",
        status.cpus_with_key, status.cpus
    );
    Ok(())
}

/// Tries the slots until the pass phrase fits one.
pub(crate) fn try_each(
    device: &Device,
    slots: &[Tried],
    pass_phrase: &PassPhrase,
) -> anyhow::Result<()> {
    let (mut wrong, mut other) = (0, false);
    for slot in slots {
        let done = match slot {
            None => device.unlock(OF_COMMAND_LINE, pass_phrase.bytes(), false),
            Some(stored) => stored.with_pass_phrase(pass_phrase.bytes(), |phrase| {
                device.unlock(&stored.slot.to_string(), phrase, stored.argon2id.is_some())
            })?,
        };
        match done {
            Err(error) if is(&error, Failure::OtherSecret) => other = true,
            Err(error) if is(&error, Failure::WrongPassPhrase) => wrong += 1,
            done => return done,
        }
    }
    Err(match (wrong, other) {
        (0, false) => Failure::NoSlot,
        (_, true) => Failure::OtherSecret,
        (_, false) => Failure::WrongPassPhrase,
    }
    .into())
}

fn ask(device: &Device, slots: &[Tried]) -> anyhow::Result<()> {
    for left in (0..TRIES).rev() {
        let pass_phrase = PassPhrase::ask_once("Tresor pass phrase: ")?;
        match try_each(device, slots, &pass_phrase) {
            Err(error) if left > 0 && is(&error, Failure::WrongPassPhrase) => {
                eprintln!("{error:#}")
            }
            other => return other,
        }
    }
    Ok(())
}

pub(crate) fn is(error: &anyhow::Error, failure: Failure) -> bool {
    error.downcast_ref() == Some(&failure)
}

/// Keeps all of the program in memory: its pages may have to come from a disk that waits for the
/// key.
pub(crate) fn stay_in_memory() -> anyhow::Result<()> {
    rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE).context(
        "cannot lock the program in memory; run it as root, or raise the limit (ulimit -l)",
    )
}
