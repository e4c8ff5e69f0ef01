// SPDX-License-Identifier: GPL-2.0
//! Asks for a line on the terminal without showing it; the terminal is put right again whatever
//! happens.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{bail, Context};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::termios::{
    self, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How long a signal that came just before waiting for input may go unnoticed.
const SIGNAL_DELAY: Duration = Duration::from_millis(200);

/// The person pressed Ctrl-C, or another program asked to end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted; nothing was made")
    }
}

impl std::error::Error for Interrupted {}

/// A terminal that shows nothing of what is typed, until it is dropped.
pub(crate) struct Terminal {
    before: Termios,
    signals: Signals,
}

impl Terminal {
    /// Turns the echo of standard input off.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            bail!("standard input is no terminal to ask for the pass phrase on; give --pass-phrase-file");
        }
        // First the signals: none may end the program while the echo is off.
        let signals = Signals::catch()?;
        let before = termios::tcgetattr(&stdin).context("cannot read the terminal's settings")?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent
            .local_modes
            .insert(LocalModes::ICANON | LocalModes::ISIG);
        // Ctrl-Z would leave the shell with a terminal that shows nothing.
        silent.special_codes[SpecialCodeIndex::VSUSP] = 0;
        termios::tcsetattr(&stdin, OptionalActions::Flush, &silent)
            .context("cannot turn the terminal's echo off")?;
        Ok(Self { before, signals })
    }

    /// Shows `prompt` and reads a line into `buffer`. Returns its length without the newline, or
    /// `None` if `buffer` is too short.
    pub(crate) fn ask(&self, prompt: &str, buffer: &mut [u8]) -> anyhow::Result<Option<usize>> {
        let stdin = io::stdin();
        let mut stderr = io::stderr();
        write!(stderr, "{prompt}")
            .and_then(|()| stderr.flush())
            .context("cannot write to the terminal")?;
        let read = self.signals.read(stdin.as_fd(), buffer);
        // The person's Enter was not shown either.
        writeln!(stderr).context("cannot write to the terminal")?;
        let len = read?;
        match buffer[..len].split_last() {
            Some((b'\n', line)) => Ok(Some(line.len())),
            // Ctrl-D ends a line without a newline.
            _ if len < buffer.len() => Ok(Some(len)),
            _ => {
                termios::tcflush(&stdin, QueueSelector::IFlush)
                    .context("cannot drop the rest of the line")?;
                Ok(None)
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // There is nobody left to tell if the terminal is gone.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Signals that would end the program; caught, they end it in good order. Afterwards they end it at
/// once again.
struct Signals(&'static Flags);

/// What the signal handlers share with the program. They are never taken away again, so there is one
/// for all.
#[derive(Default)]
struct Flags {
    caught: Arc<AtomicBool>,
    end_at_once: Arc<AtomicBool>,
}

impl Flags {
    fn get() -> anyhow::Result<&'static Self> {
        static FLAGS: OnceLock<Flags> = OnceLock::new();
        if let Some(flags) = FLAGS.get() {
            return Ok(flags);
        }
        let flags = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&flags.end_at_once))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flags.caught)))
                .context("cannot catch signals")?;
        }
        Ok(FLAGS.get_or_init(|| flags))
    }
}

impl Signals {
    fn catch() -> anyhow::Result<Self> {
        let flags = Flags::get()?;
        flags.caught.store(false, Ordering::Relaxed);
        flags.end_at_once.store(false, Ordering::Relaxed);
        Ok(Self(flags))
    }

    fn read(&self, stdin: BorrowedFd<'_>, buffer: &mut [u8]) -> anyhow::Result<usize> {
        let delay = Timespec::try_from(SIGNAL_DELAY).context("cannot wait for the terminal")?;
        loop {
            if self.0.caught.load(Ordering::Relaxed) {
                return Err(Interrupted.into());
            }
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&delay)) {
                Ok(0) | Err(Errno::INTR) => (),
                // With ICANON a read gives one line at most.
                Ok(_) => {
                    return rustix::io::read(stdin, &mut *buffer)
                        .context("cannot read from the terminal")
                }
                Err(error) => return Err(error).context("cannot wait for the terminal"),
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.0.end_at_once.store(true, Ordering::Relaxed);
    }
}
