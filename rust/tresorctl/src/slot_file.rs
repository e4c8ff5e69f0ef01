// SPDX-License-Identifier: GPL-2.0
//! Slot files: several pass phrases for one register secret, one slot a line.
//!
//! Lines that begin with `#` and empty ones are comments, and kept. A slot has the form that the kernel
//! command line takes, with or without `tresor.slot=` before it, or that of [`StoredSlot`]. The file is public.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context};

use crate::stored_slot::StoredSlot;

/// Far more than anybody needs; a wrong file is noticed before it is read.
const SIZE_MAX: u64 = 1 << 20;

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Comment(String),
    Slot(Box<StoredSlot>),
}

/// A slot file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotFile {
    path: PathBuf,
    lines: Vec<Line>,
}

impl SlotFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If a line is damaged: which one, and why.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let size = fs::metadata(path)
            .with_context(|| format!("cannot read {name}"))?
            .len();
        ensure!(size <= SIZE_MAX, "{name} is too large for a file of slots");
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let trimmed = line.trim();
            lines.push(if trimmed.is_empty() || trimmed.starts_with('#') {
                Line::Comment(line.to_owned())
            } else {
                let slot = trimmed
                    .parse()
                    .with_context(|| format!("line {number} of {name}"))?;
                Line::Slot(Box::new(slot))
            });
        }
        let file = Self {
            path: path.to_owned(),
            lines,
        };
        ensure!(
            file.slots().next().is_some(),
            "{name} has no slot; `tresorctl slot new --slot-file {name}` makes the first one in a new file"
        );
        Ok(file)
    }

    /// A file that is not there yet.
    pub(crate) fn new(path: &Path) -> anyhow::Result<Self> {
        if path.symlink_metadata().is_ok() {
            bail!(
                "{} exists: `tresorctl slot add` adds a pass phrase for the same secret; for another secret \
                 give another file",
                path.display()
            );
        }
        Ok(Self {
            path: path.to_owned(),
            lines: vec![Line::Comment(
                "# Slots of tresor: each gives the same secret, from its own pass phrase."
                    .to_owned(),
            )],
        })
    }

    /// The slots in their order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &StoredSlot> {
        self.lines.iter().filter_map(|line| match line {
            Line::Slot(slot) => Some(&**slot),
            Line::Comment(_) => None,
        })
    }

    /// Adds a slot at the end.
    pub(crate) fn add(&mut self, slot: StoredSlot) {
        self.lines.push(Line::Slot(Box::new(slot)));
    }

    /// Puts another slot at the place of one, or removes it.
    pub(crate) fn replace(&mut self, place: usize, by: Option<StoredSlot>) {
        let at = self
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| matches!(line, Line::Slot(_)))
            .map(|(at, _)| at)
            .nth(place);
        match (at, by) {
            (Some(at), Some(slot)) => self.lines[at] = Line::Slot(Box::new(slot)),
            (Some(at), None) => drop(self.lines.remove(at)),
            (None, _) => (),
        }
    }

    /// Writes the file: after power loss it is the old or the new one, whole.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        // Through a symbolic link: the file that it points to is the one to replace.
        let path = match fs::canonicalize(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.path.clone(),
            other => other.with_context(|| format!("cannot find {}", self.path.display()))?,
        };
        let name = path.display();
        let mut new = path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        // Left by an interrupted run.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", new.display()));
            }
            _ => (),
        }
        let mode = fs::metadata(&path).map_or(0o600, |old| old.permissions().mode() & 0o777);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&new)
            .with_context(|| format!("cannot make {}", new.display()))?;
        file.write_all(self.text().as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("cannot write {}", new.display()))?;
        fs::rename(&new, &path).with_context(|| format!("cannot replace {name}"))?;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .with_context(|| format!("the disk did not confirm the change of {name}"))
    }

    fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| match line {
            Line::Comment(text) => format!("{text}\n"),
            Line::Slot(slot) => format!("{slot}\n"),
        });
        lines.collect()
    }
}
