// SPDX-License-Identifier: GPL-2.0

//! The kernel debugger, spoken to over the serial line in gdb's remote protocol: it must leave DR0-DR3 alone, and software
//! breakpoints must work without them, but nowhere in the windows.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

use super::lab::{Lab, PATIENCE};
use super::owner::OFF;
use crate::console::Console;
use crate::guest::Guest;
use crate::machine::Machine;
use crate::watcher::symbols::Symbols;

/// A function that runs only when a program asks for it.
const FUNCTION: &str = "ksys_sync";
/// Between two questions whether it listens.
const STEP: Duration = Duration::from_secs(3);
/// kgdb's answer to a breakpoint that it cannot set: error 16, `EBUSY`.
const BUSY: &str = "E16";
/// Its answer to one that it must not set: error 22, `EINVAL`.
const REFUSED: &str = "E22";
/// Code in which an exception would store a piece of S.
const WINDOWS: [&str; 2] = ["tresor_load_s", "tresor_store_s"];

pub(super) fn leaves_the_secret(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    config.cmdline.push_str(" kgdboc=ttyS0");
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    session(&mut machine, &mut guest, BUSY)?;
    lab.expect_secret_everywhere(&mut machine)
}

pub(super) fn off_has_breakpoints(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config_without_slot();
    config.cmdline = format!("kgdboc=ttyS0 {OFF}");
    let mut machine = lab.start(&config)?;
    let mut guest = machine.guest()?;
    session(&mut machine, &mut guest, "OK")
}

/// Stops the kernel, tries breakpoints of every kind, lets it run into the one in software, and lets it go.
fn session(machine: &mut Machine, guest: &mut Guest, hardware: &str) -> Result<()> {
    let symbols = Symbols::parse(&guest.read_text("/proc/kallsyms")?);
    let address = format!("{:x}", symbols.address(FUNCTION)?);
    // What is typed before the debugger listens must not come back.
    guest.run_ok(&["busybox", "stty", "-echo", "-F", "/dev/ttyS0"])?;
    later(guest, "echo g > /proc/sysrq-trigger")?;
    let console = &mut machine.console;
    let stopped = first_answer(console)?;
    ensure!(stopped.starts_with("S05"), "kgdb began with {stopped}");
    // On execution, on writing, on access.
    for kind in [1, 2, 4] {
        let answer = packet(console, &format!("Z{kind},{address},1"))?;
        ensure!(
            answer == hardware,
            "breakpoint of kind {kind}: {answer} instead of {hardware}"
        );
        if answer == "OK" {
            packet(console, &format!("z{kind},{address},1"))?;
        }
    }
    for window in WINDOWS {
        let start = symbols.address(window)?;
        for inside in [start, start + 1, start + 8] {
            let answer = packet(console, &format!("Z0,{inside:x},1"))?;
            ensure!(
                answer == REFUSED,
                "software breakpoint in {window}: {answer} instead of {REFUSED}"
            );
        }
    }
    let answer = packet(console, &format!("Z0,{address},1"))?;
    ensure!(answer == "OK", "software breakpoint: {answer}");
    send(console, "c")?;
    later(guest, "busybox sync")?;
    let console = &mut machine.console;
    let stopped = answer_to(console).context("the software breakpoint did not fire")?;
    ensure!(
        stopped.starts_with("T05") || stopped.starts_with("S05"),
        "kgdb stopped with {stopped}"
    );
    ensure!(packet(console, &format!("z0,{address},1"))? == "OK");
    ensure!(packet(console, "D")? == "OK", "kgdb did not let go");
    guest.run_ok(&["busybox", "true"]).map(drop)
}

/// Runs a command in the guest a moment later, so that its PID 1 can answer before the kernel stops.
fn later(guest: &mut Guest, command: &str) -> Result<()> {
    let line = format!("(busybox sleep 1; {command}) > /dev/null 2>&1 &");
    guest.run_ok(&["busybox", "sh", "-c", &line]).map(drop)
}

/// Sends a packet and returns the answer.
fn packet(console: &mut Console, data: &str) -> Result<String> {
    send(console, data)?;
    answer_to(console).with_context(|| format!("kgdb's answer to {data}"))
}

/// Asks until the kernel has stopped. It cannot say so: the thread that writes to the console is stopped with it.
fn first_answer(console: &mut Console) -> Result<String> {
    let begin = Instant::now();
    let first = loop {
        send(console, "?")?;
        match answer_within(console, STEP) {
            Ok(answer) => break answer,
            Err(error) if begin.elapsed() > PATIENCE => {
                return Err(error).context("the kernel debugger never answered")
            }
            Err(_) => {}
        }
    };
    // Questions that it has found in the queue.
    while answer_within(console, STEP).is_ok() {}
    Ok(first)
}

/// `$data#` and the sum of its bytes.
fn send(console: &mut Console, data: &str) -> Result<()> {
    let sum = data.bytes().fold(0_u8, u8::wrapping_add);
    console.write(format!("${data}#{sum:02x}").as_bytes())
}

/// The next packet from kgdb, which waits until it is acknowledged.
fn answer_to(console: &mut Console) -> Result<String> {
    answer_within(console, PATIENCE)
}

fn answer_within(console: &mut Console, limit: Duration) -> Result<String> {
    console.wait_for("$", limit)?;
    let data = console.wait_for("#", PATIENCE)?;
    console.write(b"+")?;
    Ok(data)
}
