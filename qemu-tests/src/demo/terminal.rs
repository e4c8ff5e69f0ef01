// SPDX-License-Identifier: GPL-2.0

//! The person's terminal: reading a pass phrase unseen, and lending the terminal to the machine while its prompt waits.

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use fs_err::{File, OpenOptions};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::termios::{tcgetattr, tcsetattr, OptionalActions, Termios};
use tresor::kdf;
use tresor::line::{self, Line};
use zeroize::Zeroizing;

use crate::console::{Console, ACCEPTED, PROMPT, WITHOUT_KEY};

/// How often the machine's output is looked at while nothing is typed.
const GLANCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};
/// More than a pass phrase may have, so that too long a line is seen as such.
const LINE_BYTES: usize = 640;

/// The controlling terminal in raw mode: every key arrives at once, Ctrl-C too, and nothing is echoed. Restored when dropped.
pub(super) struct Terminal {
    tty: File,
    saved: Termios,
}

impl Terminal {
    pub(super) fn open() -> Result<Self> {
        let tty = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .context("there is no terminal to type at: use --pass-phrase-file FILE")?;
        let saved = tcgetattr(&tty).context("reading the terminal's settings")?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(&tty, OptionalActions::Flush, &raw).context("setting the terminal")?;
        Ok(Self { tty, saved })
    }

    /// Shows text; its newlines begin a line, as in the terminal's usual mode.
    pub(super) fn show(&mut self, text: &str) -> Result<()> {
        Ok(self.tty.write_all(text.replace('\n', "\r\n").as_bytes())?)
    }

    /// Asks for a line that is not shown. Means the same by its keys as the machine's own prompt.
    pub(super) fn read_unseen(&mut self, question: &str) -> Result<Zeroizing<Vec<u8>>> {
        self.show(question)?;
        let mut buffer = Zeroizing::new(vec![0; LINE_BYTES]);
        let mut len = 0;
        loop {
            let mut key = Zeroizing::new([0]);
            self.tty
                .read_exact(&mut *key)
                .context("reading the terminal")?;
            // What the line discipline of the prompt's terminal does.
            let byte = match key[0] {
                b'\r' => b'\n',
                0x7f => 0x08,
                0x15 => {
                    len = 0;
                    continue;
                }
                byte => byte,
            };
            if len < LINE_BYTES {
                buffer[len] = byte;
                len += 1;
            }
            if byte == b'\n' || byte == line::CTRL_C {
                break;
            }
        }
        self.show("\n")?;
        match line::finish(&mut buffer, len) {
            Line::PassPhrase(len) => buffer.truncate(len),
            Line::Empty => buffer.clear(),
            Line::TooLong => bail!("a pass phrase has at most {} bytes", kdf::PASS_PHRASE_MAX),
            Line::Cancel => bail!("cancelled by Ctrl-C; nothing was changed"),
        }
        Ok(buffer)
    }

    /// What was typed since the last call, if anything.
    fn keys(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        let mut keys = Zeroizing::new(vec![0; 256]);
        let mut fds = [PollFd::new(&self.tty, PollFlags::IN)];
        let ready = poll(&mut fds, Some(&GLANCE)).context("waiting for a key")?;
        let len = match ready {
            0 => 0,
            _ => {
                let len = self.tty.read(&mut keys)?;
                ensure!(len > 0, "the terminal was closed");
                len
            }
        };
        keys.truncate(len);
        Ok(keys)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing better can be done if the terminal is gone.
        let _ = tcsetattr(&self.tty, OptionalActions::Flush, &self.saved);
    }
}

/// Waits for the machine's prompt, then connects the person's terminal to its serial console until the pass phrase is accepted.
pub(super) fn bridge(console: &mut Console, boot_limit: Duration) -> Result<()> {
    console.wait_prompt(boot_limit)?;
    let mut position = console.position();
    let mut terminal = Terminal::open()?;
    terminal.show(&format!("\nThis is the machine's own console:\n\n{PROMPT}"))?;
    loop {
        let keys = terminal.keys()?;
        console.write(&keys)?;
        let found = console.poll_for_any(&[ACCEPTED, WITHOUT_KEY])?;
        let (output, end) = console.output_since(position);
        position = end;
        terminal.tty.write_all(&output)?;
        match found {
            None => {}
            Some((0, _)) => break,
            Some(_) => {
                terminal.show("\n")?;
                bail!("the machine went on without a key, as was asked for: there is nothing to show, start again")
            }
        }
    }
    terminal.show("\n")
}
