// SPDX-License-Identifier: GPL-2.0

//! S in model-specific registers: machine-check banks, the only ones that keep what is written to them in QEMU. What other scenarios show of
//! the debug registers is shown of these, and that the debug registers are free.

use anyhow::{ensure, Context, Result};
use guest_init::protocol::{Breakpoint, LoadReport, MsrAccess};
use rustix::io::Errno;

use crate::console::{ACCEPTED, WRONG};
use crate::guest::Guest;
use crate::home::{self, Home};
use crate::machine::{Config, Machine};
use crate::registers;
use crate::scenarios::hotplug::{expect_progress, set_online};
use crate::scenarios::lab::{excerpt, Lab, VOLUME};
use crate::scenarios::lifecycle::cpus::take_offline;
use crate::scenarios::lifecycle::machine::{expect_quiet, lock, unlock_with};
use crate::scenarios::lifecycle::sleep::{answer, scan};
use crate::scenarios::lifecycle::work::{Work, LOAD};
use crate::scenarios::{ends, guards, owner, storm, watch};
use crate::sleep::{self, Sleep};
use crate::volume::{disk, Volume, TRESOR};
use crate::watch::Sight;

/// The banks of the home, as a whole.
const OWNED: std::ops::RangeInclusive<u32> = 0x420..=0x427;
/// ADDR of the bank before them, which is nobody's.
const OTHER: u32 = 0x41e;
/// Something to find there.
const MARK: u64 = 0x0bad_cafe_1234_5678;
/// Content of the volume.
const SEED: u64 = 6100;
const CONTENT: u64 = 2 << 20;

/// The prompt, a volume, the owners of both kinds of registers, lock, CPUs that go and come.
pub(in crate::scenarios) fn msr_home(lab: &mut Lab<'_>) -> Result<()> {
    lab.home = Home::MachineCheck;
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;
    guest.fill(&volume.mapper(), SEED, CONTENT)?;
    guest.check(&volume.mapper(), SEED, CONTENT)?;
    Sight::of(&mut machine, &secrets)?.expect_nothing_in_ram()?;

    expect_debug_registers_free(&mut machine, &mut guest)?;
    for cpu in 0..lab.cpus {
        expect_owned(&mut guest, cpu)?;
    }
    lab.expect_secret_everywhere(&mut machine)?;

    lock(&mut guest)?;
    lab.expect_no_secret(&mut machine)?;
    unlock_with(&mut guest, &[], lab.enrollment.pass_phrase(), "0")?;
    lab.expect_secret_everywhere(&mut machine)?;

    // Under load, so that the CPU that comes back has requests before it has S.
    let part = VOLUME / 2;
    guest.start_load(&volume.mapper(), Some(1), part, part)?;
    let before = expect_progress(&mut guest, &LoadReport::default(), CONTENT)?;
    take_offline(&mut machine, &mut guest, 1)?;
    set_online(&mut guest, 1, true)?;
    expect_progress(&mut guest, &before, CONTENT)?;
    let homes = home::registers(&mut machine)?;
    ensure!(
        homes
            .iter()
            .all(|cpu| (*cpu.bytes() == [0; 32]) == (cpu.cpu == 1)),
        "a CPU that was offline must come back with an empty home, and the other one keep its own"
    );
    unlock_with(&mut guest, &[], lab.enrollment.pass_phrase(), "0")?;
    lab.expect_secret_everywhere(&mut machine)?;
    let report = guest.stop_load()?;
    ensure!(report.errors == 0, "verified I/O failed: {report:?}");
    guest.check(&volume.mapper(), SEED, CONTENT)?;
    volume.close(&mut guest)?;
    expect_quiet(&mut guest)?;
    drop(machine);
    // Only the right S makes this ciphertext.
    let key = lab.enrollment.volume_key(&handle)?;
    disk::expect_start(&lab.volume_image(), &key, 512, SEED, CONTENT).map(drop)
}

/// There is nothing in the debug registers, and breakpoints of perf and ptrace fire.
fn expect_debug_registers_free(machine: &mut Machine, guest: &mut Guest) -> Result<()> {
    for cpu in registers::parse(&machine.qmp.human(registers::COMMAND)?)? {
        ensure!(
            *cpu.bytes() == [0; 32],
            "the debug registers of CPU {} are not empty",
            cpu.cpu
        );
    }
    for how in [Breakpoint::Perf, Breakpoint::Ptrace] {
        owner::expect(guest, how, None, true)?;
    }
    Ok(())
}

