// SPDX-License-Identifier: GPL-2.0

//! Typing at the prompt: corrections, every byte a keyboard can send, both kinds of console, and log lines in between.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use serde_json::json;

use super::lab::{Lab, PATIENCE};
use crate::console::PROMPT;
use crate::enrollment::{Enrollment, TEST_ITERATIONS};

/// Boots with a slot for `pass_phrase`, types `typed` and Enter, and expects S.
fn unlocks(lab: &mut Lab<'_>, pass_phrase: &[u8], typed: &[u8]) -> Result<()> {
    lab.enrollment = Enrollment::new(pass_phrase, TEST_ITERATIONS)?;
    let config = lab.config();
    let mut machine = lab.start(&config)?;
    machine.console.answer_prompt(typed, PATIENCE)?;
    lab.expect_unlocked(&mut machine).map(drop)
}

pub(super) fn backspace(lab: &mut Lab<'_>) -> Result<()> {
    // DEL and BS, more of them than there are characters, a character of two bytes, and Ctrl-U.
    unlocks(
        lab,
        b"tresor-1",
        b"\x7f\x7fwrong\x15trex\x7fs\xc3\xa9\x7fox\x08r-1",
    )
}

pub(super) fn longest(lab: &mut Lab<'_>) -> Result<()> {
    let pass_phrase: Vec<u8> = (0..512).map(|index| b'!' + (index % 90) as u8).collect();
    unlocks(lab, &pass_phrase, &pass_phrase)
}

pub(super) fn too_long_is_refused(lab: &mut Lab<'_>) -> Result<()> {
    let pass_phrase = [b'y'; 512];
    lab.enrollment = Enrollment::new(&pass_phrase, TEST_ITERATIONS)?;
    let config = lab.config();
    let mut machine = lab.start(&config)?;
    // Cut to 512 bytes it would be right.
    machine.console.answer_prompt(&[b'y'; 513], PATIENCE)?;
    machine.console.wait_for("at most 512", PATIENCE)?;
    lab.expect_no_secret(&mut machine)?;
    machine.console.answer_prompt(&pass_phrase, PATIENCE)?;
    lab.expect_unlocked(&mut machine).map(drop)
}

pub(super) fn any_bytes(lab: &mut Lab<'_>) -> Result<()> {
    // UTF-8, Latin-1, Tab, Escape, and what a terminal treats as flow control or as a signal in other modes.
    let pass_phrase = b"gr\xc3\xbc\xc3\x9fe \xe9\xff\x80\t\x1b\x11\x13\x1a\x1c end";
    unlocks(lab, pass_phrase, pass_phrase)
}

pub(super) fn no_echo(lab: &mut Lab<'_>) -> Result<()> {
    lab.enrollment = Enrollment::new(b"qwzx-no-word-vkjq-hjkw", TEST_ITERATIONS)?;
    let config = lab.config();
    let (machine, mut guest) = lab.start_unlocked(&config)?;
    // The terminal must be as it was: what PID 1's programs print appears, and typing is echoed again.
    guest
        .run_ok(&[
            "busybox",
            "sh",
            "-c",
            "busybox stty -a -F /dev/ttyS0 | busybox grep -q ' echo '",
        ])
        .context("after the prompt the serial line does not echo any more")?;
    // No digits: numbers in the log have any four of them sometimes.
    for part in ["qwzx", "vkjq", "hjkw"] {
        ensure!(
            !machine.console.text().contains(part),
            "the pass phrase was echoed: {part}"
        );
    }
    Ok(())
}

pub(super) fn virtual_terminal(lab: &mut Lab<'_>) -> Result<()> {
    lab.enrollment = Enrollment::new(b"typed on Keys-2", TEST_ITERATIONS)?;
    let mut config = lab.config();
    config.vga = true;
    let mut machine = lab.start(&config)?;
    machine.console.wait_prompt(PATIENCE)?;
    for character in "typed on Keys-22".chars().chain(['\u{8}', '\n']) {
        let lower = character.to_ascii_lowercase().to_string();
        match character {
            ' ' => machine.qmp.press(&["spc"])?,
            '-' => machine.qmp.press(&["minus"])?,
            '\n' => machine.qmp.press(&["ret"])?,
            '\u{8}' => machine.qmp.press(&["backspace"])?,
            _ if character.is_ascii_uppercase() => machine.qmp.press(&["shift", &lower])?,
            _ => machine.qmp.press(&[&lower])?,
        }
        // Longer than a key is held, or QEMU joins the presses.
        sleep(Duration::from_millis(60));
    }
    let mut guest = lab.expect_unlocked(&mut machine)?;
    let screen =
        String::from_utf8_lossy(&guest.run_ok(&["busybox", "cat", "/dev/vcs1"])?.into_bytes())
            .into_owned();
    ensure!(
        screen.contains(PROMPT.trim_end()),
        "the screen does not show the prompt: {screen}"
    );
    ensure!(
        !screen.contains("Keys"),
        "the pass phrase was echoed on the screen: {screen}"
    );
    Ok(())
}

pub(super) fn prompt_after_log_lines(lab: &mut Lab<'_>) -> Result<()> {
    let config = lab.config();
    let mut machine = lab.start(&config)?;
    machine.console.wait_prompt(PATIENCE)?;
    // Half a pass phrase, a log line across it, a prompt again; the half still counts.
    let (first, second) = lab.enrollment.pass_phrase().split_at(8);
    let (first, second) = (first.to_vec(), second.to_vec());
    machine.console.write(&first)?;
    for _ in 0..2 {
        machine.qmp.execute("inject-nmi", json!({}))?;
        machine
            .console
            .wait_for("NMI", PATIENCE)
            .context("the test's own log line is missing")?;
        machine
            .console
            .wait_prompt(PATIENCE)
            .context("a log line covered the prompt for good")?;
    }
    machine.console.type_line(&second)?;
    lab.expect_unlocked(&mut machine).map(drop)
}
