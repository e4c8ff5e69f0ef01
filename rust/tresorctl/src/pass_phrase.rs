// SPDX-License-Identifier: GPL-2.0
//! Pass phrases: from the terminal, or from a file for scripts.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context};
use rustix::io::Errno;
use tresor::kdf::PASS_PHRASE_MAX;

use crate::failure::Failure;
use crate::locked::Locked;
use crate::terminal::Terminal;

/// A pass phrase of 1 to 512 bytes in locked memory.
pub(crate) struct PassPhrase {
    memory: Locked,
    len: usize,
}

/// Where a pass phrase comes from when it is not asked for.
#[derive(clap::Args, Default)]
pub(crate) struct Source {
    /// Read the pass phrase from this file ("-": standard input) instead of asking for it. A
    /// newline at its end is not part of it.
    #[arg(long, value_name = "FILE")]
    pub(crate) pass_phrase_file: Option<PathBuf>,
}

impl PassPhrase {
    /// Asks twice on the terminal.
    pub(crate) fn ask_twice() -> anyhow::Result<Self> {
        let terminal = Terminal::new()?;
        let first = Self::ask(&terminal, "New pass phrase: ")?;
        let second = Self::ask(&terminal, "The same again: ")?;
        ensure!(
            first.bytes() == second.bytes(),
            "the two pass phrases differ; run the command again"
        );
        Ok(first)
    }

    /// Asks once on the terminal.
    pub(crate) fn ask_once(prompt: &str) -> anyhow::Result<Self> {
        Self::ask(&Terminal::new()?, prompt)
    }

    /// Reads one line of what a program writes, and not a byte more.
    pub(crate) fn read_line(source: impl AsFd) -> anyhow::Result<Self> {
        let mut memory = Locked::new()?;
        let mut len = 0;
        while let Some(byte) = memory.bytes_mut().get_mut(len..=len) {
            match rustix::io::read(&source, byte) {
                Ok(0) => bail!("the program that asks has ended"),
                Ok(_) if memory.bytes()[len] == b'\n' => break,
                Ok(_) => len += 1,
                Err(Errno::INTR) => (),
                Err(error) => return Err(error).context("cannot read the program's answer"),
            }
        }
        Self::new(memory, len)
    }

    /// Reads a file, or standard input if it is named "-".
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let (memory, mut len) = read_whole(path)?;
        if memory.bytes()[..len].ends_with(b"\n") {
            len -= 1;
        }
        Self::new(memory, len).with_context(|| format!("bad pass phrase in {}", name_of(path)))
    }

    /// The pass phrase.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory.bytes()[..self.len]
    }

    fn ask(terminal: &Terminal, prompt: &str) -> anyhow::Result<Self> {
        let mut memory = Locked::new()?;
        let buffer = memory.bytes_mut();
        let len = terminal.ask(prompt, buffer)?.unwrap_or(buffer.len());
        Self::new(memory, len)
    }

    /// Takes the first `len` bytes of `memory` if the kernel's prompt would take them.
    fn new(memory: Locked, len: usize) -> anyhow::Result<Self> {
        match len {
            0 => return Err(Failure::NoPassPhrase.into()),
            1..=PASS_PHRASE_MAX => (),
            _ => bail!("the pass phrase is too long; the kernel's prompt takes at most {PASS_PHRASE_MAX} bytes"),
        }
        let pass_phrase = Self { memory, len };
        if let Some(byte) = pass_phrase
            .bytes()
            .iter()
            .find(|&&byte| byte.is_ascii_control() && byte != b'\t')
        {
            bail!(
                "the pass phrase has the control character {byte:#04x}, which cannot be typed at the kernel's \
                 prompt; give one line of text"
            );
        }
        if !pass_phrase.bytes().is_ascii() {
            eprintln!(
                "Note: the pass phrase has characters outside ASCII. They must be typed the same at the kernel's \
                 prompt, where the keyboard has the kernel's own layout."
            );
        }
        Ok(pass_phrase)
    }
}

/// Reads a file, or standard input if it is named "-", into locked memory; returns the length. A file
/// that is longer than the memory fills it.
pub(crate) fn read_whole(path: &Path) -> anyhow::Result<(Locked, usize)> {
    let name = name_of(path);
    let file: OwnedFd = if path == Path::new("-") {
        rustix::io::dup(rustix::stdio::stdin()).with_context(|| format!("cannot read {name}"))?
    } else {
        File::open(path)
            .with_context(|| format!("cannot open {name}"))?
            .into()
    };
    let mut memory = Locked::new()?;
    let buffer = memory.bytes_mut();
    let mut len = 0;
    // Straight into locked memory: a buffered reader would keep a copy.
    while len < buffer.len() {
        match rustix::io::read(&file, &mut buffer[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(Errno::INTR) => (),
            Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
        }
    }
    Ok((memory, len))
}

fn name_of(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}
