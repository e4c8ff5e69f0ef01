// SPDX-License-Identifier: GPL-2.0

//! Our packages on a Debian system whose root is encrypted: boots, asks once, runs, sleeps, asks, powers off.

mod failures;
mod install;
mod shell;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{ensure, Context as _, Result};

use super::lab::{Lab, PATIENCE};
use super::lifecycle::sleep::{answer, expect_nothing_secret};
use crate::console::{ACCEPTED, PROMPT, WRONG};
use crate::debian::{Debian, PASS_PHRASE, STRETCHED_PASS_PHRASE, VOLUME};
use crate::machine::{Config, Machine};
use crate::secrets::{Family, Secrets};
use crate::sleep::{self, Sleep};
use crate::watch::Sight;

use shell::Shell;

/// systemd, udev and all they start, emulated on a busy host.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
/// RAM in MiB: the initramfs and systemd want more than the other machines have.
const MEMORY_MIB: u32 = 512;
/// What tresorctl says when it has unlocked the machine.
const UNLOCKED: &str = "Unlocked: the key is in the registers of";
/// How cryptsetup of the initramfs asks.
const STOCK_PROMPT: &str = "Please unlock disk";

/// Otherwise plymouth runs, and has the console.
const NO_PLYMOUTH: &str = "plymouth.enable=0";
/// How plymouth asks for our script: without the space of the other prompts.
const PLYMOUTH_PROMPT: &str = "Tresor pass phrase:";

/// A system on a disk that is encrypted.
struct Installed {
    debian: Debian,
    disk: PathBuf,
    secrets: Secrets,
}

impl Installed {
    fn new(lab: &mut Lab<'_>) -> Result<Self> {
        let debian = lab.context.debian.clone();
        let debian =
            debian.context("there is no Debian system: see the test qemu::setup_debian")?;
        lab.enrollment = debian.enrollment()?;
        let (disk, secrets) = install::install(lab, &debian)?;
        Ok(Self {
            debian,
            disk,
            secrets,
        })
    }

    /// A machine that boots it with something on the kernel command line.
    fn config(&self, lab: &Lab<'_>, cmdline: &str) -> Config {
        let mut config = Config {
            cpus: lab.cpus,
            memory_mib: MEMORY_MIB,
            cmdline: format!("root=/dev/mapper/{VOLUME} ro {cmdline}"),
            disks: vec![self.disk.clone()],
            ..Config::new(&self.debian.kernel, &self.debian.initramfs)
        };
        sleep::prepare(&mut config);
        config
    }
}

/// The whole life of such a system, on one disk.
pub(super) fn encrypted_root(lab: &mut Lab<'_>) -> Result<()> {
    let system = Installed::new(lab)?;
    let with_slot = format!("{} {NO_PLYMOUTH}", lab.enrollment.cmdline());
    let config = system.config(lab, &with_slot);
    kernel_asks(lab, &config, &system.secrets).context("asked by the kernel")?;
    let config = system.config(lab, NO_PLYMOUTH);
    initramfs_asks(lab, &config, &system.secrets).context("asked in the initramfs")
}

/// Whoever else may ask, and what is said when nobody can.
pub(super) fn other_ways(lab: &mut Lab<'_>) -> Result<()> {
    let system = Installed::new(lab)?;
    let config = system.config(lab, "");
    plymouth_asks(lab, &config, &system.secrets).context("asked by plymouth")?;
    let config = system.config(lab, NO_PLYMOUTH);
    let made_by_dracut = Config {
        initramfs: system.debian.dracut.clone(),
        ..config.clone()
    };
    dracut_asks(lab, &made_by_dracut, &system.secrets).context("asked in dracut's initramfs")?;
    failures::no_good_slot(lab, &config)?;
    failures::damaged_on_command_line(lab, &config)
}

/// The slot is on the kernel command line: nobody else asks.
fn kernel_asks(lab: &mut Lab<'_>, config: &Config, secrets: &Secrets) -> Result<()> {
    let mut machine = lab.start(config)?;
    answer(&mut machine, b"not the pass phrase", WRONG)?;
    answer(&mut machine, PASS_PHRASE.as_bytes(), ACCEPTED)?;
    let mut shell = Shell::log_in(&mut machine)?;
    expect_root_on_volume(&mut shell)?;
    shell.ok("head -c 8M /dev/urandom >/srv/file && sha256sum /srv/file >/srv/sum && sync")?;
    Sight::of(&mut machine, secrets)?.expect_nothing_in_ram()?;
    sleeps_and_wakes(lab, &mut machine, secrets)?;
    let mut shell = Shell::of(&mut machine);
    shell.ok("echo 3 >/proc/sys/vm/drop_caches; sha256sum -c /srv/sum")?;
    shell.ok("echo written after the sleep >/srv/second")?;
    Sight::of(&mut machine, secrets)?.expect_nothing_in_ram()?;
    power_off(lab, machine)
}