/// Root can neither read nor write the registers; with another one of the same kind both work.
fn expect_owned(guest: &mut Guest, cpu: u32) -> Result<()> {
    let ways = [
        MsrAccess::Read,
        MsrAccess::ReadByCall,
        MsrAccess::Write(0),
        MsrAccess::WriteByCall(0),
    ];
    for msr in OWNED {
        for how in ways {
            let (errno, _) = guest.access_msr(cpu, msr, how)?;
            ensure!(
                errno == Errno::PERM.raw_os_error(),
                "{how:?} of {msr:#x} on CPU {cpu}: error {errno} instead of EPERM"
            );
        }
    }
    for write in [MsrAccess::Write(MARK), MsrAccess::WriteByCall(!MARK)] {
        for (how, expected) in [
            (write, None),
            (MsrAccess::Read, Some(write)),
            (MsrAccess::ReadByCall, Some(write)),
        ] {
            let (errno, value) = guest.access_msr(cpu, OTHER, how)?;
            let same = match expected {
                Some(MsrAccess::Write(written) | MsrAccess::WriteByCall(written)) => {
                    value == written
                }
                _ => true,
            };
            ensure!(
                errno == 0 && same,
                "the control failed: {how:?} of {OTHER:#x}: error {errno}, {value:#x}"
            );
        }
    }
    Ok(())
}

/// Nothing of S at the end of a machine.
pub(in crate::scenarios) fn msr_ends(lab: &mut Lab<'_>) -> Result<()> {
    lab.home = Home::MachineCheck;
    ends::reboot(lab).context("reboot")?;
    ends::emergency_reboot(lab).context("emergency reboot")?;
    ends::panic_that_reboots(lab).context("panic")
}

/// Both kinds of sleep under verified I/O. The machine in S3 has no CPU whose banks QEMU could show and then go on: they are looked at when
/// it has woken up and asks, and QEMU keeps them over that, so what was not wiped would be there.
pub(in crate::scenarios) fn msr_sleep(lab: &mut Lab<'_>) -> Result<()> {
    lab.home = Home::MachineCheck;
    let mut config = lab.config();
    sleep::prepare(&mut config);
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let (work, mut progress) = Work::start(&mut guest, handle)?;
    for how in [Sleep::ToIdle, Sleep::ToRam] {
        sleep::fall_asleep(&mut machine, &mut guest, how)?;
        let hits = scan(&mut machine, &secrets)?;
        ensure!(
            hits.is_empty(),
            "secrets in the RAM of a sleeping machine: {hits:?}"
        );
        if how == Sleep::ToIdle {
            lab.expect_no_secret(&mut machine)?;
        }
        sleep::wake(&mut machine, how)?;
        answer(&mut machine, b"not the pass phrase", WRONG)?;
        lab.expect_no_secret(&mut machine)?;
        answer(&mut machine, lab.enrollment.pass_phrase(), ACCEPTED)?;
        sleep::finish(&mut machine, &mut guest)?;
        lab.expect_secret_everywhere(&mut machine)?;
        progress = expect_progress(&mut guest, &progress, LOAD)?;
    }
    work.end(lab, &mut guest).map(drop)
}

/// NMI and #MC before each instruction of the windows.
pub(in crate::scenarios) fn msr_guards(lab: &mut Lab<'_>) -> Result<()> {
    lab.home = Home::MachineCheck;
    guards::nmi_in_load(lab).context("NMI in load")?;
    guards::machine_check_in_load(lab).context("#MC in load")?;
    guards::nmi_in_store(lab).context("NMI in store")
}

/// NMIs at every boundary of the windows, on both CPUs, with every store watched.
pub(in crate::scenarios) fn msr_storm(lab: &mut Lab<'_>) -> Result<()> {
    lab.home = Home::MachineCheck;
    storm::nmi_in_windows(lab)
}

/// Every store from power-on on.
pub(in crate::scenarios) fn msr_watched(lab: &mut Lab<'_>) -> Result<()> {
    lab.home = Home::MachineCheck;
    watch::avx(lab)
}

/// Performance counters, which QEMU does not have: no cipher, a clear reason, and breakpoints work. The same for a store that there is not.
pub(in crate::scenarios) fn msr_refused(lab: &mut Lab<'_>) -> Result<()> {
    for (cpu_model, parameter, reason) in [
        ("max", "tresor.store=msr", "use tresor.store=dr"),
        ("Haswell", "tresor.store=msr", "use tresor.store=dr"),
        (
            "max,-hypervisor",
            "tresor.store=msr:mce",
            "msr:mce is for tests in emulators",
        ),
        (
            "max",
            "tresor.store=msrs",
            "another value than dr, msr, msr:mce",
        ),
    ] {
        let config = lab.config();
        let config = Config {
            cpu_model: cpu_model.into(),
            cmdline: format!("{} {parameter}", config.cmdline),
            ..config
        };
        let mut machine = lab.start(&config)?;
        let mut guest = machine.guest()?;
        let log = guest.dmesg()?;
        ensure!(
            log.contains(reason) && log.contains("not asking for a pass phrase"),
            "{parameter} on {cpu_model}: the log does not say `{reason}`:\n{}",
            excerpt(&log)
        );
        let ciphers = guest.read_text("/proc/crypto")?;
        ensure!(
            !ciphers.contains("tresor"),
            "{parameter} on {cpu_model}: there is a cipher:\n{ciphers}"
        );
        for how in [Breakpoint::Perf, Breakpoint::Ptrace] {
            owner::expect(&mut guest, how, None, true)
                .with_context(|| format!("{parameter} on {cpu_model}"))?;
        }
    }
    Ok(())
}
