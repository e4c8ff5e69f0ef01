// SPDX-License-Identifier: GPL-2.0
//! `tresorctl`: makes and checks slots, from which the kernel driver gets its register secret; locks
//! and unlocks the running machine.

// That program uses the definitions of the commands only.
#![cfg_attr(feature = "docs", allow(dead_code))]

use std::process::ExitCode;

use anyhow::Context;
#[cfg(feature = "docs")]
use clap::CommandFactory;
use clap::{Parser, Subcommand};

use failure::Failure;

mod agent;
mod check;
mod consent;
mod device;
#[cfg(feature = "docs")]
mod docs;
mod doctor;
mod failure;
mod handle;
mod locked;
mod luks;
mod new;
mod pass_phrase;
mod recover;
mod register_secret;
// Its own tests run in every build.
#[cfg(any(test, feature = "test-secrets"))]
mod secrets;
mod slot_edit;
mod slot_file;
mod speed;
mod status;
mod stored_slot;
mod terminal;
mod unlock;

/// Makes and checks slots of the kernel driver tresor, locks and unlocks the machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Slots: how the register secret comes from a pass phrase.
    #[command(subcommand)]
    Slot(Slot),
    /// Gives the running machine its key: asks for the pass phrase.
    ///
    /// Exit codes: 2 wrong pass phrase, 3 no driver, 4 not root, 5 no slot, 6 a slot of another secret
    /// than the first one of this boot, 7 locked meanwhile, 8 an empty pass phrase, 1 anything else.
    Unlock(unlock::Options),
    /// Wipes the key of the running machine. Open volumes wait for it.
    Lock(unlock::LockOptions),
    /// Asks for the pass phrase after each sleep, in the place of the kernel (tresor.prompt=agent).
    ///
    /// Runs until it is ended. Everything else stays frozen while it asks. If it gives up or ends,
    /// the kernel asks on its consoles.
    Agent(agent::Options),
    /// Tells whether the running machine has its key.
    Status(status::Options),
    /// Shows the driver, and what this machine lacks to be safe, with what to do.
    Doctor(doctor::Options),
    /// LUKS2 volumes: from stock LUKS2 to keys that only registers hold, and back.
    #[command(subcommand)]
    Luks(luks::Luks),
    /// Wrapped handles in files, for plain dm-crypt.
    #[command(subcommand)]
    Handle(handle::Handles),
    /// Opens a volume on a stock kernel, in an emergency: its key is then in RAM.
    Recover(recover::Options),
    /// Prints the register secret and a volume key. FOR TESTS: this build gives secrets away.
    #[cfg(any(test, feature = "test-secrets"))]
    Secrets(secrets::Options),
}

#[derive(Subcommand)]
enum Slot {
    /// Makes a slot for a pass phrase, with a new random secret.
    New(new::Options),
    /// Checks a slot for damage, and a pass phrase if one is given.
    Check(check::Options),
    /// Adds a pass phrase for the secret of a slot file. No volume is touched.
    Add(slot_edit::NewSlotOptions),
    /// Changes a pass phrase in a slot file. No volume is touched.
    Change(slot_edit::NewSlotOptions),
    /// Removes a slot from a slot file.
    Remove(slot_edit::RemoveOptions),
    /// Tells which slot of a slot file a pass phrase fits.
    Test(slot_edit::TestOptions),
    /// Shows the slots of a slot file.
    List(slot_edit::ListOptions),
    /// Stores the slots of a file in the LUKS2 header of a volume, where `recover` and `luks release`
    /// find them.
    Store(slot_edit::StoreOptions),
}

fn main() -> ExitCode {
    #[cfg(feature = "docs")]
    let result = docs::run(Arguments::command());
    #[cfg(not(feature = "docs"))]
    let result = run(Arguments::parse());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tresorctl: {error:#}");
            // As a shell reports a program that SIGINT ended.
            let code = if error.is::<terminal::Interrupted>() {
                130
            } else {
                error
                    .downcast_ref()
                    .map_or(1, |failure: &Failure| failure.exit_code())
            };
            ExitCode::from(code)
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    // A core dump would write the pass phrase to the disk.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("cannot turn core dumps off")?;
    match arguments.command {
        Command::Slot(Slot::New(options)) => new::run(&options),
        Command::Slot(Slot::Check(options)) => check::run(&options),
        Command::Slot(Slot::Add(options)) => slot_edit::add(&options),
        Command::Slot(Slot::Change(options)) => slot_edit::change(&options),
        Command::Slot(Slot::Remove(options)) => slot_edit::remove(&options),
        Command::Slot(Slot::Test(options)) => slot_edit::test(&options),
        Command::Slot(Slot::List(options)) => slot_edit::list(&options),
        Command::Slot(Slot::Store(options)) => slot_edit::store(&options),
        Command::Luks(command) => luks::run(&command),
        Command::Handle(command) => handle::run(&command),
        Command::Recover(options) => recover::run(&options),
        Command::Unlock(options) => unlock::run(&options),
        Command::Lock(options) => unlock::lock(&options),
        Command::Agent(options) => agent::run(&options),
        Command::Status(options) => status::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        #[cfg(any(test, feature = "test-secrets"))]
        Command::Secrets(options) => secrets::run(&options),
    }
}
