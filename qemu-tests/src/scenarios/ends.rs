// SPDX-License-Identifier: GPL-2.0

//! Every way in which a machine ends, while it encrypts: afterwards no CPU has anything of S, as far as QEMU shows its registers, nor
//! anything else in its vector registers. The control runs the same ends without the driver and finds what was there before.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};

use super::controls::LEAK;
use super::hotplug::expect_progress;
use super::lab::{Lab, PATIENCE};
use super::owner::start_off;
use crate::guest::Guest;
use crate::home;
use crate::machine::Machine;
use crate::registers;
use crate::volume::{Volume, TRESOR};
use crate::watch;

/// Bytes of each load thread's part.
const PART: u64 = 2 << 20;
/// The first and the last line of a panic that does not reboot.
pub(super) const PANIC: [&str; 2] = ["Kernel panic - not syncing", "---[ end Kernel panic"];
/// Crash without a word to anybody.
pub(super) const CRASH: &str = "echo c > /proc/sysrq-trigger";

pub(super) fn reboot(lab: &mut Lab<'_>) -> Result<()> {
    resets(lab, "", "busybox reboot -f")
}

pub(super) fn reboot_without_stopping(lab: &mut Lab<'_>) -> Result<()> {
    resets(lab, "reboot=force", "busybox reboot -f")
}

pub(super) fn emergency_reboot(lab: &mut Lab<'_>) -> Result<()> {
    resets(lab, "", "echo b > /proc/sysrq-trigger")
}

pub(super) fn power_off(lab: &mut Lab<'_>) -> Result<()> {
    resets(lab, "", "busybox poweroff -f")
}

pub(super) fn panic_that_reboots(lab: &mut Lab<'_>) -> Result<()> {
    resets(lab, "", CRASH)
}

/// A panic before Linux lets anybody use vector registers: what wipes the registers must not fault then, or the panic has no end.
pub(super) fn panic_before_vectors(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    // A memory map that is said to be exact, and is empty.
    config.cmdline += " memmap=exactmap earlyprintk=ttyS0,115200";
    let mut machine = lab.start(&config)?;
    machine.freeze_at_end()?;
    machine.console.wait_for(PANIC[0], PATIENCE)?;
    machine.wait_frozen()
}

/// The machine is reset or switched off; QEMU keeps it in its last moment.
fn resets(lab: &mut Lab<'_>, option: &str, command: &str) -> Result<()> {
    let (mut machine, mut guest) = start_busy(lab, option)?;
    machine.freeze_at_end()?;
    later(&mut guest, command)?;
    machine.wait_frozen()?;
    expect_nothing_left(&mut machine)
}

pub(super) fn halt(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, mut guest) = start_busy(lab, "")?;
    later(&mut guest, "busybox halt -f")?;
    machine
        .console
        .wait_for("reboot: System halted", PATIENCE)?;
    // The CPUs stop a moment after that.
    let begin = Instant::now();
    while let Err(error) = expect_nothing_left(&mut machine) {
        if begin.elapsed() > PATIENCE {
            return Err(error);
        }
        sleep(Duration::from_millis(200));
    }
    Ok(())
}

pub(super) fn panic_that_hangs(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, mut guest) = start_busy(lab, "panic=0")?;
    later(&mut guest, CRASH)?;
    for line in PANIC {
        machine.console.wait_for(line, PATIENCE)?;
    }
    expect_nothing_left(&mut machine)
}

pub(super) fn panic_after_notifiers(lab: &mut Lab<'_>) -> Result<()> {
    // With this option the other CPUs are stopped as for a crash dump, even if there is no kernel to write one.
    let (mut machine, mut guest) = start_busy(lab, "panic=0 crash_kexec_post_notifiers")?;
    later(&mut guest, CRASH)?;
    for line in PANIC {
        machine.console.wait_for(line, PATIENCE)?;
    }
    expect_nothing_left(&mut machine)
}

/// A machine with S in every CPU, all of which encrypt.
pub(super) fn start_busy(lab: &mut Lab<'_>, option: &str) -> Result<(Machine, Guest)> {
    let mut config = lab.config();
    config.cmdline = format!("{} {option}", config.cmdline);
    lab.add_disks(&mut config, 64)?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;
    for cpu in 0..lab.cpus {
        let part = u64::from(cpu) * PART;
        guest.start_load(&volume.mapper(), Some(cpu as usize), part, PART)?;
    }
    expect_progress(&mut guest, &Default::default(), PART)?;
    lab.expect_secret_everywhere(&mut machine)?;
    Ok((machine, guest))
}

/// Runs a command in the guest a moment later, so that its PID 1 can answer before the machine ends.
pub(super) fn later(guest: &mut Guest, command: &str) -> Result<()> {
    let line = format!("(busybox sleep 1; {command}) > /dev/null 2>&1 &");
    guest.run_ok(&["busybox", "sh", "-c", &line]).map(drop)
}

pub(super) fn expect_nothing_left(machine: &mut Machine) -> Result<()> {
    let (with_address, with_vector) = leftovers(machine)?;
    ensure!(
        with_address.is_empty() && with_vector.is_empty(),
        "at the end there is something in the home of S of CPUs {with_address:?} and in vector registers of CPUs {with_vector:?}{}",
        machine.console.tail()
    );
    Ok(())
}

/// The CPUs with something in the home of S, DR0-DR3 or others, and those with something in their vector registers.
pub(super) fn leftovers(machine: &mut Machine) -> Result<(Vec<u32>, Vec<u32>)> {
    let answer = machine.qmp.human(registers::COMMAND)?;
    let cpus = home::registers(machine)?;
    let addresses = cpus.iter().filter(|cpu| *cpu.bytes() != [0; 32]);
    let clear = registers::vectors_clear(&answer)?;
    let vectors = cpus.iter().zip(clear).filter(|(_, clear)| !clear);
    Ok((
        addresses.map(|cpu| cpu.cpu).collect(),
        vectors.map(|(cpu, _)| cpu.cpu).collect(),
    ))
}

/// The control: a kernel that leaves S in the registers when it crashes is caught, on every CPU.
pub(super) fn keeps_at_end(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, mut guest) = start_busy(lab, "panic=0")?;
    guest.write_file(LEAK, b"keep-at-end")?;
    later(&mut guest, CRASH)?;
    for line in PANIC {
        machine.console.wait_for(line, PATIENCE)?;
    }
    ensure!(
        expect_nothing_left(&mut machine).is_err(),
        "the control failed: a crash left S in the registers, and the check did not see it"
    );
    let kept = watch::registers(&mut machine, lab.enrollment.s())?;
    ensure!(
        kept.iter().all(|cpu| cpu.holds_secret),
        "the control kernel was told to keep S on every CPU: {kept:?}"
    );
    Ok(())
}

/// The control: without the driver, the addresses of breakpoints are still there in the last moment before a reset.
pub(super) fn off_keeps_until_reset(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, mut guest) = start_off(lab, "")?;
    guest.occupy_debug_registers()?;
    machine.freeze_at_end()?;
    later(&mut guest, "busybox reboot -f")?;
    machine.wait_frozen()?;
    let (with_address, with_vector) = leftovers(&mut machine)?;
    ensure!(
        !with_vector.is_empty(),
        "the vector registers are empty without having been wiped, so the other tests show nothing"
    );
    let all: Vec<u32> = (0..lab.cpus).collect();
    ensure!(
        with_address == all,
        "without the driver only the CPUs {with_address:?} had values in the last moment"
    );
    Ok(())
}
