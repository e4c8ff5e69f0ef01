// SPDX-License-Identifier: GPL-2.0

//! A machine that sleeps in the middle of work: no secret in it while it sleeps, the pass phrase asked for when it wakes up, and not one
//! byte lost.

use std::env;
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use super::super::hotplug::expect_progress;
use super::super::lab::{Lab, PATIENCE};
use super::machine::{standstill, unlock_with, Typed};
use super::work::{Work, LOAD};
use crate::console::{ACCEPTED, PROMPT, WITHOUT_KEY, WRONG};
use crate::guest::Guest;
use crate::machine::Machine;
use crate::scan::{Hit, Scanner};
use crate::secrets::{Family, Secrets};
use crate::sleep::{self, Sleep};

/// How often each machine sleeps.
const CYCLES: u32 = 5;
/// Another number, for a long run.
const CYCLES_VARIABLE: &str = "TRESOR_SLEEP_CYCLES";
/// How many seconds writers wait for a key that nobody gives; by default as long as it takes to see that they do.
const WAIT_VARIABLE: &str = "TRESOR_SLEEP_WAIT";

/// What the log says of a wrong pass phrase, before or after what the prompt says; if after the next prompt, that is repeated. The log's
/// line is always whole, and may come in the middle of the prompt's.
pub(super) const WRONG_LOGGED: &str = "tresor: wrong pass phrase (";

/// Options of `tresorctl unlock` for a file of slots.
const SLOT_FILE: [&str; 2] = ["--slot-file", "/tmp/slots"];
/// What the kernel says when it wakes up and has nothing to ask for.
const NOT_ASKED: &str = "tresor: awake without a key";

/// What the person at the console does when the machine wakes up.
#[derive(Clone, Copy)]
enum Person {
    /// Types the pass phrase.
    Types,
    /// Types a wrong one first.
    Errs,
    /// Types nothing for a while, and unlocks the running machine later.
    IsAway,
}

/// Sleeps of both kinds under verified I/O, with all that a person may do afterwards. At the end, the search of the sleeping machine has
/// to find a key that was left in its RAM.
pub(in super::super) fn cycles(lab: &mut Lab<'_>) -> Result<()> {
    let cycles = from_environment(CYCLES_VARIABLE, CYCLES)?;
    let mut config = lab.config();
    sleep::prepare(&mut config);
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let (work, mut progress) = Work::start(&mut guest, handle.clone())?;
    for cycle in 0..cycles {
        let how = [Sleep::ToRam, Sleep::ToIdle][cycle as usize % 2];
        let person = [Person::Types, Person::Errs, Person::IsAway][cycle as usize % 3];
        let dirty = Work::leave_dirty(&mut guest, u64::from(cycle))?;
        sleep::fall_asleep(&mut machine, &mut guest, how)?;
        expect_nothing_secret(lab, &mut machine, &secrets)?;
        sleep::wake(&mut machine, how)?;
        if matches!(person, Person::IsAway) {
            continue_without_key(&mut machine)?;
            unlock_later(lab, &mut machine, &mut guest, &secrets)?;
        } else {
            if matches!(person, Person::Errs) {
                answer(&mut machine, b"not the pass phrase", WRONG)?;
            }
            answer(&mut machine, lab.enrollment.pass_phrase(), ACCEPTED)?;
            sleep::finish(&mut machine, &mut guest)?;
        }
        lab.expect_secret_everywhere(&mut machine)?;
        progress = expect_progress(&mut guest, &progress, LOAD)?;
        dirty.expect(&mut guest)?;
    }
    let slept = sleep::count(&mut guest)?;
    ensure!(
        slept == cycles,
        "the machine slept {slept} times instead of {cycles}"
    );
    work.end(lab, &mut guest)?;

    guest.write_file("/tmp/leak", &lab.enrollment.volume_key(&handle)?)?;
    sleep::fall_asleep(&mut machine, &mut guest, Sleep::ToRam)?;
    lab.expect_no_secret(&mut machine)?;
    let hits = scan(&mut machine, &secrets)?;
    ensure!(
        hits.iter()
            .any(|hit| hit.family == Family::VolumeKey && hit.is_whole()),
        "the control failed: a volume key in a file in RAM was not found in the sleeping machine: {hits:?}"
    );
    Ok(())
}

