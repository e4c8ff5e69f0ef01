// SPDX-License-Identifier: GPL-2.0
//! `tresorctl luks release`.

use anyhow::{bail, Context};

use crate::luks::change::{agree, Goal, Volume};
use crate::luks::cryptsetup::Cryptsetup;
use crate::luks::key::Cipher;
use crate::luks::{ChangeOptions, STOCK};

/// Gives a volume of ours its real key as a stock volume has it.
pub(crate) fn run(options: &ChangeOptions) -> anyhow::Result<()> {
    let cryptsetup = Cryptsetup::find()?;
    let device = options.change.device.display();
    let volume = Volume::open(&options.change.device)?;
    let encryption = volume.encryption()?;
    if encryption == STOCK {
        volume.finish()?;
        println!(
            "{device} is a stock volume. What may have been left of old keyslots is overwritten."
        );
        return Ok(());
    }
    let cipher =
        Cipher::named(&encryption).with_context(|| format!("{device} cannot be released"))?;
    if cipher.stock != STOCK {
        bail!("{device} has the cipher {encryption}; only XTS can be released");
    }
    agree(
        &options.change,
        &format!(
            "{device} will be a stock volume again ({STOCK}): every kernel opens it with the LUKS pass phrase \
             alone, without a slot, AND HAS ITS KEY IN RAM while it is open. The data stays as it is.\n\
             The register secret and the volume's key will be in this program's memory (RAM) for a moment.\n{}",
            volume.keyslots_text(1 + options.change.also_key_file.len())?
        ),
    )?;
    let s = options.from.secret(&volume.stored_slots())?;
    let mut unwrap = |old: &[u8]| cipher.key(old, &s);
    let goal = Goal {
        encryption: STOCK,
        new_key: &mut unwrap,
    };
    drop(volume.change(&cryptsetup, &options.change, goal)?);
    println!("{device} is a stock volume again: `cryptsetup open {device} NAME`.");
    Ok(())
}
