// SPDX-License-Identifier: GPL-2.0
//! `tresorctl luks format`.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::ensure;

use crate::consent;
use crate::luks::cryptsetup::{Cryptsetup, Kdf};
use crate::luks::disk::Device;
use crate::luks::wrapper::Wrapper;
use crate::luks::{LuksPass, WRAPPED};
use crate::register_secret::FromSlot;

/// Options of `luks format`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The device.
    #[arg(value_name = "DEV")]
    device: PathBuf,
    /// Read the LUKS pass phrase from this file ("-": standard input) instead of asking for it.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    from: FromSlot,
    #[command(flatten)]
    kdf: Kdf,
    /// Do not ask whether you agree.
    #[arg(long)]
    yes: bool,
    /// More options of `cryptsetup luksFormat`, after "--": for example --label or --sector-size.
    #[arg(last = true)]
    more: Vec<OsString>,
}

/// Makes a volume with a fresh key.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    for option in &options.more {
        let name = option.to_string_lossy();
        let fixed = [
            "--type",
            "--cipher",
            "-c",
            "--key-size",
            "-s",
            "--volume-key-file",
        ];
        ensure!(
            !fixed.iter().any(|fixed| name.starts_with(fixed)),
            "{name} cannot be given: the volume is LUKS2 with {WRAPPED} and a wrapped handle as its key"
        );
    }
    let cryptsetup = Cryptsetup::find()?;
    let device = options.device.display();
    // Is it in use? cryptsetup wants it for itself afterwards.
    drop(Device::open(&options.device)?);
    let wrapper = Wrapper::find(&options.from)?;
    consent::ask(
        &format!(
            "ALL DATA ON {device} WILL BE LOST. A new LUKS2 volume ({WRAPPED}) is made on it.\n{}",
            wrapper.text()
        ),
        options.yes,
    )?;
    let pass_phrase = LuksPass::get_new(options.key_file.as_ref())?;
    let handle = wrapper.fresh()?;
    cryptsetup.format(
        &options.device,
        WRAPPED,
        &handle,
        pass_phrase.bytes(),
        &options.kdf,
        &options.more,
    )?;
    println!(
        "{device} is made: `cryptsetup open {device} NAME` opens it while the machine is unlocked."
    );
    Ok(())
}
