// SPDX-License-Identifier: GPL-2.0

//! What the next kernel finds in the CPUs and in RAM, started by kexec or by a crash. In most of these it is one of a few instructions, so
//! that nothing is changed before the harness looks.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context as _, Result};
use fs_err as fs;

use super::ends::{expect_nothing_left, later, leftovers, start_busy, CRASH, PANIC};
use super::lab::{Lab, PATIENCE, VOLUME};
use super::owner::start_off;
use crate::guest::Guest;
use crate::keyfind;
use crate::machine::command::CMDLINE;
use crate::machine::{Config, Machine};
use crate::next_kernel;
use crate::registers;
use crate::scan::Scanner;
use crate::secrets::Secrets;
use crate::volume::{Volume, TRESOR};

/// Memory for a kernel of a few instructions that is started by a crash.
const CRASH_MEMORY: &str = "crashkernel=64M";
/// RAM in MiB of a machine in which two Linuxes have their files.
const MEMORY_MIB: u32 = 512;
/// Files in the guest.
const KERNEL: &str = "/tmp/kernel";
const INITRAMFS: &str = "/tmp/initramfs";
/// Stream of the content of the volume.
const SEED: u64 = 2100;

/// The system call that loads the next kernel.
#[derive(Clone, Copy)]
enum Call {
    /// kexec_file_load(2).
    File,
    /// kexec_load(2), which leaves everything to the program.
    Older,
}

impl Call {
    fn load(self, guest: &mut Guest, on_crash: bool) -> Result<()> {
        let image = next_kernel::image();
        match self {
            Self::File => guest.load_kernel(&image, on_crash),
            Self::Older => guest.load_kernel_older(&image, on_crash),
        }
    }
}

pub(super) fn restart(lab: &mut Lab<'_>) -> Result<()> {
    restarts(lab, Call::File)
}

pub(super) fn restart_older(lab: &mut Lab<'_>) -> Result<()> {
    restarts(lab, Call::Older)
}

pub(super) fn crash(lab: &mut Lab<'_>) -> Result<()> {
    crashes(lab, Call::File)
}

pub(super) fn crash_older(lab: &mut Lab<'_>) -> Result<()> {
    crashes(lab, Call::Older)
}

/// kexec, with every CPU in the middle of its work.
fn restarts(lab: &mut Lab<'_>, call: Call) -> Result<()> {
    let (mut machine, mut guest) = start_busy(lab, "")?;
    call.load(&mut guest, false)?;
    guest.kexec()?;
    machine.console.wait_for(next_kernel::STARTED, PATIENCE)?;
    expect_nothing_left(&mut machine)?;
    nothing_in_ram(&mut machine, &lab.enrollment.secrets(&[])?)
}

/// A crash, with every CPU in the middle of its work.
fn crashes(lab: &mut Lab<'_>, call: Call) -> Result<()> {
    let (mut machine, mut guest) = start_busy(lab, CRASH_MEMORY)?;
    call.load(&mut guest, true)?;
    later(&mut guest, CRASH)?;
    machine.console.wait_for(PANIC[0], PATIENCE)?;
    machine.console.wait_for(next_kernel::STARTED, PATIENCE)?;
    expect_nothing_left(&mut machine)?;
    nothing_in_ram(&mut machine, &lab.enrollment.secrets(&[])?)
}

/// kexec into another Linux: RAM has nothing of the last one's secrets, it asks for the pass phrase, and the volume is as it was.
pub(super) fn linux(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    config.memory_mib = MEMORY_MIB;
    let disks = add_linux(lab, &mut config)?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;
    guest.fill(&volume.mapper(), SEED, VOLUME)?;
    let cmdline = format!("{CMDLINE} {}", config.cmdline);
    load_linux(&mut guest, &disks, &cmdline, false)?;
    guest.kexec()?;
    machine.follow(guest);
    machine.console.wait_for("Linux version", PATIENCE)?;
    machine.console.wait_prompt(PATIENCE)?;
    lab.expect_no_secret(&mut machine)?;
    nothing_in_ram(&mut machine, &secrets)?;
    machine.console.type_line(lab.enrollment.pass_phrase())?;
    let mut guest = lab.expect_unlocked(&mut machine)?;
    volume.open(&mut guest)?;
    guest.check(&volume.mapper(), SEED, VOLUME)?;
    volume.close(&mut guest)
}

