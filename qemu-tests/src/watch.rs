// SPDX-License-Identifier: GPL-2.0

//! One look at a machine from outside: registers and RAM of the same moment, while its CPUs stand still.

use std::time::{Duration, Instant};

use anyhow::{ensure, Result};

use crate::home;
use crate::keyfind::{self, KeyCount};
use crate::machine::Machine;
use crate::registers::CpuRegisters;
use crate::report::RamUse;
use crate::scan::{Hit, Scanner};
use crate::secrets::Secrets;

/// What was seen.
#[derive(Debug)]
pub struct Sight {
    /// The registers of every CPU that are the home of S, compared with it.
    pub registers: Vec<CpuRegisters>,
    /// Every run of a secret in RAM.
    pub hits: Vec<Hit>,
    /// Number of patterns searched.
    pub patterns: usize,
    /// How long the search took.
    pub scan_time: Duration,
    /// Which parts of RAM were in use.
    pub ram_use: RamUse,
    /// What Debian's aeskeyfind found.
    pub keys: KeyCount,
}

impl Sight {
    /// Stops the machine, looks and lets it go on.
    pub fn of(machine: &mut Machine, secrets: &Secrets) -> Result<Self> {
        let scanner = Scanner::new(secrets.patterns());
        machine.qmp.stop()?;
        let registers = registers(machine, &secrets.s)?;
        let begin = Instant::now();
        let hits = scanner.scan_file(machine.ram())?;
        let scan_time = begin.elapsed();
        let ram_use = RamUse::of_file(machine.ram())?;
        let keys = keyfind::count_keys(machine.ram(), secrets)?;
        machine.qmp.cont()?;
        Ok(Self {
            registers,
            hits,
            patterns: scanner.patterns(),
            scan_time,
            ram_use,
            keys,
        })
    }

    /// Whether S is in its home on every CPU and no breakpoint is enabled. Without it a scan that finds nothing shows nothing.
    pub fn secret_in_registers(&self) -> bool {
        self.registers.iter().all(holds)
    }

    /// The first hits, one per line, for error messages.
    pub fn first_hits(&self) -> String {
        self.hits
            .iter()
            .take(8)
            .map(|hit| {
                format!(
                    "\n    {:#x}: {} bytes of {}",
                    hit.offset, hit.len, hit.label
                )
            })
            .collect()
    }

    /// Fails unless S was in the registers and nothing of it in RAM.
    pub fn expect_nothing_in_ram(&self) -> Result<()> {
        ensure!(
            self.secret_in_registers(),
            "the scan does not count: S is not in the registers of every CPU: {:?}",
            self.registers
        );
        ensure!(
            self.hits.is_empty() && self.keys.ours == 0,
            "secrets are in RAM: {} hits, aeskeyfind found {} of our keys; the first hits:{}",
            self.hits.len(),
            self.keys.ours,
            self.first_hits()
        );
        Ok(())
    }
}

/// The registers of every CPU that are the home of S, compared with `s`.
pub fn registers(machine: &mut Machine, s: &[u8; 32]) -> Result<Vec<CpuRegisters>> {
    let cpus: Vec<_> = home::registers(machine)?
        .iter()
        .map(|cpu| cpu.check(s))
        .collect();
    ensure!(
        cpus.len() == machine.cpus() as usize,
        "QEMU showed the registers of {} CPUs instead of {}",
        cpus.len(),
        machine.cpus()
    );
    Ok(cpus)
}

/// Whether a CPU holds S with its breakpoints off.
pub fn holds(cpu: &CpuRegisters) -> bool {
    cpu.holds_secret && cpu.breakpoints_off
}
