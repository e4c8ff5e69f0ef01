// SPDX-License-Identifier: GPL-2.0

//! Hibernation: refused to a machine with a key unless it is asked for; then nothing of the key is in the image, and the machine that is
//! restored asks for the pass phrase. A machine that has nothing to do with the driver is not kept from it.

use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use fs_err as fs;
use guest_init::pattern;

use super::super::crash_dump::stock_patterns;
use super::super::hotplug::expect_progress;
use super::super::lab::{Lab, PATIENCE, VOLUME};
use super::machine::expect_quiet;
use super::sleep::{answer, expect_nothing_secret, WRONG_LOGGED};
use super::work::{Work, LOAD};
use crate::console::ACCEPTED;
use crate::enrollment::random;
use crate::guest::Guest;
use crate::keyfind;
use crate::machine::{Config, Machine};
use crate::scan::Scanner;
use crate::secrets::Secrets;
use crate::sleep;
use crate::volume::{disk, Volume, STOCK, TRESOR};

/// What a program writes, and where, to hibernate the machine.
const STATE: &str = "/sys/power/state";
const IMAGE: &[u8] = b"disk";
/// Where it writes the disk of the image, to have one restored from there.
const RESUME: &str = "/sys/power/resume";
/// What the driver logs.
const REFUSED: &str = "hibernation is refused";
const WIPED: &str = "tresor: the key is wiped before sleep";
/// The kernel's last word, after which programs run again.
const EXIT: &str = "hibernation exit";

/// The image is not compressed, so that what is in it can be found.
const ALLOWED: &str = " tresor.hibernation=on hibernate=nocompress";
/// The disk for the image, and its size: more than RAM has.
const SWAP: &str = "/dev/vde";
const SWAP_BYTES: u64 = 320 << 20;
/// How the write of it fails on a volume without a key.
const IO_ERROR: &str = "os error 5";
/// A file in RAM.
const KNOWN: &str = "/tmp/known";
const KNOWN_SEED: u64 = 4711;
const KNOWN_BYTES: u64 = 2 << 20;

/// Who starts to load the image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loader {
    /// The kernel by itself, before it asks for a pass phrase.
    Kernel,
    /// A program, as in the initramfs of a distribution, in a machine that has been given the pass phrase.
    Program,
}

/// A machine with both volumes in use hibernates and is restored, twice. It cannot hibernate to a volume of ours, and goes on.
pub(in super::super) fn cycles(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    sleep::prepare(&mut config);
    config.cmdline.push_str(ALLOWED);
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let stock_key = random::<64>()?;
    let swap = disk::create(&lab.dir.join("swap.img"), SWAP_BYTES)?;
    config.disks.extend([
        disk::create(&lab.dir.join("stock.img"), VOLUME)?,
        disk::create_stick(&lab.dir.join("stock-key.img"), &stock_key)?,
        swap.clone(),
        disk::create(&lab.dir.join("own-swap.img"), SWAP_BYTES)?,
    ]);
    let theirs = Scanner::new(stock_patterns(lab, &stock_key)?);
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let (work, mut progress) = Work::start(&mut guest, handle)?;
    let stock = Volume {
        device: "/dev/vdc",
        key_device: "/dev/vdd",
        name: "stock",
        ..Volume::new(STOCK, 64, 512)
    };
    stock.open(&mut guest)?;
    guest.fill(&stock.mapper(), 1, 1 << 20)?;
    guest.run_ok(&["busybox", "mkswap", SWAP])?;
    guest.run_ok(&["busybox", "swapon", SWAP])?;
    guest.write_file(RESUME, SWAP.as_bytes())?;
    guest.fill(KNOWN, KNOWN_SEED, KNOWN_BYTES)?;

    for loader in [Loader::Kernel, Loader::Program] {
        let dirty = Work::leave_dirty(&mut guest, loader as u64)?;
        hibernate(&mut machine, &mut guest)?;
        expect_nothing_secret(lab, &mut machine, &secrets)?;
        expect_image(&swap, &secrets, &theirs)?;
        drop(machine);

        machine = restore(lab, &config, loader)?;
        // Of the machine that has loaded the image there is nothing, either.
        machine
            .console
            .wait_for("Restarting kernel threads", PATIENCE)?;
        machine.console.wait_prompt(PATIENCE)?;
        expect_nothing_secret(lab, &mut machine, &secrets)?;
        machine.console.type_line(b"not the pass phrase")?;
        machine.console.wait_for(WRONG_LOGGED, PATIENCE)?;
        answer(&mut machine, lab.enrollment.pass_phrase(), ACCEPTED)?;
        machine.console.wait_for(EXIT, PATIENCE)?;
        machine.adopt(&mut guest)?;
        guest.finish_write_file(PATIENCE)?;
        lab.expect_secret_everywhere(&mut machine)?;
        progress = expect_progress(&mut guest, &progress, LOAD)?;
        dirty.expect(&mut guest)?;
        guest.check(KNOWN, KNOWN_SEED, KNOWN_BYTES)?;
    }
    stock.close(&mut guest)?;
    work.end(lab, &mut guest)?;
    cannot_go_to_own_volume(lab, &mut machine, &mut guest)
}

