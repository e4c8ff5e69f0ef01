// SPDX-License-Identifier: GPL-2.0

//! KVM and DR0-DR3: virtual machines inside the test machine, and others inside those, write all of their debug registers. None of that
//! may reach the registers of the CPU.
//!
//! QEMU emulates AMD's SVM, so this is kvm_amd; nothing here runs kvm_intel.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use fs_err as fs;
use guest_init::protocol::{Breakpoint, LoadReport, GUEST_VALUE};

use super::hotplug::{expect_progress, open};
use super::lab::{Lab, PATIENCE};
use super::lifecycle::machine::expect_quiet;
use super::owner::{expect, start_off, EBUSY};
use crate::guest::Guest;
use crate::machine::Machine;
use crate::registers;
use crate::volume::{disk, Files, MOUNT_POINT};
use crate::watch::{self, Sight};
use crate::watcher::symbols::Symbols;

const FILES: Files = Files {
    count: 6,
    seed: 5100,
};
const SECTOR_SIZE: u32 = 512;
/// Bytes of each file under verified I/O.
const LOAD: u64 = 1 << 20;
/// Rounds that the virtual machines of each CPU must do, of each kind.
const ROUNDS: u64 = 200;
/// How often registers and RAM are looked at meanwhile.
const LOOKS: u32 = 3;
/// The variable by which the kernel knows that DR0-DR3 have an owner: one byte, 1 or 0.
const OWNED: &str = "x86_debug_regs_owned";

pub(super) fn virtual_machines_under_load(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = open(&mut guest)?;
    volume.make_fs(&mut guest)?;
    volume.mount(&mut guest)?;
    FILES.write(&mut guest)?;
    for cpu in 0..lab.cpus as usize {
        let path = format!("{MOUNT_POINT}/load-{cpu}");
        guest.fill(&path, 0, LOAD)?;
        guest.start_load(&path, Some(cpu), 0, LOAD)?;
    }
    start_guests(lab, &mut guest)?;

    let mut before = guest.load_status()?;
    for look in 1..=LOOKS {
        expect_rounds(&mut guest, ROUNDS * u64::from(lab.cpus * look / LOOKS))?;
        before = expect_progress(&mut guest, &before, LOAD)?;
        Sight::of(&mut machine, &secrets)?.expect_nothing_in_ram()?;
    }
    let report = guest.stop_load()?;
    fs::write(lab.dir.join("work.txt"), format!("{report:#?}\n"))?;
    ensure!(
        report.errors == 0,
        "something came back different: {report:?}"
    );
    lab.expect_secret_everywhere(&mut machine)?;

    // A debugger of the virtual machine is refused; its own software does not notice, except that nothing fires.
    expect(&mut guest, Breakpoint::GuestDebug, Some(EBUSY), false)?;
    expect(&mut guest, Breakpoint::InsideGuest, None, false)?;
    lab.expect_secret_everywhere(&mut machine)?;

    guest.write_file("/proc/sys/vm/drop_caches", b"3")?;
    FILES.expect(&mut guest)?;
    expect_quiet(&mut guest)?;
    volume.unmount(&mut guest)?;
    guest.run_ok(&["e2fsck", "-f", "-n", &volume.mapper()])?;
    volume.close(&mut guest)?;
    let key = lab.enrollment.volume_key(&handle)?;
    disk::expect_files(&lab.volume_image(), &key, SECTOR_SIZE, &FILES, &lab.dir)?;

    stock_destroys(lab, &mut machine, &mut guest)
}

/// The control, in the same machine: its KVM is told that nobody owns the registers, and is stock KVM from then on. The same virtual
/// machines, which still find nothing wrong, destroy S on every CPU.
fn stock_destroys(lab: &Lab<'_>, machine: &mut Machine, guest: &mut Guest) -> Result<()> {
    let symbols = Symbols::read(&lab.context.system_map)?;
    let offset = symbols.address(OWNED)? - symbols.address("_text")?;
    let start = kernel_start(&guest.read_text("/proc/iomem")?)?;
    machine.change_ram(start + offset, 1, 0).context(OWNED)?;
    start_guests(lab, guest)?;
    expect_rounds(guest, ROUNDS * u64::from(lab.cpus) / 10)?;
    let report = guest.stop_load()?;
    ensure!(report.errors == 0, "a virtual machine failed: {report:?}");
    let holders = watch::registers(machine, lab.enrollment.s())?;
    ensure!(
        holders.iter().all(|cpu| !cpu.holds_secret),
        "the control failed: with stock KVM there is still a CPU with S: {holders:?}"
    );
    expect_values_of_guests(machine)
}

/// Without the driver all of that works as ever: breakpoints fire, and the values of virtual machines get into the registers.
pub(super) fn off(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, mut guest) = start_off(lab, "")?;
    lab.expect_no_secret(&mut machine)?;
    start_guests(lab, &mut guest)?;
    expect_rounds(&mut guest, u64::from(lab.cpus))?;
    let report = guest.stop_load()?;
    ensure!(report.errors == 0, "a virtual machine failed: {report:?}");
    expect_values_of_guests(&mut machine)?;
    expect(&mut guest, Breakpoint::GuestDebug, None, true)?;
    expect(&mut guest, Breakpoint::InsideGuest, None, true)
}

/// One virtual machine on each CPU, and one with another in it.
fn start_guests(lab: &Lab<'_>, guest: &mut Guest) -> Result<()> {
    for cpu in 0..lab.cpus as usize {
        for nested in [false, true] {
            guest.start_guest(cpu, nested)?;
        }
    }
    Ok(())
}

/// In DR0-DR3 of every CPU is what a virtual machine wrote.
fn expect_values_of_guests(machine: &mut Machine) -> Result<()> {
    for cpu in registers::parse(&machine.qmp.human(registers::COMMAND)?)? {
        ensure!(
            cpu.dr.iter().all(|value| value & GUEST_VALUE != 0),
            "the control failed: the values of virtual machines never were in the debug registers of CPU {}",
            cpu.cpu
        );
    }
    Ok(())
}

/// Waits until the virtual machines, and those in them, have done so many rounds since they were started.
fn expect_rounds(guest: &mut Guest, rounds: u64) -> Result<()> {
    let begin = Instant::now();
    loop {
        let now: LoadReport = guest.load_status()?;
        ensure!(
            now.errors == 0,
            "a virtual machine or the load failed: {now:?}"
        );
        if now.guest_rounds >= rounds && now.nested_rounds >= rounds {
            return Ok(());
        }
        ensure!(
            begin.elapsed() < PATIENCE,
            "the virtual machines stand still: {now:?}"
        );
        sleep(Duration::from_millis(100));
    }
}

/// The physical address of the running kernel's first byte.
fn kernel_start(iomem: &str) -> Result<u64> {
    iomem
        .lines()
        .find(|line| line.ends_with(": Kernel code"))
        .and_then(|line| u64::from_str_radix(line.trim().split('-').next()?, 16).ok())
        .filter(|&start| start != 0)
        .with_context(|| format!("/proc/iomem does not tell where the kernel is:\n{iomem}"))
}

#[cfg(test)]
mod tests {
    use super::kernel_start;

    #[test]
    fn the_kernel_is_where_iomem_says() {
        let iomem = "00100000-0ffdffff : System RAM\n  03000000-03dfffff : Kernel code\n  03e00000-043fffff : Kernel rodata\n";
        assert_eq!(kernel_start(iomem).unwrap(), 0x300_0000);
        assert!(kernel_start("  00000000-00000000 : Kernel code\n").is_err());
        assert!(kernel_start("").is_err());
    }
}
