// SPDX-License-Identifier: GPL-2.0

//! A machine that sleeps: put to sleep from inside, seen to sleep and woken up from outside.

use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Result};
use serde_json::json;

use crate::guest::Guest;
use crate::machine::{Config, Machine};
use crate::registers;

/// Freezing tasks and suspending devices, on a busy host.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the machine is looked at.
const POLL: Duration = Duration::from_millis(50);
/// Suspend to idle leaves no other mark than CPUs that do nothing and have no S; as many looks in a row must find it so.
const IDLE_LOOKS: u32 = 10;

/// QEMU's machine for more than one sleep. On q35 the registers of ACPI are not where Linux expects them after the first S3: it can
/// neither sleep again nor see its buttons.
const BOARD: &str = "pc";

/// Makes it a machine that can sleep more than once, and with CPUs offline.
///
/// With a queue for each CPU, Linux 7.3 loses interrupts of a virtio disk after a sleep with a CPU offline, whatever the cipher: see
/// Documentation/security/tresor/suspend.rst.
pub fn prepare(config: &mut Config) {
    config.board = BOARD;
    config.one_queue = true;
}

/// How a machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// ACPI S3, suspend to RAM: the CPUs lose power, RAM keeps its content.
    ToRam,
    /// s2idle: devices are suspended, the CPUs idle.
    ToIdle,
}

impl Sleep {
    /// The word for /sys/power/state.
    fn word(self) -> &'static str {
        match self {
            Self::ToRam => "mem",
            Self::ToIdle => "freeze",
        }
    }

    /// The word for it in the kernel's log.
    fn logged(self) -> &'static str {
        match self {
            Self::ToRam => "deep",
            Self::ToIdle => "s2idle",
        }
    }
}

impl fmt::Display for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToRam => "to RAM",
            Self::ToIdle => "to idle",
        })
    }
}

/// Puts the machine to sleep and returns when it sleeps. PID 1 is then in the middle of the write that did it: [`finish`] comes before
/// any other request.
pub fn fall_asleep(machine: &mut Machine, guest: &mut Guest, how: Sleep) -> Result<()> {
    guest.begin_write_file("/sys/power/state", how.word().as_bytes())?;
    wait_asleep(machine, how)
}

/// Returns when a machine sleeps that somebody puts to sleep.
pub fn wait_asleep(machine: &mut Machine, how: Sleep) -> Result<()> {
    machine
        .console
        .wait_for(&format!("PM: suspend entry ({})", how.logged()), PATIENCE)?;
    let begin = Instant::now();
    let mut looks = 0;
    while looks < IDLE_LOOKS {
        looks = if sleeps(machine, how)? { looks + 1 } else { 0 };
        if how == Sleep::ToRam && looks > 0 {
            break;
        }
        if begin.elapsed() > PATIENCE {
            bail!(
                "the machine does not fall asleep, or wakes up by itself: {}{}",
                states(machine)?,
                machine.console.tail()
            );
        }
        sleep(POLL);
    }
    Ok(())
}

/// Whether a CPU does nothing, by QEMU's answer about it.
///
/// One that was offline during a suspend to RAM has been reset by it, and Linux has not started it again: it is in real mode (EIP instead of
/// RIP), and QEMU does not call it halted.
fn is_halted(block: &str) -> bool {
    block.contains("HLT=1") || block.contains("EIP=")
}

/// What each CPU does, for an error message.
fn states(machine: &mut Machine) -> Result<String> {
    let answer = machine.qmp.human(registers::COMMAND)?;
    let empty = registers::parse(&answer)?;
    let blocks = answer.split("CPU#").skip(1).zip(&empty);
    Ok(blocks
        .map(|(block, registers)| {
            let shown: Vec<_> = block
                .split_whitespace()
                .filter(|word| {
                    ["HLT=", "RIP=", "EIP="]
                        .iter()
                        .any(|name| word.starts_with(name))
                })
                .collect();
            let empty = *registers.bytes() == [0; 32];
            format!(
                "\n    CPU {} {}, key registers empty: {empty}",
                registers.cpu,
                shown.join(" ")
            )
        })
        .collect())
}

fn sleeps(machine: &mut Machine, how: Sleep) -> Result<bool> {
    match how {
        Sleep::ToRam => {
            let status = machine.qmp.execute("query-status", json!({}))?;
            Ok(status["status"] == "suspended")
        }
        Sleep::ToIdle => {
            let answer = machine.qmp.human(registers::COMMAND)?;
            let halted = answer.split("CPU#").skip(1).all(is_halted);
            // S goes when all devices sleep. Before that, CPUs that wait for something look the same.
            let empty = registers::parse(&answer)?
                .iter()
                .all(|cpu| *cpu.bytes() == [0; 32]);
            Ok(halted && empty)
        }
    }
}

/// Wakes it up as a person does, by a button.
pub fn wake(machine: &mut Machine, how: Sleep) -> Result<()> {
    let command = match how {
        Sleep::ToRam => return machine.qmp.execute("system_wakeup", json!({})).map(drop),
        // A short press of the power button is the one event that reaches a machine in s2idle.
        Sleep::ToIdle => "system_powerdown",
    };
    let (_, before) = machine.console.output_since(0);
    let begin = Instant::now();
    while machine.console.output_since(before).0.is_empty() {
        ensure!(
            begin.elapsed() < PATIENCE,
            "the machine does not wake up{}",
            machine.console.tail()
        );
        machine.qmp.execute(command, json!({}))?;
        // A second press too many is no harm: it is logged nowhere and nobody listens.
        sleep(Duration::from_secs(2));
    }
    Ok(())
}

/// Waits until the write that put the machine to sleep has ended: user space runs again.
pub fn finish(machine: &mut Machine, guest: &mut Guest) -> Result<()> {
    // Not the whole line: its beginning comes while the serial port is handed back, and sometimes loses some characters.
    machine.console.wait_for("suspend exit", PATIENCE)?;
    machine.reconnect(guest)?;
    guest.finish_write_file(PATIENCE)
}

/// How often the machine has slept since it was started.
pub fn count(guest: &mut Guest) -> Result<u32> {
    let text = guest.read_text("/sys/power/suspend_stats/success")?;
    match text.trim().parse() {
        Ok(count) => Ok(count),
        Err(_) => bail!("/sys/power/suspend_stats/success is {text:?}"),
    }
}
