// SPDX-License-Identifier: GPL-2.0

//! The guest's serial console: everything it printed, waiting for a text, typing.

use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use crate::late::Late;

/// What the driver prints when it waits for the pass phrase.
pub const PROMPT: &str = "Tresor pass phrase: ";
/// What `tresorctl` prints when it waits for the pass phrase. It does not repeat a prompt that a line of the kernel's log has cut in two, so such a
/// one counts, too; for that this is another text than [`PROMPT`], by the space.
pub(crate) const PROMPT_OF_TRESORCTL: &str = "Tresor pass phrase:";
/// Printed after the right pass phrase.
pub const ACCEPTED: &str = "tresor: pass phrase accepted";
/// Printed after a wrong pass phrase.
pub const WRONG: &str = "tresor: wrong pass phrase";
/// Printed after Ctrl-C or an empty line.
pub const WITHOUT_KEY: &str = "tresor: continuing without a key";
/// Printed when the slot on the kernel command line cannot be used.
pub const DAMAGED: &str = "tresor: slot damaged";
/// Printed instead of the prompt when the machine lacks what `tresor.require=` names.
pub const REFUSED: &str = "tresor: not asking for a pass phrase";
/// Printed by the kernel when it starts PID 1: there is no prompt after it.
pub(crate) const INIT_STARTED: &str = "Run /init as init process";
/// A machine that printed this will not answer any more.
pub(crate) const PANIC: &str = "Kernel panic - not syncing";
/// Lines of the log that an error message quotes.
const TAIL_LINES: usize = 25;

/// The serial line of a machine.
#[derive(Debug)]
pub struct Console {
    stream: UnixStream,
    shared: Arc<Shared>,
    /// How much of the output earlier waits have consumed.
    seen: usize,
    /// Length of the output at the last search.
    looked_at: usize,
}

#[derive(Debug, Default)]
struct Shared {
    output: Mutex<Output>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Output> {
        // The bytes are whole after a panic of the reader, too.
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Console {
    /// Takes over the connection and collects all output from now on.
    pub fn new(stream: UnixStream) -> Result<Self> {
        let mut reader = stream.try_clone().context("duplicating the serial line")?;
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::spawn(move || {
            let mut buf = [0; 4096];
            loop {
                let got = reader.read(&mut buf).unwrap_or(0);
                let mut output = writer.lock();
                output.bytes.extend_from_slice(&buf[..got]);
                output.closed = got == 0;
                writer.changed.notify_all();
                if got == 0 {
                    break;
                }
            }
        });
        Ok(Self {
            stream,
            shared,
            seen: 0,
            looked_at: 0,
        })
    }

    /// Waits until `text` appears in the output that no earlier wait consumed; consumes up to its end and returns what stood before it.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<String> {
        self.wait_for_any(&[text], limit).map(|(_, before)| before)
    }

    /// Like [`Self::wait_for`] for the first of several texts: returns its index and what stood before it.
    pub fn wait_for_any(&mut self, texts: &[&str], limit: Duration) -> Result<(usize, String)> {
        let end = Instant::now() + limit;
        loop {
            if let Some(found) = self.poll_for_any(texts)? {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (limit, tail) = (limit.as_secs(), self.tail());
                let late = format!("the console never showed {texts:?} within {limit} s{tail}");
                return Err(Late(late).into());
            }
            let output = self.shared.lock();
            if output.bytes.len() == self.looked_at && !output.closed {
                // A wake-up without output does no harm.
                drop(self.shared.changed.wait_timeout(output, left));
            }
        }
    }

    /// Like [`Self::wait_for_any`] without waiting. Fails if the machine is gone or its kernel panicked.
    pub fn poll_for_any(&mut self, texts: &[&str]) -> Result<Option<(usize, String)>> {
        let output = self.shared.lock();
        let fresh = &output.bytes[self.seen..];
        let first = texts
            .iter()
            .enumerate()
            .filter_map(|(index, text)| {
                let found = find(fresh, text)?;
                Some((found.start, index, found.end))
            })
            .min();
        if let Some((at, index, end)) = first {
            let before = String::from_utf8_lossy(&fresh[..at]).into_owned();
            self.seen += end;
            return Ok(Some((index, before)));
        }
        self.looked_at = output.bytes.len();
        let panicked = find(fresh, PANIC).is_some();
        let reason = match (panicked, output.closed) {
            (true, _) => "the kernel panicked",
            (_, true) => "the machine is gone",
            _ => return Ok(None),
        };
        drop(output);
        bail!(
            "the console never showed {texts:?}: {reason}{}",
            self.tail()
        );
    }

    /// Types bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .write_all(bytes)
            .context("typing at the serial console")
    }

    /// Types a line: the bytes and the Enter key.
    pub fn type_line(&mut self, line: &[u8]) -> Result<()> {
        self.write(line)?;
        self.write(b"\r")
    }

    /// Waits for the prompt. Fails as soon as the kernel starts PID 1 without one.
    pub fn wait_prompt(&mut self, limit: Duration) -> Result<()> {
        match self.wait_for_any(&[PROMPT, INIT_STARTED], limit)? {
            (0, _) => Ok(()),
            _ => bail!("the kernel went on without asking{}", self.tail()),
        }
    }

