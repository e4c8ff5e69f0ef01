// SPDX-License-Identifier: GPL-2.0
//! `tresorctl handle`: wrapped handles in files of their own, for plain dm-crypt.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use amnesia::wrapped::{Wrapped, SIZE};
use anyhow::Context;
use clap::Subcommand;
use tresor::phase::Phase;
use tresor::reference::Sha256;

use crate::consent;
use crate::device::Device;
use crate::failure::Failure;
use crate::luks::wrapper::Wrapper;
use crate::register_secret::FromSlot;

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Handles {
    /// Makes a fresh key for XTS-AES-256 that only registers will ever hold, and writes its handle to a
    /// new file: a key file for `cryptsetup open --type plain --cipher amnesia-xts-plain64 --key-size 1024`.
    New(NewOptions),
    /// Tells what a handle is for, and whether it is one of this machine's secret.
    Check(CheckOptions),
}

/// Options of `handle new`.
#[derive(clap::Args)]
pub(crate) struct NewOptions {
    /// The file, which must not exist yet. It is public, and part of what makes the key: keep a copy.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    from: FromSlot,
    /// Do not ask whether you agree that the secret is in RAM for a moment, if it has to be.
    #[arg(long)]
    yes: bool,
}

/// Options of `handle check`.
#[derive(clap::Args)]
pub(crate) struct CheckOptions {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs one of them.
pub(crate) fn run(command: &Handles) -> anyhow::Result<()> {
    crate::locked::keep_all_in_memory()?;
    match command {
        Handles::New(options) => new(options),
        Handles::Check(options) => check(&options.file),
    }
}

fn new(options: &NewOptions) -> anyhow::Result<()> {
    let wrapper = Wrapper::find(&options.from)?;
    if matches!(wrapper, Wrapper::Here(_)) {
        consent::ask(wrapper.text(), options.yes)?;
    }
    let handle = wrapper.fresh()?;
    let name = options.file.display();
    // Never over another handle: that would take its volume with it.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&options.file)
        .and_then(|mut file| file.write_all(&handle).and_then(|()| file.sync_all()))
        .with_context(|| format!("cannot write a new file {name}"))?;
    println!("{name} is the handle of a fresh key. Keep a copy: without it the key is gone.");
    Ok(())
}

fn check(path: &Path) -> anyhow::Result<()> {
    let name = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let handle =
        Wrapped::parse::<Sha256>(&bytes).with_context(|| format!("{name} is no wrapped handle"))?;
    let id = u64::from_be_bytes(*handle.id());
    println!("{} under the secret {id:016x}", handle.kind());
    match Device::open() {
        Ok(device) if device.status()?.phase == Phase::Unlocked as u32 => {
            // `parse` took all of them and no more.
            let bytes: [u8; SIZE] = handle.encode::<Sha256>();
            device.verify(&bytes)?;
            println!("this machine's: the MAC is right");
        }
        Ok(_) => println!("not verified: the machine is locked"),
        Err(error) if error.downcast_ref() == Some(&Failure::NoDriver) => {
            println!("not verified: there is no driver");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
