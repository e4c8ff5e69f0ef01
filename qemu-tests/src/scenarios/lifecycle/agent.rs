// SPDX-License-Identifier: GPL-2.0

//! A program of the owner's asks for the pass phrase after a sleep, and nothing else runs meanwhile; without it the kernel asks.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use fs_err as fs;
use tresor::uapi;

use super::super::hotplug::expect_progress;
use super::super::lab::{Lab, PATIENCE};
use super::hibernation;
use super::sleep::{answer, expect_nothing_secret};
use super::work::{Work, LOAD};
use crate::console::{ACCEPTED, PROMPT};
use crate::guest::Guest;
use crate::machine::Machine;
use crate::sleep::{self, Sleep};
use crate::volume::disk;

/// What the agent asks on its terminal, which is the serial console here.
const AGENT_PROMPT: &str = "(tresorctl agent): ";
/// What the program asks that the agent has started, and where it is.
const ASKER_PROMPT: &str = "the asker: ask";
const ASKER: &str = "/tmp/asker";
/// After a wrong pass phrase it ends the agent.
const ASKER_PROGRAM: &str = "#!/usr/bin/busybox sh
exec 3<>/dev/ttyS0
while read -r what; do
    echo \"the asker: $what\" >&3
    [ \"$what\" = wrong ] && kill -9 $PPID
    read -r answer <&3
    echo \"$answer\"
done
";
const GIVES_UP: &str = "the agent has given up or ended; the kernel asks";
/// Writes a number to a disk of its own, again and again.
const TICK: &str =
    "(i=0; while :; do i=$((i+1)); echo $i | busybox dd of=/dev/vdc bs=512 conv=sync,fsync; busybox usleep 50000; done) >/dev/null 2>&1 </dev/null &";
/// So long a program that runs cannot be seen to stand still.
const STANDSTILL: Duration = Duration::from_secs(4);
/// Error numbers of the driver.
const EPERM: i32 = 1;
const ENOMEM: i32 = 12;

/// The program that ticks, seen from outside.
struct Ticker<'a>(&'a Lab<'a>);

impl Ticker<'_> {
    fn tick(&self) -> Result<Vec<u8>> {
        let mut image = fs::read(self.0.dir.join("ticks.img"))?;
        image.truncate(512);
        Ok(image)
    }

    /// It runs.
    fn expect_ticks(&self) -> Result<()> {
        let before = self.tick()?;
        let begin = Instant::now();
        while self.tick()? == before {
            ensure!(
                begin.elapsed() < PATIENCE,
                "a program that should run does not"
            );
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// It is frozen.
    fn expect_frozen(&self) -> Result<()> {
        let before = self.tick()?;
        sleep(STANDSTILL);
        ensure!(
            self.tick()? == before,
            "another program than the agent runs while it asks"
        );
        Ok(())
    }
}

pub(in super::super) fn asks(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    sleep::prepare(&mut config);
    config.cmdline.push_str(" tresor.prompt=agent");
    let handle = lab.add_disks(&mut config, 64)?;
    config
        .disks
        .push(disk::create(&lab.dir.join("ticks.img"), 1 << 20)?);
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let lab = &*lab;
    let ticker = Ticker(lab);
    let (work, mut progress) = Work::start(&mut guest, handle)?;
    guest.run_ok(&["busybox", "sh", "-c", TICK])?;
    ticker.expect_ticks()?;

    expect_refusals(&mut guest)?;
    start_agent(&mut guest, "--tty /dev/ttyS0")?;
    expect_no_second_agent(&mut machine, &mut guest)?;

    for how in [Sleep::ToRam, Sleep::ToIdle] {
        let dirty = Work::leave_dirty(&mut guest, how as u64)?;
        sleep::fall_asleep(&mut machine, &mut guest, how)?;
        sleep::wake(&mut machine, how)?;
        wait_for_agent(&mut machine, AGENT_PROMPT)?;
        ticker.expect_frozen()?;
        expect_nothing_secret(lab, &mut machine, &secrets)?;
        machine.console.type_line(b"not the pass phrase")?;
        wait_for_agent(&mut machine, AGENT_PROMPT)?;
        ticker.expect_frozen()?;
        machine.console.type_line(lab.enrollment.pass_phrase())?;
        sleep::finish(&mut machine, &mut guest)?;
        lab.expect_secret_everywhere(&mut machine)?;
        ticker.expect_ticks()?;
        progress = expect_progress(&mut guest, &progress, LOAD)?;
        dirty.expect(&mut guest)?;
    }

    // An empty line: it gives up, and asks again after the next sleep.
    sleep::fall_asleep(&mut machine, &mut guest, Sleep::ToIdle)?;
    sleep::wake(&mut machine, Sleep::ToIdle)?;
    wait_for_agent(&mut machine, AGENT_PROMPT)?;
    machine.console.type_line(b"")?;
    kernel_asks(lab, &mut machine, &mut guest, &ticker)?;
    end_agent(&mut guest)?;

    // From here on the pass phrase is in the memory of a shell.
    guest.write_file(ASKER, ASKER_PROGRAM.as_bytes())?;
    guest.run_ok(&["busybox", "chmod", "+x", ASKER])?;
    start_agent(&mut guest, &format!("--ask {ASKER}"))?;
    for answer in [lab.enrollment.pass_phrase(), b"not the pass phrase"] {
        sleep::fall_asleep(&mut machine, &mut guest, Sleep::ToRam)?;
        sleep::wake(&mut machine, Sleep::ToRam)?;
        wait_for_agent(&mut machine, ASKER_PROMPT)?;
        ticker.expect_frozen()?;
        machine.console.type_line(answer)?;
        if answer == lab.enrollment.pass_phrase() {
            sleep::finish(&mut machine, &mut guest)?;
            lab.expect_secret_everywhere(&mut machine)?;
        } else {
            // The agent has ended in the middle of it.
            kernel_asks(lab, &mut machine, &mut guest, &ticker)?;
        }
    }

    // There is none any more.
    sleep::fall_asleep(&mut machine, &mut guest, Sleep::ToIdle)?;
    sleep::wake(&mut machine, Sleep::ToIdle)?;
    answer(&mut machine, lab.enrollment.pass_phrase(), ACCEPTED)?;
    sleep::finish(&mut machine, &mut guest)?;
    expect_progress(&mut guest, &progress, LOAD)?;

    hibernation::expect_refused(&mut guest)?;
    lab.expect_secret_everywhere(&mut machine)?;
    work.end(lab, &mut guest).map(drop)
}

/// A process whose memory is not locked cannot be the agent, and one that is not it cannot wait or give up.
fn expect_refusals(guest: &mut Guest) -> Result<()> {
    for (call, expected) in [
        (uapi::Agent::Register, ENOMEM),
        (uapi::Agent::Wait, EPERM),
        (uapi::Agent::GiveUp, EPERM),
    ] {
        let (errno, _) = guest.call_device(uapi::AGENT, &call.encode())?;
        ensure!(
            errno == expected,
            "{call:?} of a program that is not the agent ended with {errno} instead of {expected}"
        );
    }
    Ok(())
}

/// Starts it and waits until the kernel knows it.
fn start_agent(guest: &mut Guest, options: &str) -> Result<()> {
    let before = registered(guest)?;
    let command = format!(
        "tresorctl agent {options} </dev/null >/tmp/agent.log 2>&1 & echo $! >/tmp/agent-pid"
    );
    guest.run_ok(&["busybox", "sh", "-c", &command])?;
    let begin = Instant::now();
    while registered(guest)? == before {
        if begin.elapsed() > PATIENCE {
            let said = guest.read_text("/tmp/agent.log")?;
            anyhow::bail!("the agent does not register itself: {said}");
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// How often an agent has registered itself.
fn registered(guest: &mut Guest) -> Result<usize> {
    let log = guest.dmesg()?;
    Ok(log
        .matches("asks for the pass phrase after a sleep")
        .count())
}

fn end_agent(guest: &mut Guest) -> Result<()> {
    guest.run_ok(&[
        "busybox",
        "sh",
        "-c",
        "kill -9 $(busybox cat /tmp/agent-pid)",
    ])?;
    let begin = Instant::now();
    while !guest.dmesg()?.contains("does not ask any more") {
        ensure!(
            begin.elapsed() < PATIENCE,
            "the kernel does not notice that the agent has ended"
        );
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn expect_no_second_agent(machine: &mut Machine, guest: &mut Guest) -> Result<()> {
    let ended = guest.run(&["tresorctl", "agent", "--tty", "/dev/ttyS0"])?;
    ensure!(ended.status == 1, "there are two agents: {ended:?}");
    let complaint = "another program asks";
    machine.console.wait_for(complaint, PATIENCE).map(drop)
}

/// The agent asks, and the kernel does not.
fn wait_for_agent(machine: &mut Machine, prompt: &str) -> Result<()> {
    let before = machine
        .console
        .wait_for(prompt, PATIENCE)
        .context("the agent does not ask")?;
    ensure!(
        !before.contains(PROMPT),
        "the kernel asked although the agent is to: {before}"
    );
    Ok(())
}

/// The agent has left it to the kernel, which asks with everything frozen, and gets the answer.
fn kernel_asks(
    lab: &Lab<'_>,
    machine: &mut Machine,
    guest: &mut Guest,
    ticker: &Ticker<'_>,
) -> Result<()> {
    machine.console.wait_for(GIVES_UP, PATIENCE)?;
    machine.console.wait_prompt(PATIENCE)?;
    ticker.expect_frozen()?;
    machine.console.type_line(lab.enrollment.pass_phrase())?;
    machine.console.wait_for(ACCEPTED, PATIENCE)?;
    sleep::finish(machine, guest)?;
    lab.expect_secret_everywhere(machine)?;
    ticker.expect_ticks()
}