    /// Waits for the prompt and types a pass phrase.
    pub fn answer_prompt(&mut self, pass_phrase: &[u8], limit: Duration) -> Result<()> {
        self.wait_prompt(limit)?;
        self.type_line(pass_phrase)
    }

    /// Output that appeared after `position` bytes, and the new position. Consumes nothing.
    pub fn output_since(&self, position: usize) -> (Vec<u8>, usize) {
        let output = self.shared.lock();
        let fresh = output.bytes.get(position..).unwrap_or_default().to_vec();
        (fresh, output.bytes.len())
    }

    /// All output so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shared.lock().bytes).into_owned()
    }

    /// How much of the output earlier waits have consumed, in bytes.
    pub fn position(&self) -> usize {
        self.seen
    }

    /// The last lines of the output, for error messages.
    pub fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<_> = text.lines().collect();
        let start = lines.len().saturating_sub(TAIL_LINES);
        format!(
            "\n--- last lines of the console ---\n{}\n---",
            lines[start..].join("\n")
        )
    }
}

/// Where a text is, the first time. The kernel may print lines of its log in the middle of it; not in the middle of the prompt, which the
/// driver repeats then, and whoever answers the first half would be too early.
fn find(output: &[u8], text: &str) -> Option<Range<usize>> {
    (0..output.len()).find_map(|start| {
        let end = end_of(output, start, text.as_bytes(), text != PROMPT)?;
        Some(start..end)
    })
}

/// Where a text ends that begins at `start`, if it is there.
fn end_of(output: &[u8], start: usize, text: &[u8], may_be_cut: bool) -> Option<usize> {
    let mut at = start;
    for (index, byte) in text.iter().enumerate() {
        while output.get(at)? != byte {
            if index == 0 || !may_be_cut {
                return None;
            }
            at += record(output.get(at..)?)?;
        }
        at += 1;
    }
    Some(at)
}

/// Length of the line of the kernel's log with which the output begins, with its end: `[    1.257024] rtc_cmos ...`.
fn record(output: &[u8]) -> Option<usize> {
    let rest = output.strip_prefix(b"[")?;
    let stamp = rest.split(|byte| *byte == b']').next()?;
    let is_time = stamp.contains(&b'.')
        && stamp
            .iter()
            .all(|byte| matches!(byte, b' ' | b'.' | b'0'..=b'9'));
    let line = output.iter().position(|byte| *byte == b'\n')?;
    is_time.then_some(line + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::late::is_late;

    const SOON: Duration = Duration::from_millis(50);

    fn console(output: &str) -> (Console, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
        theirs.write_all(output.as_bytes()).expect("write");
        (Console::new(ours).expect("console"), theirs)
    }

    #[test]
    fn a_wait_consumes_up_to_the_text() {
        let (mut console, _guest) = console("a one b one c");
        assert_eq!(console.wait_for("one", SOON).expect("first"), "a ");
        assert_eq!(console.wait_for("one", SOON).expect("second"), " b ");
        let error = console
            .wait_for("one", SOON)
            .expect_err("there is no third");
        assert!(is_late(&error));
    }

    #[test]
    fn the_earliest_of_several_texts_wins() {
        let (mut console, _guest) = console("wrong then right");
        let (index, _) = console
            .wait_for_any(&["right", "wrong"], SOON)
            .expect("one");
        assert_eq!(index, 1);
    }

    #[test]
    fn a_text_that_lines_of_the_log_cut_in_two_is_found() {
        let cut = "tresor: not aski[    2.558504] tresor: no key\r\n[    2.6] x\nng for a pass phrase: why";
        let (mut console, _guest) = self::console(cut);
        console.wait_for(REFUSED, SOON).expect("the text");
        assert_eq!(console.wait_for("why", SOON).expect("the rest"), ": ");
        for not_cut in ["wrong [x] way\n", "wr[2.5] ong", "[2.5] wro\nng way"] {
            let (mut console, _guest) = self::console(not_cut);
            assert!(console.wait_for("wrong way", SOON).is_err(), "{not_cut}");
        }
        let cut_prompt = "Tresor pass[    2.558504] x\n phrase: ";
        let (mut console, _guest) = self::console(cut_prompt);
        assert!(console.wait_for(PROMPT, SOON).is_err());
        console
            .wait_for(PROMPT_OF_TRESORCTL, SOON)
            .expect("the prompt of a program that shows it once");
    }

    #[test]
    fn a_boot_without_a_prompt_is_noticed() {
        let (mut console, _guest) = console("Run /init as init process\nTresor pass phrase: ");
        assert!(console.wait_prompt(SOON).is_err());
        let (mut console, _guest) =
            self::console("x Tresor pass phrase: Run /init as init process");
        assert!(console.wait_prompt(SOON).is_ok());
    }

    #[test]
    fn a_panic_or_the_end_is_noticed_without_waiting() {
        let long = Duration::from_secs(60);
        let (mut with_panic, _guest) = console("Kernel panic - not syncing: x");
        let error = with_panic.wait_for("never", long).expect_err("panic");
        assert!(error.to_string().contains("panicked"), "{error:#}");
        assert!(!is_late(&error));
        let (mut ended, guest) = console("bye");
        drop(guest);
        let error = ended.wait_for("never", long).expect_err("end");
        assert!(error.to_string().contains("gone"), "{error:#}");
    }
}