/// The slots are in the initramfs: our hook asks before cryptroot opens the volume. Who errs three times waits.
fn initramfs_asks(lab: &mut Lab<'_>, config: &Config, secrets: &Secrets) -> Result<()> {
    let mut machine = lab.start(config)?;
    for wrong in 0..3 {
        let before = prompt_of_hook(&mut machine)?;
        ensure!(
            wrong > 0 || !before.contains(STOCK_PROMPT),
            "the volume was opened before anybody was asked: {before}"
        );
        machine.console.type_line(b"not the pass phrase")?;
        machine.console.wait_for("wrong pass phrase", PATIENCE)?;
    }
    machine
        .console
        .wait_for("tresor: wrong pass phrase; wait 2 s", PATIENCE)?;
    prompt_of_hook(&mut machine)?;
    machine.console.type_line(PASS_PHRASE.as_bytes())?;
    machine.console.wait_for(UNLOCKED, PATIENCE)?;
    let mut shell = Shell::log_in(&mut machine)?;
    expect_root_on_volume(&mut shell)?;
    shell.ok("sha256sum -c /srv/sum && grep 'after the sleep' /srv/second")?;
    let log = shell.ok("dmesg | grep EXT4-fs")?;
    ensure!(
        !log.contains("recover"),
        "the machine did not go down cleanly before: {log}"
    );
    Sight::of(&mut machine, secrets)?.expect_nothing_in_ram()?;
    sleeps_and_wakes(lab, &mut machine, secrets)?;
    let mut shell = Shell::of(&mut machine);
    shell.ok("echo 3 >/proc/sys/vm/drop_caches; sha256sum -c /srv/sum")?;

    // The control: what a person types anywhere else is found.
    shell.ok(&format!("echo '{PASS_PHRASE}' >/run/leak"))?;
    let sight = Sight::of(&mut machine, secrets)?;
    ensure!(
        sight
            .hits
            .iter()
            .any(|hit| hit.family == Family::PassPhrase && hit.is_whole()),
        "the control failed: a pass phrase in a file in RAM was not found"
    );
    power_off(lab, machine)
}

/// plymouth has the console and asks there for our script. It does not promise to wipe what it reads, so the pass phrase itself may be found.
fn plymouth_asks(lab: &mut Lab<'_>, config: &Config, secrets: &Secrets) -> Result<()> {
    let mut machine = lab.start(config)?;
    for (typed, answer) in [
        ("not the pass phrase", "wrong pass phrase"),
        (PASS_PHRASE, UNLOCKED),
    ] {
        machine.console.wait_for(PLYMOUTH_PROMPT, BOOT_LIMIT)?;
        machine.console.type_line(typed.as_bytes())?;
        machine.console.wait_for(answer, PATIENCE)?;
    }
    let mut shell = Shell::log_in(&mut machine)?;
    expect_root_on_volume(&mut shell)?;
    let sight = Sight::of(&mut machine, secrets)?;
    let more = |family| family != Family::PassPhrase;
    let hits: Vec<_> = sight.hits.iter().filter(|hit| more(hit.family)).collect();
    ensure!(hits.is_empty(), "secrets in RAM: {hits:?}");
    power_off(lab, machine)
}

/// The same in an initramfs of dracut's, in which systemd opens the volume.
fn dracut_asks(lab: &mut Lab<'_>, config: &Config, secrets: &Secrets) -> Result<()> {
    let mut machine = lab.start(config)?;
    prompt_of_hook(&mut machine)?;
    machine.console.type_line(b"not the pass phrase")?;
    machine.console.wait_for("wrong pass phrase", PATIENCE)?;
    prompt_of_hook(&mut machine)?;
    machine.console.type_line(PASS_PHRASE.as_bytes())?;
    machine.console.wait_for(UNLOCKED, PATIENCE)?;
    let mut shell = Shell::log_in(&mut machine)?;
    expect_root_on_volume(&mut shell)?;
    Sight::of(&mut machine, secrets)?.expect_nothing_in_ram()?;
    power_off(lab, machine)
}

/// Waits for the prompt of our script in the initramfs; returns what stood before it.
fn prompt_of_hook(machine: &mut Machine) -> Result<String> {
    machine.console.wait_for(PROMPT, BOOT_LIMIT)
}

/// systemd runs all it should from a root that is on the volume, and this has its key from registers.
fn expect_root_on_volume(shell: &mut Shell<'_>) -> Result<()> {
    for (command, expected) in [
        ("findmnt -no SOURCE /", format!("/dev/mapper/{VOLUME}")),
        (
            "dmsetup table --target crypt",
            "paes-xts-plain64".to_owned(),
        ),
        ("systemctl is-active multi-user.target", "active".to_owned()),
        (
            "tresorctl status --json",
            r#""phase":"unlocked""#.to_owned(),
        ),
        (
            "systemctl list-units --failed",
            "0 loaded units listed".to_owned(),
        ),
    ] {
        let said = shell.ok(command)?;
        ensure!(said.contains(&expected), "`{command}`: {said}");
    }
    Ok(())
}

/// Suspends to RAM as a person does, looks at the sleeping machine, and answers the kernel when it wakes up.
fn sleeps_and_wakes(lab: &Lab<'_>, machine: &mut Machine, secrets: &Secrets) -> Result<()> {
    Shell::of(machine).begin("systemctl suspend")?;
    sleep::wait_asleep(machine, Sleep::ToRam)?;
    expect_nothing_secret(lab, machine, secrets)?;
    sleep::wake(machine, Sleep::ToRam)?;
    answer(machine, b"not the pass phrase", WRONG)?;
    answer(machine, PASS_PHRASE.as_bytes(), ACCEPTED)?;
    machine.console.wait_for("suspend exit", PATIENCE)?;
    lab.expect_secret_everywhere(machine)
}

/// Powers off as a person does; no register has anything then.
fn power_off(lab: &Lab<'_>, mut machine: Machine) -> Result<()> {
    machine.freeze_at_end()?;
    Shell::of(&mut machine).begin("poweroff")?;
    machine.console.wait_for("reboot: Power down", BOOT_LIMIT)?;
    machine.wait_frozen()?;
    lab.expect_no_secret(&mut machine)
}