/// Hibernates; the machine is held in its last moment.
fn hibernate(machine: &mut Machine, guest: &mut Guest) -> Result<()> {
    machine.freeze_at_end()?;
    guest.begin_write_file(STATE, IMAGE)?;
    machine
        .console
        .wait_for(WIPED, PATIENCE)
        .context("the machine does not hibernate")?;
    machine.wait_frozen()
}

/// The image holds what was in RAM, the key of the stock volume too, and nothing of ours.
fn expect_image(image: &Path, secrets: &Secrets, theirs: &Scanner) -> Result<()> {
    let mut page = [0; 4096];
    pattern::fill(KNOWN_SEED, 0, &mut page);
    let content = fs::read(image)?;
    ensure!(
        content.chunks(page.len()).any(|found| *found == page),
        "the control failed: a page that was in RAM is not in the image"
    );
    let hits = Scanner::new(secrets.patterns()).scan_file(image)?;
    ensure!(hits.is_empty(), "the image has {hits:?}");
    ensure!(
        !theirs.scan_file(image)?.is_empty(),
        "the control failed: the stock volume's key is not in the image"
    );
    let keys = keyfind::count_keys(image, secrets)?;
    ensure!(
        keys.ours == 0 && keys.all > 0,
        "aeskeyfind in the image: {keys:?}, and not keys of which none is ours"
    );
    Ok(())
}

/// Starts a machine that loads the image.
fn restore(lab: &mut Lab<'_>, config: &Config, loader: Loader) -> Result<Machine> {
    if loader == Loader::Kernel {
        let mut config = config.clone();
        config.cmdline.push_str(&format!(" resume={SWAP}"));
        return lab.start(&config);
    }
    let (machine, mut guest) = lab.start_unlocked(config)?;
    guest.begin_write_file(RESUME, SWAP.as_bytes())?;
    Ok(machine)
}

/// The image cannot be written to a volume of ours, whose key is wiped before: that fails, and the machine asks and goes on.
fn cannot_go_to_own_volume(lab: &Lab<'_>, machine: &mut Machine, guest: &mut Guest) -> Result<()> {
    let volume = Volume {
        device: "/dev/vdf",
        name: "own-swap",
        ..Volume::new(TRESOR, 64, 512)
    };
    volume.open(guest)?;
    guest.run_ok(&["busybox", "swapoff", SWAP])?;
    guest.run_ok(&["busybox", "mkswap", &volume.mapper()])?;
    guest.run_ok(&["busybox", "swapon", &volume.mapper()])?;
    guest.write_file(RESUME, volume.mapper().as_bytes())?;
    expect_quiet(guest)?;
    guest.begin_write_file(STATE, IMAGE)?;
    answer(machine, lab.enrollment.pass_phrase(), ACCEPTED)?;
    machine.console.wait_for(EXIT, PATIENCE)?;
    machine.reconnect(guest)?;
    let Err(error) = guest.finish_write_file(PATIENCE) else {
        bail!("the machine has hibernated to a volume that has no key");
    };
    // Not for another reason, as that the swap is too small.
    ensure!(
        format!("{error:#}").contains(IO_ERROR),
        "the image was not written to a volume of ours, but for another reason: {error:#}"
    );
    lab.expect_secret_everywhere(machine)?;
    guest.run_ok(&["busybox", "swapoff", &volume.mapper()])?;
    guest.fill(&volume.mapper(), KNOWN_SEED, 1 << 20)?;
    guest.check(&volume.mapper(), KNOWN_SEED, 1 << 20)?;
    volume.close(guest)
}

/// Asks for it, and expects to be refused by the driver.
pub(super) fn expect_refused(guest: &mut Guest) -> Result<()> {
    if guest.write_file(STATE, IMAGE).is_ok() {
        bail!("the machine has hibernated and come back");
    }
    ensure!(
        guest.dmesg()?.contains(REFUSED),
        "nobody refused to hibernate a machine with a key"
    );
    Ok(())
}

/// The control: there is no slot, so it is not this driver that says no, but the lack of a place for the image.
pub(in super::super) fn not_refused_without_slot(lab: &mut Lab<'_>) -> Result<()> {
    let config = lab.config_without_slot();
    let mut machine = lab.start(&config)?;
    let mut guest = machine.guest()?;
    guest.begin_write_file(STATE, IMAGE)?;
    machine
        .console
        .wait_for("hibernation: hibernation exit", PATIENCE)?;
    // Devices were suspended for the image.
    machine.reconnect(&mut guest)?;
    if guest.finish_write_file(PATIENCE).is_ok() {
        bail!("the machine has hibernated and come back");
    }
    let log = guest.dmesg()?;
    ensure!(
        !log.contains(REFUSED) && log.contains("PM: Cannot get swap writer"),
        "a machine without a slot must get as far as to look for swap"
    );
    Ok(())
}
