// SPDX-License-Identifier: GPL-2.0

//! The pass phrase prompt.

use kernel::{
    bindings,
    prelude::*,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    },
};

use super::{
    console::Consoles,
    machine,
    pass_phrase::PassPhrase,
    store,
    unlock::{self, Outcome}, //
};
use crate::{
    line::{self, Line},
    slot::Slot,
};

const PROMPT: &[u8] = b"\nTresor pass phrase: ";
const WORKING: &[u8] = b"\ntresor: deriving the key ...\n";
const ACCEPTED: &[u8] = b"tresor: pass phrase accepted\n";
const WRONG: &[u8] = b"tresor: wrong pass phrase\n";
const LOCKED: &[u8] = b"tresor: locked again meanwhile; the pass phrase is needed once more\n";
const TOO_LONG: &[u8] = b"\ntresor: a pass phrase has at most 512 bytes\n";
const WITHOUT: &[u8] =
    b"\ntresor: continuing without a key; encrypted volumes wait until tresorctl unlock\n";
const REFUSED: &[u8] =
    b"\ntresor: not asking for a pass phrase: the machine lacks what tresor.require= names; \
      see the log\n";
const WAIT: &[u8] = b"tresor: too many wrong pass phrases; wait before the next one\n";

/// How often the terminals are looked at.
const POLL: Delta = Delta::from_millis(20);
/// The prompt is repeated when log lines have followed it and no further one has come for this
/// long.
const QUIET_MS: i64 = 300;
/// As many wrong pass phrases are answered at once.
const FREE_TRIES: u32 = 3;
/// The delay after the next one; it doubles each time,
const FIRST_DELAY_S: i64 = 2;
/// but does not exceed this.
const MAX_DELAY_S: i64 = 64;

/// Asks on the consoles until the pass phrase is right or the person gives up.
///
/// Nothing that was typed stays in the terminals. Log lines after `log_before` may not have reached
/// the consoles yet, and cover the prompt: it is then repeated.
///
/// Fails with `EPERM`, without asking, if the machine lacks what it is required to have.
///
/// Context: process context, sleeps.
pub(crate) fn ask(consoles: &Consoles, slot: &Slot, log_before: u64) -> Result {
    machine::check_required().inspect_err(|_| consoles.write(REFUSED))?;
    // Before anything is asked, so that what was typed can be taken away whatever happens.
    let mut rest = PassPhrase::new()?;
    let result = ask_until_answered(consoles, slot, log_before);
    consoles.discard(rest.bytes());
    result
}

fn ask_until_answered(consoles: &Consoles, slot: &Slot, mut log_before: u64) -> Result {
    let mut wrong: u32 = 0;
    loop {
        let mut pass = PassPhrase::new()?;
        let line = read_line(consoles, pass.bytes(), log_before);
        // What the answer adds to the log may reach the console only after the next prompt.
        log_before = log_end();
        match line {
            Line::PassPhrase(len) => {
                consoles.write(WORKING);
                match unlock::unlock(slot, &mut pass, len)? {
                    Outcome::Unlocked(cpus) => {
                        pr_info!(
                            "pass phrase accepted, the key is in the {} of {} CPUs\n",
                            store::name(),
                            cpus
                        );
                        consoles.write(ACCEPTED);
                        return Ok(());
                    }
                    Outcome::WrongPassPhrase => {
                        wrong = wrong.saturating_add(1);
                        pr_warn!("wrong pass phrase ({})\n", wrong);
                        consoles.write(WRONG);
                        delay(consoles, wrong);
                    }
                    Outcome::Wiped => {
                        pr_warn!("locked while the key was derived\n");
                        consoles.write(LOCKED);
                    }
                    Outcome::OtherSecret => {
                        pr_err!("the slot gives another key than before\n");
                        return Err(EEXIST);
                    }
                    Outcome::ZeroSecret => {
                        pr_err!("this slot cannot be used: make a new one with tresorctl\n");
                        return Err(EINVAL);
                    }
                    Outcome::NotKept => {
                        pr_err!(
                            "no CPU keeps a key in its {}: is this a hypervisor?\n",
                            store::name()
                        );
                        return Err(EIO);
                    }
                }
            }
            Line::TooLong => consoles.write(TOO_LONG),
            Line::Empty | Line::Cancel => {
                pr_warn!("continuing without a key\n");
                consoles.write(WITHOUT);
                return Ok(());
            }
        }
    }
}

/// Makes guessing at the keyboard slow.
fn delay(consoles: &Consoles, wrong: u32) {
    if wrong < FREE_TRIES {
        return;
    }
    let doublings = wrong.saturating_sub(FREE_TRIES);
    let seconds = FIRST_DELAY_S
        .checked_shl(doublings)
        .map_or(MAX_DELAY_S, |seconds| {
            seconds.clamp(FIRST_DELAY_S, MAX_DELAY_S)
        });
    consoles.write(WAIT);
    fsleep(Delta::from_secs(seconds));
}

/// Shows the prompt, again whenever log lines after `log_before` may have covered it, and waits for
/// a line.
fn read_line(consoles: &Consoles, buffer: &mut [u8], log_before: u64) -> Line {
    consoles.write(PROMPT);
    let mut shown_at = log_before;
    let mut seen = log_end();
    let mut changed: Instant<Monotonic> = Instant::now();
    loop {
        if let Some(len) = consoles.read(buffer) {
            let line = line::finish(buffer, len);
            // A line longer than the buffer comes in pieces; the first one is too long already, and
            // the others end it.
            if line == Line::TooLong && len == buffer.len() {
                while consoles.read(buffer) == Some(buffer.len()) {}
                buffer.fill(0);
            }
            return line;
        }
        fsleep(POLL);
        let end = log_end();
        if end != seen {
            seen = end;
            changed = Instant::now();
        } else if end != shown_at && changed.elapsed().as_millis() >= QUIET_MS {
            shown_at = end;
            consoles.write(PROMPT);
        }
    }
}

/// The number of the next line of the kernel log. Context: any.
pub(crate) fn log_end() -> u64 {
    let mut iter = bindings::kmsg_dump_iter::default();
    // SAFETY: `iter` is valid for writes.
    unsafe { bindings::kmsg_dump_rewind(&mut iter) };
    iter.next_seq
}
