// SPDX-License-Identifier: GPL-2.0
//! `tresorctl`: makes and checks slots, from which the kernel driver gets its register secret.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

mod check;
mod locked;
mod new;
mod pass_phrase;
// Its own tests run in every build.
#[cfg(any(test, feature = "test-secrets"))]
mod secrets;
mod speed;
mod terminal;

/// Makes and checks slots of the kernel driver tresor.
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
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tresorctl: {error:#}");
            // As a shell reports a program that SIGINT ended.
            let code = if error.is::<terminal::Interrupted>() {
                130
            } else {
                1
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
        #[cfg(any(test, feature = "test-secrets"))]
        Command::Secrets(options) => secrets::run(&options),
    }
}