/// The control: without the driver, the addresses of breakpoints outlive the kernel on every CPU that is stopped, and only INIT takes them
/// away.
pub(super) fn off_keeps_until_init(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, mut guest) = start_off(lab, "")?;
    guest.occupy_debug_registers()?;
    guest.load_kernel(&next_kernel::image(), false)?;
    guest.kexec()?;
    expect_kept(lab, &mut machine)?;
    machine.console.write(b"\r")?;
    machine.console.wait_for(next_kernel::INIT_SENT, PATIENCE)?;
    let begin = Instant::now();
    loop {
        let cpus = registers::parse(&machine.qmp.human(registers::COMMAND)?)?;
        if cpus.iter().all(|cpu| *cpu.bytes() == [0; 32]) {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            bail!("after INIT there are still values in DR0-DR3: {cpus:?}");
        }
        sleep(Duration::from_millis(100));
    }
}

/// The same control of a crash.
pub(super) fn off_keeps_in_crash(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, mut guest) = start_off(lab, CRASH_MEMORY)?;
    guest.occupy_debug_registers()?;
    guest.load_kernel(&next_kernel::image(), true)?;
    later(&mut guest, CRASH)?;
    machine.console.wait_for(PANIC[0], PATIENCE)?;
    expect_kept(lab, &mut machine)
}

/// The next kernel finds what was in the debug registers of all CPUs but its own, and something in vector registers.
fn expect_kept(lab: &Lab<'_>, machine: &mut Machine) -> Result<()> {
    machine.console.wait_for(next_kernel::STARTED, PATIENCE)?;
    let (with_address, with_vector) = leftovers(machine)?;
    // The kernel itself clears those of the CPU on which it starts another one.
    let missing = lab.cpus as usize - with_address.len();
    ensure!(
        missing == 1,
        "values outlived the kernel on the CPUs {with_address:?} and not on all but one"
    );
    ensure!(
        !with_vector.is_empty(),
        "the vector registers are empty without having been wiped, so the other tests show nothing"
    );
    Ok(())
}

/// Scans RAM of a machine whose registers are empty.
pub(super) fn nothing_in_ram(machine: &mut Machine, secrets: &Secrets) -> Result<()> {
    machine.qmp.stop()?;
    let hits = Scanner::new(secrets.patterns()).scan_file(machine.ram())?;
    ensure!(hits.is_empty(), "RAM has {hits:?}");
    let keys = keyfind::count_keys(machine.ram(), secrets)?;
    ensure!(keys.ours == 0, "aeskeyfind found keys of ours: {keys:?}");
    machine.qmp.cont()
}

/// Disks of a guest from which [`load_linux`] takes the kernel and its initramfs: device and bytes.
pub(super) struct LinuxDisks([(String, u64); 2]);

/// Adds disks with the machine's own kernel and initramfs.
pub(super) fn add_linux(lab: &Lab<'_>, config: &mut Config) -> Result<LinuxDisks> {
    let mut add = |source: &Path, name: &str| {
        let device = device(config.disks.len())?;
        let mut content = fs::read(source)?;
        let bytes = content.len() as u64;
        // A copy: another machine may have the same one as a disk, and disks end with a whole sector.
        content.resize(content.len().next_multiple_of(512), 0);
        let copy = lab.dir.join(name);
        fs::write(&copy, content)?;
        config.disks.push(copy);
        Ok::<_, anyhow::Error>((device, bytes))
    };
    Ok(LinuxDisks([
        add(&lab.context.kernel, "kernel.img")?,
        add(&lab.context.initramfs, "initramfs.img")?,
    ]))
}

/// The name of a disk in the guest.
pub(super) fn device(index: usize) -> Result<String> {
    let letter = u8::try_from(index)
        .ok()
        .and_then(|index| b'a'.checked_add(index));
    let letter = letter.filter(u8::is_ascii_lowercase);
    let letter = char::from(letter.context("the machine has too many disks")?);
    Ok(format!("/dev/vd{letter}"))
}

/// Loads the Linux of [`add_linux`], for kexec or for a crash.
pub(super) fn load_linux(
    guest: &mut Guest,
    disks: &LinuxDisks,
    cmdline: &str,
    on_crash: bool,
) -> Result<()> {
    for ((device, bytes), file) in disks.0.iter().zip([KERNEL, INITRAMFS]) {
        let copy = format!("busybox head -c {bytes} {device} > {file}");
        guest.run_ok(&["busybox", "sh", "-c", &copy])?;
    }
    guest
        .load_linux(KERNEL, INITRAMFS, cmdline, on_crash)
        .context("loading the next Linux")
}
