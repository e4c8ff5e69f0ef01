// SPDX-License-Identifier: GPL-2.0
//! `tresorctl luks adopt`.

use anyhow::bail;

use crate::luks::change::{agree, Goal, Volume};
use crate::luks::cryptsetup::Cryptsetup;
use crate::luks::wrapper::Wrapper;
use crate::luks::{ChangeOptions, STOCK, WRAPPED};

/// Gives an existing stock volume a wrapped handle as its key.
pub(crate) fn run(options: &ChangeOptions) -> anyhow::Result<()> {
    let cryptsetup = Cryptsetup::find()?;
    let device = options.change.device.display();
    let volume = Volume::open(&options.change.device)?;
    match volume.encryption()?.as_str() {
        STOCK => (),
        WRAPPED => {
            volume.finish()?;
            println!("{device} is adopted. What may have been left of old keyslots is overwritten.");
            return Ok(());
        }
        other => bail!(
            "the cipher of {device} is {other}; only {STOCK} can be adopted (`cryptsetup reencrypt` can \
             change a volume to it)"
        ),
    }
    let wrapper = Wrapper::find(&options.from)?;
    let mut text = format!(
        "{device} will be adopted: its key is encrypted under this machine's register secret, and from then \
         on opens the volume only with this secret ({WRAPPED}). The data stays as it is.\n{}\
         The copy of the old header opens the volume with the old pass phrases alone. Destroy it (shred) \
         when you do not need it any more; while it exists it is the way back.\n",
        volume.keyslots_text(1 + options.change.also_key_file.len())?
    );
    text.push_str(wrapper.text());
    agree(&options.change, &text)?;
    let mut wrap = |old: &[u8]| wrapper.wrap(old);
    let goal = Goal {
        encryption: WRAPPED,
        new_key: &mut wrap,
    };
    drop(volume.change(&cryptsetup, &options.change, goal)?);
    println!("{device} is adopted.");
    Ok(())
}
