// SPDX-License-Identifier: GPL-2.0

//! What a udev rule can match: the events that Documentation/ABI/testing/dev-tresor promises, and no others.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};

use super::super::lab::{Lab, PATIENCE};
use super::machine::{expect_quiet, lock, unlock_with};
use super::sleep::answer;
use super::WRONG_PASS_PHRASE;
use crate::console::ACCEPTED;
use crate::guest::Guest;
use crate::sleep::{self as power, Sleep};

/// Events are sent by a worker: what has not come this long after the last one was not sent.
const SETTLED: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(200);
/// What each event of the device has, beside the phase.
const VARIABLES: &[&str] = &["ACTION=change", "SUBSYSTEM=misc", "DEVNAME=tresor"];

/// Lock, unlock, emergency wipe and both kinds of sleep are told; wrong pass phrases, and CPUs that go and come, are not.
pub(in super::super) fn told(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    power::prepare(&mut config);
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let pass_phrase = lab.enrollment.pass_phrase();
    guest.listen_uevents()?;

    lock(&mut guest)?;
    expect(&mut guest, &["locked"])?;
    unlock_with(&mut guest, &[], b"whatever", WRONG_PASS_PHRASE)?;
    expect(&mut guest, &[])?;
    unlock_with(&mut guest, &[], pass_phrase, "0")?;
    expect(&mut guest, &["unlocked"])?;
    unlock_with(&mut guest, &[], b"whatever", WRONG_PASS_PHRASE)?;
    expect(&mut guest, &[])?;

    guest.write_file("/proc/sysrq-trigger", b"x")?;
    expect(&mut guest, &["locked"])?;
    unlock_with(&mut guest, &[], pass_phrase, "0")?;
    expect(&mut guest, &["unlocked"])?;

    for how in [Sleep::ToRam, Sleep::ToIdle] {
        power::fall_asleep(&mut machine, &mut guest, how)?;
        power::wake(&mut machine, how)?;
        answer(&mut machine, pass_phrase, ACCEPTED)?;
        power::finish(&mut machine, &mut guest)?;
        expect(&mut guest, &["suspended", "unlocked"])?;
    }
    expect_quiet(&mut guest)
}

/// The device's events since the last call are these phases, in this order.
fn expect(guest: &mut Guest, phases: &[&str]) -> Result<()> {
    let mut told: Vec<String> = Vec::new();
    let begin = Instant::now();
    let mut last = begin;
    while last.elapsed() < SETTLED || (told.len() < phases.len() && begin.elapsed() < PATIENCE) {
        for event in guest.uevents()? {
            let value = |name: &str| event.iter().find_map(|text| text.strip_prefix(name));
            let Some(phase) = value("TRESOR=") else {
                continue;
            };
            ensure!(
                VARIABLES
                    .iter()
                    .all(|&variable| event.iter().any(|text| text == variable)),
                "an event lacks one of {VARIABLES:?}: {event:?}"
            );
            told.push(phase.into());
            last = Instant::now();
        }
        sleep(POLL);
    }
    ensure!(
        told == phases,
        "the uevents of the device told {told:?} instead of {phases:?}"
    );
    Ok(())
}
