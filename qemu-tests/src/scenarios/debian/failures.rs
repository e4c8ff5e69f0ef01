// SPDX-License-Identifier: GPL-2.0

//! Slots that are damaged or not there: what the person in front of the machine is told.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context as _, Result};
use fs_err as fs;

use super::super::lab::{Lab, PATIENCE};
use super::{prompt_of_hook, BOOT_LIMIT, PROMPT, STRETCHED_PASS_PHRASE, UNLOCKED};
use crate::console::DAMAGED;
use crate::debian::SLOT_FILE;
use crate::guest_programs;
use crate::machine::Config;

/// What our script says if there is nothing to ask for.
const NOT_ASKING: &str = "tresor: not asking for a pass phrase: no good slot in /etc/tresor/slots";

/// Makes what is to be in the place of the slot file.
type Make<'a> = &'a dyn Fn(&Path) -> Result<()>;

/// Without a good slot nobody is asked, and it is said why: a file that is damaged, and one that is not there.
pub(super) fn no_good_slot(lab: &mut Lab<'_>, config: &Config) -> Result<()> {
    let damaged = damaged(lab)?;
    let made: [(&str, Make<'_>, &str); 2] = [
        (
            "damaged",
            &|slots| Ok(fs::write(slots, &damaged)?),
            "line 1 of /etc/tresor/slots",
        ),
        ("missing", &|slots| Ok(symlink("nowhere", slots)?), ""),
    ];
    for (name, make, why) in made {
        let config = Config {
            initramfs: with_slots(lab, config, name, make)?,
            ..config.clone()
        };
        let mut machine = lab.start(&config)?;
        let before = machine.console.wait_for(NOT_ASKING, BOOT_LIMIT)?;
        ensure!(
            before.contains(why) && !before.contains(PROMPT),
            "{name} slots: {before}"
        );
        // And the volume stays closed, instead of being opened by another key.
        machine
            .console
            .wait_for("cryptsetup failed", BOOT_LIMIT)
            .with_context(|| format!("{name} slots"))?;
    }
    Ok(())
}

/// The slot on the kernel command line is damaged: the kernel says so, and the initramfs asks for those that it has. The one with Argon2id.
pub(super) fn damaged_on_command_line(lab: &mut Lab<'_>, config: &Config) -> Result<()> {
    let mut config = config.clone();
    config
        .cmdline
        .push_str(&format!(" tresor.slot={}", damaged(lab)?));
    let mut machine = lab.start(&config)?;
    machine.console.wait_for(DAMAGED, BOOT_LIMIT)?;
    prompt_of_hook(&mut machine)?;
    machine
        .console
        .type_line(STRETCHED_PASS_PHRASE.as_bytes())?;
    machine.console.wait_for(UNLOCKED, PATIENCE)?;
    lab.expect_secret_everywhere(&mut machine)
}

/// The slot with one digit changed.
fn damaged(lab: &Lab<'_>) -> Result<String> {
    let mut slot = lab.enrollment.slot_text();
    let last = slot.pop().context("an empty slot")?;
    slot.push(if last == '0' { '1' } else { '0' });
    Ok(slot)
}

/// The system's initramfs with something else in the place of its slots.
fn with_slots(lab: &Lab<'_>, config: &Config, name: &str, make: Make<'_>) -> Result<PathBuf> {
    let root = lab.dir.join(name);
    let slots = root.join(SLOT_FILE.trim_start_matches('/'));
    fs::create_dir_all(slots.parent().context("a file in no directory")?)?;
    make(&slots)?;
    let to = lab.dir.join(format!("{name}.img"));
    guest_programs::append(&config.initramfs, &root, &to)
}
