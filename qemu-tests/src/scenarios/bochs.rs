// SPDX-License-Identifier: GPL-2.0

//! The engines that QEMU cannot run, and the homes of S that it does not have, in the real kernel in Bochs: the prompt, S, a dm-crypt
//! volume, its ciphertext against the oracle.

mod counters;

use std::time::Duration;

use anyhow::{ensure, Context as _, Result};
use fs_err as fs;
use tresor::class::Class;

use super::cpu_features;
use super::engines::faster_than;
use super::lab::{excerpt, Lab};
use crate::bochs::msrs::Msr;
use crate::bochs::Bochs;
use crate::console::{ACCEPTED, WRONG};
use crate::enrollment::random;
use crate::guest::Guest;
use crate::machine::Config;
use crate::volume::{disk, Volume, TRESOR};

/// A CPU with everything that the engines want.
const CPU_MODEL: &str = "tigerlake";
/// To the prompt, on a busy host.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of the volume: all goes through a serial line.
const VOLUME: u64 = 32 << 10;
/// The volume's file in the guest, its loop device and its handle.
const FILE: &str = "/tmp/volume";
const DEVICE: &str = "/dev/loop0";
const HANDLE: &str = "/tmp/handle";

pub(super) use counters::{intel, too_narrow};

pub(super) fn avx512(lab: &mut Lab<'_>) -> Result<()> {
    volume_of(lab, Class::Avx512)
}

pub(super) fn avx512vl(lab: &mut Lab<'_>) -> Result<()> {
    volume_of(lab, Class::Avx512vl)
}

pub(super) fn vaes(lab: &mut Lab<'_>) -> Result<()> {
    volume_of(lab, Class::Vaes)
}

fn volume_of(lab: &mut Lab<'_>, class: Class) -> Result<()> {
    let config = lab.config();
    let config = Config {
        cpu_model: CPU_MODEL.into(),
        cmdline: format!("{} tresor.disable={}", config.cmdline, faster_than(class)),
        ..config
    };
    let (_machine, mut guest) = unlocked(lab, &config, &[])?;
    expect_engine(&guest.dmesg()?, class)?;
    volumes(lab, &mut guest)
}

/// A machine whose prompt has been answered.
fn unlocked(lab: &Lab<'_>, config: &Config, msrs: &[Msr]) -> Result<(Bochs, Guest)> {
    let mut machine = start(lab, config, msrs)?;
    machine
        .console
        .answer_prompt(lab.enrollment.pass_phrase(), PATIENCE)?;
    let (which, _) = machine.console.wait_for_any(&[ACCEPTED, WRONG], PATIENCE)?;
    ensure!(which == 0, "the right pass phrase was called wrong");
    let guest = machine.guest()?;
    Ok((machine, guest))
}

fn start(lab: &Lab<'_>, config: &Config, msrs: &[Msr]) -> Result<Bochs> {
    let programs = lab.context.bochs.as_ref().context("Bochs is not there")?;
    Bochs::start(programs, config, msrs, &lab.dir)
}

fn expect_engine(log: &str, class: Class) -> Result<()> {
    let engine = format!("tresor: engine: {}", class.name());
    ensure!(
        log.lines().any(|line| line.ends_with(&engine)),
        "the log does not say `{engine}`:\n{}",
        excerpt(log)
    );
    Ok(())
}

/// Volumes with both sizes of sectors, whose ciphertext only the right S makes.
fn volumes(lab: &Lab<'_>, guest: &mut Guest) -> Result<()> {
    let handle = random::<64>()?;
    let key = lab.enrollment.volume_key(&handle)?;
    guest.write_file(HANDLE, &handle)?;
    for (seed, sector_size) in [(1, 512), (2, 4096)] {
        guest.run_ok(&["busybox", "truncate", "-s", &VOLUME.to_string(), FILE])?;
        guest.run_ok(&["busybox", "losetup", DEVICE, FILE])?;
        let volume = Volume {
            device: DEVICE,
            key_device: HANDLE,
            ..Volume::new(TRESOR, 64, sector_size)
        };
        volume.open(guest)?;
        guest.fill(&volume.mapper(), seed, VOLUME)?;
        guest.check(&volume.mapper(), seed, VOLUME)?;
        volume.close(guest)?;
        guest.run_ok(&["busybox", "losetup", "-d", DEVICE])?;
        let image = lab.dir.join("ciphertext.img");
        fs::write(&image, guest.read_file(FILE)?)?;
        let units = disk::expect_ciphertext(&image, &key, sector_size, seed)?;
        ensure!(
            units == VOLUME / u64::from(sector_size),
            "only {units} data units were compared"
        );
    }
    cpu_features::expect_self_tests_passed(&guest.read_text("/proc/crypto")?)
}
