// SPDX-License-Identifier: GPL-2.0
//! What adopting and releasing have in common: look at the volume, ask, copy the header, change it.

use std::path::Path;

use anyhow::{ensure, Context};
use zeroize::Zeroizing;

use crate::consent;
use crate::failure::Failure;
use crate::luks::commit::{commit, repair, wipe_free};
use crate::luks::cryptsetup::Cryptsetup;
use crate::luks::disk::{Device, Disk};
use crate::luks::header::{self, Found};
use crate::luks::metadata::Metadata;
use crate::luks::plan::{self, Scratch};
use crate::luks::{backup, Change, LuksPass};

/// A volume that nobody else uses meanwhile.
pub(crate) struct Volume<D> {
    disk: D,
    found: Found,
    metadata: Metadata,
}

/// A function from a volume's old key to its new one.
type NewKey<'a> = &'a mut dyn FnMut(&[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>>;

/// What the volume is to become.
pub(crate) struct Goal<'a> {
    /// Its cipher.
    pub(crate) encryption: &'a str,
    /// Makes its new key of its old one.
    pub(crate) new_key: NewKey<'a>,
}

impl Volume<Device> {
    /// Opens it exclusively.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let mut device = Device::open(path)?;
        device.lock()?;
        Self::on(device).with_context(|| format!("{} cannot be changed", path.display()))
    }
}

impl<D: Disk> Volume<D> {
    /// Reads the header.
    pub(crate) fn on(disk: D) -> anyhow::Result<Self> {
        let found = header::find(&disk)?;
        let metadata = Metadata::parse(found.newest.json())?;
        Ok(Self {
            disk,
            found,
            metadata,
        })
    }

    /// The cipher now.
    pub(crate) fn encryption(&self) -> anyhow::Result<String> {
        Ok(self.metadata.segment()?.encryption)
    }

    /// The texts of the slots in the header.
    pub(crate) fn stored_slots(&self) -> Vec<String> {
        self.metadata.stored_slots().1
    }

    /// Finishes what an interrupted run has left: both copies of the header are made equal, and what
    /// is left of old keyslots is overwritten.
    pub(crate) fn finish(self) -> anyhow::Result<D> {
        let mut disk = self.disk;
        repair(&mut disk, self.found)?;
        wipe_free(&mut disk, &self.metadata)?;
        Ok(disk)
    }

    /// The lines that tell what will happen to the keyslots.
    pub(crate) fn keyslots_text(&self, kept: usize) -> anyhow::Result<String> {
        let keyslots = self.metadata.keyslots()?;
        let list = |of_data: bool| {
            let numbers: Vec<_> = keyslots
                .iter()
                .filter(|keyslot| keyslot.of_data == of_data)
                .map(|keyslot| keyslot.number.to_string())
                .collect();
            (numbers.len(), numbers.join(", "))
        };
        let (count, numbers) = list(true);
        let mut text =
            format!("Keyslots with the old key, which go: {numbers}. New ones: {kept}.\n");
        if count > kept {
            text.push_str(&format!(
                "PASS PHRASES OF THE OTHER {} WILL NO LONGER OPEN IT: --also-key-file takes them over now, \
                 `cryptsetup luksAddKey` adds them later.\n",
                count - kept
            ));
        }
        let (others, numbers) = list(false);
        if others > 0 {
            text.push_str(&format!(
                "Keyslots that are not for the data are left alone: {numbers}.\n"
            ));
        }
        let tokens = self.metadata.tokens_of_keyslots();
        if !tokens.is_empty() {
            text.push_str(&format!(
                "Its tokens lose their keyslots and must be enrolled again: {}.\n",
                tokens.join(", ")
            ));
        }
        Ok(text)
    }

    /// Changes key and cipher. Returns the disk, with the new header on it.
    pub(crate) fn change(
        self,
        cryptsetup: &Cryptsetup,
        options: &Change,
        goal: Goal<'_>,
    ) -> anyhow::Result<D> {
        let backup = options.backup.as_deref().context(
            "name a file for a copy of the old header with --backup FILE, on another disk: with it the \
             volume can be opened as before, whatever happens",
        )?;
        let mut pass_phrases = vec![LuksPass::get(
            options.key_file.as_ref(),
            "LUKS pass phrase: ",
        )?];
        for file in &options.also_key_file {
            pass_phrases.push(LuksPass::get(Some(file), "")?);
        }
        let Self {
            mut disk,
            found,
            metadata,
        } = self;
        let scratch = Scratch::of(&disk, &metadata)?;
        let mut old_key = None;
        for (pass_phrase, file) in pass_phrases.iter().zip(
            [None]
                .into_iter()
                .chain(options.also_key_file.iter().map(Some)),
        ) {
            let opened = cryptsetup.open(scratch.path(), pass_phrase.bytes())?;
            let opened = match file {
                None => opened.ok_or(Failure::WrongPassPhrase)?,
                Some(file) => opened
                    .ok_or(Failure::WrongPassPhrase)
                    .with_context(|| format!("{} opens no keyslot", file.display()))?,
            };
            old_key.get_or_insert(opened);
        }
        let old_key = old_key.context("no pass phrase")?;
        ensure!(
            metadata.is_volume_key(&old_key)?,
            "what cryptsetup printed is not the volume's key"
        );
        let new_key = (goal.new_key)(&old_key)?;
        backup::make(&disk, &metadata, backup)?;
        eprintln!("The old header is in {}.", backup.display());
        let found = repair(&mut disk, found)?;
        let bytes: Vec<&[u8]> = pass_phrases.iter().map(LuksPass::bytes).collect();
        let plan = plan::make(
            cryptsetup,
            &scratch,
            &new_key,
            goal.encryption,
            &bytes,
            &options.kdf,
        )?;
        eprintln!("The new header was tried in a copy. Writing it now.");
        commit(&mut disk, &found, &plan).with_context(|| {
            format!(
                "the new header could not be written completely: run the same command again with another \
                 --backup file, or go back by `cryptsetup luksHeaderRestore {} --header-backup-file {}`",
                options.device.display(),
                backup.display()
            )
        })?;
        Ok(disk)
    }
}

/// Says what the change means and asks.
pub(crate) fn agree(options: &Change, what: &str) -> anyhow::Result<()> {
    consent::ask(what, options.yes)
}
