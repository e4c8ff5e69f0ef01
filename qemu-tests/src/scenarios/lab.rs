// SPDX-License-Identifier: GPL-2.0

//! The workplace of one scenario: its directory, its pass phrase and slot, and the usual ways to start a machine.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use fs_err as fs;
use tresor::public_secret::PUBLIC_S;

use super::results::Results;
use super::Context;
use crate::console::{ACCEPTED, WRONG};
use crate::enrollment::{random, Enrollment, TEST_ITERATIONS};
use crate::guest::Guest;
use crate::home::{self, Home};
use crate::machine::{Config, Machine};
use crate::proof::Counts;
use crate::volume::disk;
use crate::watch;

/// Everything at the prompt takes seconds; this is for a host with other things to do.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// RAM of a scenario's machine in MiB: little, so that several fit.
const MEMORY_MIB: u32 = 256;
/// Size of the volume in bytes.
pub(super) const VOLUME: u64 = 24 << 20;

/// The directory of the scenario `name`.
pub(super) fn dir(context: &Context, name: &str) -> PathBuf {
    context.work_dir.join(name.replace("::", "-"))
}

pub(super) struct Lab<'a> {
    pub(super) context: &'a Context,
    pub(super) dir: PathBuf,
    pub(super) cpus: u32,
    /// Where S lives in its machines.
    pub(super) home: Home,
    pub(super) enrollment: Enrollment,
    /// What was compared with the oracle so far.
    pub(super) results: Results,
    machines: u32,
}

impl<'a> Lab<'a> {
    /// Starts with an empty directory `dir`.
    pub(super) fn new(context: &'a Context, dir: &Path, cpus: u32) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(dir)?;
        Ok(Self {
            context,
            dir: dir.into(),
            cpus,
            home: Home::default(),
            enrollment: Enrollment::new(b"correct horse battery", TEST_ITERATIONS)?,
            results: Results::default(),
            machines: 0,
        })
    }

    /// A machine that asks for this lab's pass phrase.
    pub(super) fn config(&self) -> Config {
        Config {
            cmdline: self.enrollment.cmdline(),
            ..self.config_without_slot()
        }
    }

    /// A machine that asks for nothing.
    pub(super) fn config_without_slot(&self) -> Config {
        Config {
            cpus: self.cpus,
            home: self.home,
            memory_mib: MEMORY_MIB,
            ..Config::new(&self.context.kernel, &self.context.initramfs)
        }
    }

    /// The volume's disk and the stick with a random handle of `key_bytes` for it; returns the handle.
    pub(super) fn add_disks(&self, config: &mut Config, key_bytes: usize) -> Result<Vec<u8>> {
        let handle = random::<64>()?[..key_bytes].to_vec();
        config.disks = vec![
            disk::create(&self.volume_image(), VOLUME)?,
            disk::create_stick(&self.dir.join("stick.img"), &handle)?,
        ];
        Ok(handle)
    }

    pub(super) fn volume_image(&self) -> PathBuf {
        self.dir.join("volume.img")
    }

    pub(super) fn start(&mut self, config: &Config) -> Result<Machine> {
        self.machines += 1;
        Machine::start(config, &self.dir.join(format!("machine-{}", self.machines)))
    }

    /// Starts a machine, types the right pass phrase and waits for PID 1; S is in the registers of every CPU then.
    pub(super) fn start_unlocked(&mut self, config: &Config) -> Result<(Machine, Guest)> {
        let mut machine = self.start(config)?;
        let guest = self.unlock(&mut machine)?;
        Ok((machine, guest))
    }

    /// Types the right pass phrase at the prompt of a booting machine.
    pub(super) fn unlock(&self, machine: &mut Machine) -> Result<Guest> {
        machine
            .console
            .answer_prompt(self.enrollment.pass_phrase(), PATIENCE)?;
        self.expect_unlocked(machine)
    }

    /// After a pass phrase was typed: it is accepted, and every CPU has S.
    pub(super) fn expect_unlocked(&self, machine: &mut Machine) -> Result<Guest> {
        let (which, _) = machine.console.wait_for_any(&[ACCEPTED, WRONG], PATIENCE)?;
        ensure!(
            which == 0,
            "the right pass phrase was called wrong{}",
            machine.console.tail()
        );
        let mut guest = machine.guest()?;
        self.expect_secret_everywhere(machine)?;
        let log = guest.dmesg()?;
        ensure!(
            log.contains(ACCEPTED),
            "dmesg does not tell that the pass phrase was accepted:\n{}",
            excerpt(&log)
        );
        Ok(guest)
    }

    pub(super) fn expect_secret_everywhere(&self, machine: &mut Machine) -> Result<()> {
        let registers = watch::registers(machine, self.enrollment.s())?;
        ensure!(
            registers.iter().all(watch::holds),
            "not every CPU holds S in its home with breakpoints off: {registers:?}"
        );
        Ok(())
    }

    /// No CPU has S, nor any other value. Waits for the kernel's self tests to take their public one away: without an unlock nothing else
    /// in the boot does.
    pub(super) fn expect_no_secret(&self, machine: &mut Machine) -> Result<()> {
        let begin = Instant::now();
        loop {
            let cpus = home::registers(machine)?;
            if cpus.iter().all(|cpu| *cpu.bytes() == [0; 32]) {
                return Ok(());
            }
            for cpu in &cpus {
                ensure!(
                    is_of_self_tests(&cpu.bytes()),
                    "the registers of CPU {} are not empty",
                    cpu.cpu
                );
            }
            ensure!(
                begin.elapsed() < PATIENCE,
                "the self tests left their public key in the registers"
            );
            sleep(Duration::from_millis(200));
        }
    }

    /// Leaves what was counted, with what was compared with the oracle so far, for the proof.
    pub(super) fn leave_counts(&self, mut counts: Counts) -> Result<()> {
        self.results.count(&mut counts);
        counts.leave_in(&self.dir)
    }

    /// After success: the images go, the logs stay.
    pub(super) fn clean_up(self) -> Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "img") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Whether each debug register is empty or holds its part of the public S of the self tests, which write one after the other.
fn is_of_self_tests(registers: &[u8; 32]) -> bool {
    registers
        .chunks(8)
        .zip(PUBLIC_S.chunks(8))
        .all(|(register, public)| register == [0; 8] || register == public)
}

/// The lines of a kernel log that an error message should quote: what the driver said, and the last ones.
pub(super) fn excerpt(log: &str) -> String {
    let count = log.lines().count();
    log.lines()
        .enumerate()
        .filter(|(number, line)| {
            (line.contains("tresor") && !line.contains("ommand line")) || number + 10 >= count
        })
        .map(|(_, line)| format!("    {line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{is_of_self_tests, PUBLIC_S};

    #[test]
    fn only_empty_registers_and_the_public_key_are_waited_for() {
        let mut half = PUBLIC_S;
        half[8..24].fill(0);
        assert!([[0; 32], PUBLIC_S, half].iter().all(is_of_self_tests));
        let mut other = PUBLIC_S;
        other[31] ^= 1;
        assert!(!is_of_self_tests(&other) && !is_of_self_tests(&[1; 32]));
    }
}