/// A program has unlocked a machine without a slot on its command line. The kernel asks for the pass phrase of that program's slot, unless
/// nobody could type it.
pub(in super::super) fn unlocked_by_program(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config_without_slot();
    sleep::prepare(&mut config);
    for argon2id in [false, true] {
        let mut machine = lab.start(&config)?;
        let mut guest = machine.guest()?;
        make_slot_file(lab, &mut guest, argon2id)?;
        unlock_with(&mut guest, &SLOT_FILE, lab.enrollment.pass_phrase(), "0")?;
        lab.expect_secret_everywhere(&mut machine)?;
        sleep::fall_asleep(&mut machine, &mut guest, Sleep::ToRam)?;
        lab.expect_no_secret(&mut machine)?;
        sleep::wake(&mut machine, Sleep::ToRam)?;
        if argon2id {
            let before = machine.console.wait_for(NOT_ASKED, PATIENCE)?;
            ensure!(!before.contains(PROMPT), "it was asked for: {before}");
            sleep::finish(&mut machine, &mut guest)?;
            lab.expect_no_secret(&mut machine)?;
            unlock_with(&mut guest, &SLOT_FILE, lab.enrollment.pass_phrase(), "0")?;
        } else {
            answer(&mut machine, b"not the pass phrase", WRONG)?;
            answer(&mut machine, lab.enrollment.pass_phrase(), ACCEPTED)?;
            sleep::finish(&mut machine, &mut guest)?;
        }
        lab.expect_secret_everywhere(&mut machine)?;
    }
    Ok(())
}

/// A file with the lab's slot, or with one of the same secret and pass phrase that has Argon2id in front.
fn make_slot_file(lab: &Lab<'_>, guest: &mut Guest, argon2id: bool) -> Result<()> {
    let slot = lab.enrollment.slot_text();
    guest.write_file("/tmp/slots", format!("{slot}\n").as_bytes())?;
    if argon2id {
        guest.write_file("/tmp/pass-phrase", lab.enrollment.pass_phrase())?;
        let change = [
            "tresorctl",
            "slot",
            "change",
            "--slot-file=/tmp/slots",
            "--pass-phrase-file=/tmp/pass-phrase",
            "--new-pass-phrase-file=/tmp/pass-phrase",
            "--argon2id",
            "--memory=1",
            "--passes=1",
            "--iterations=2000",
        ];
        guest.run_ok(&change)?;
    }
    Ok(())
}

fn from_environment(variable: &str, default: u32) -> Result<u32> {
    match env::var(variable) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{variable} is no number: {text:?}")),
        Err(_) => Ok(default),
    }
}

/// Gives the prompt no pass phrase.
pub(super) fn continue_without_key(machine: &mut Machine) -> Result<()> {
    machine.console.wait_prompt(PATIENCE)?;
    machine.console.type_line(b"")?;
    machine.console.wait_for(WITHOUT_KEY, PATIENCE).map(drop)
}

/// Programs run, and those that write wait; then somebody runs `tresorctl unlock`.
fn unlock_later(
    lab: &Lab<'_>,
    machine: &mut Machine,
    guest: &mut Guest,
    secrets: &Secrets,
) -> Result<()> {
    sleep::finish(machine, guest)?;
    standstill(guest)?;
    let before = guest.load_status()?;
    let seconds = from_environment(WAIT_VARIABLE, 0)?;
    std::thread::sleep(Duration::from_secs(seconds.into()));
    ensure!(
        guest.load_status()? == before,
        "verified I/O goes on, or has failed, while there is no key"
    );
    expect_nothing_secret(lab, machine, secrets)?;
    let typed = Typed::begin(machine, guest)?;
    typed.answer_wrong(machine, b"not the pass phrase")?;
    typed.answer(machine, lab.enrollment.pass_phrase())?;
    typed.expect_exit(guest, "0")?;
    lab.expect_secret_everywhere(machine)
}

/// Types at the prompt and expects [`ACCEPTED`] or [`WRONG`].
pub(in super::super) fn answer(machine: &mut Machine, typed: &[u8], expected: &str) -> Result<()> {
    machine.console.answer_prompt(typed, PATIENCE)?;
    let answers = [ACCEPTED, WRONG_LOGGED];
    let (which, _) = machine.console.wait_for_any(&answers, PATIENCE)?;
    ensure!(
        answers[which].starts_with(expected),
        "the answer to a pass phrase is not \"{expected}\"{}",
        machine.console.tail()
    );
    Ok(())
}

/// No secret in the registers, none in RAM.
pub(in super::super) fn expect_nothing_secret(
    lab: &Lab<'_>,
    machine: &mut Machine,
    secrets: &Secrets,
) -> Result<()> {
    lab.expect_no_secret(machine)?;
    let hits = scan(machine, secrets)?;
    ensure!(
        hits.is_empty(),
        "secrets are in the RAM of a machine without a key: {:?}",
        &hits[..hits.len().min(8)]
    );
    Ok(())
}

/// Searches all RAM. The CPUs of a sleeping machine do not write meanwhile.
pub(in super::super) fn scan(machine: &mut Machine, secrets: &Secrets) -> Result<Vec<Hit>> {
    Scanner::new(secrets.patterns()).scan_file(machine.ram())
}
