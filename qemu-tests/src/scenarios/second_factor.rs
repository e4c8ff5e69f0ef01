// SPDX-License-Identifier: GPL-2.0

//! The recipe of Documentation/admin-guide/tresor-slots.rst for a second factor: the pass phrase of a slot is what a TPM2 unseals, with
//! what a person types behind it. Neither the driver nor the kernel's part of the slot knows of it.

use anyhow::{ensure, Context as _, Result};
use tresor::reference::{self, Sha256};
use tresor::slot::Slot;

use super::lab::Lab;
use crate::guest::{Ended, Guest};
use crate::machine::{Config, Machine};
use crate::tpm::{self, Tpm};
use crate::watch;

/// What is typed.
const TYPED: &str = "correct horse";
/// The random bytes that the TPM keeps, sealed to a register of it that the firmware measures into.
const SEAL: &str = "\
    busybox head -c 32 /dev/urandom > /tmp/factor
    tpm2 createprimary -Q -C o -c /tmp/primary
    tpm2 createpolicy -Q --policy-pcr -l sha256:7 -L /tmp/policy
    tpm2 create -Q -C /tmp/primary -L /tmp/policy -i /tmp/factor -u /tmp/public -r /tmp/private";
/// What goes to tresorctl, of a primary key that the TPM makes again at each boot.
const PASS_PHRASE: &str = "{
    tpm2 createprimary -Q -C o -c /tmp/primary
    tpm2 load -Q -C /tmp/primary -u /tmp/public -r /tmp/private -c /tmp/sealed
    tpm2 unseal -Q -c /tmp/sealed -p pcr:sha256:7 | busybox base64 -w0
    busybox cat /tmp/typed; }";
/// What has to be kept between boots: all of it public, or useless without this TPM.
const KEPT: [&str; 3] = ["/tmp/public", "/tmp/private", "/tmp/slots"];
const UNLOCK: &str = "tresorctl unlock --slot-file /tmp/slots --pass-phrase-file -";

pub(super) fn tpm2(lab: &mut Lab<'_>) -> Result<()> {
    let (tpm, mut machine, mut guest) = start(lab)?;
    lab.expect_no_secret(&mut machine)?;
    ok(&mut guest, SEAL)?;
    let new = "tresorctl slot new --slot-file /tmp/slots --iterations 2000 --pass-phrase-file -";
    let raw = shell(&mut guest, &format!("busybox cat /tmp/factor | {new}"))?;
    ensure!(
        raw.status == 1 && raw.stderr.contains("one line of text"),
        "raw bytes were not refused: {raw:?}"
    );
    ok(&mut guest, &format!("{PASS_PHRASE} | {new}"))?;
    let factor = guest.run_ok(&["busybox", "base64", "-w0", "/tmp/factor"])?;
    let kept = KEPT.map(|path| guest.read_file(path));
    drop((guest, machine, tpm));

    let (_tpm, mut machine, mut guest) = start(lab)?;
    let mut slots = String::new();
    for (path, content) in KEPT.iter().zip(kept) {
        let content = content?;
        guest.write_file(path, &content)?;
        slots = String::from_utf8_lossy(&content).into_owned();
    }
    ends_with(&mut guest, &format!("busybox cat /tmp/typed | {UNLOCK}"), 2)?;
    guest.write_file("/tmp/typed", b"incorrect horse")?;
    ends_with(&mut guest, &format!("{PASS_PHRASE} | {UNLOCK}"), 2)?;
    guest.write_file("/tmp/typed", TYPED.as_bytes())?;
    ends_with(&mut guest, &format!("{PASS_PHRASE} | {UNLOCK}"), 0)?;
    let line = slots.lines().find(|line| line.starts_with("1:"));
    let slot = Slot::parse::<Sha256>(line.context("no slot in the file")?.as_bytes())?;
    let phrase = factor + TYPED;
    let s = reference::unlock(&slot, phrase.as_bytes())?;
    let registers = watch::registers(&mut machine, &s)?;
    ensure!(
        registers.iter().all(watch::holds),
        "not every CPU has the secret of both factors: {registers:?}"
    );
    // As if other firmware had been started: the TPM gives nothing any more.
    ok(&mut guest, "tresorctl lock")?;
    let digest = "00".repeat(31) + "01";
    ok(&mut guest, &format!("tpm2 pcrextend 7:sha256={digest}"))?;
    ends_with(&mut guest, &format!("{PASS_PHRASE} | {UNLOCK}"), 2)
}

/// A machine with this lab's TPM and no slot on its command line.
fn start(lab: &mut Lab<'_>) -> Result<(Tpm, Machine, Guest)> {
    let programs = lab.context.tpm.as_ref().context("there is no swtpm")?;
    let tpm = Tpm::start(programs, &lab.dir.join("tpm"))?;
    let initramfs = tpm::add_tool_to(&lab.context.initramfs, programs, &lab.dir)?;
    let config = Config {
        initramfs,
        tpm: Some(tpm.socket()),
        ..lab.config_without_slot()
    };
    let mut machine = lab.start(&config)?;
    let mut guest = machine.guest()?;
    guest.write_file("/tmp/typed", TYPED.as_bytes())?;
    Ok((tpm, machine, guest))
}

fn shell(guest: &mut Guest, command: &str) -> Result<Ended> {
    guest.run(&["busybox", "sh", "-c", command])
}

fn ok(guest: &mut Guest, command: &str) -> Result<()> {
    let command = format!("set -e\n{command}");
    guest.run_ok(&["busybox", "sh", "-c", &command]).map(drop)
}

fn ends_with(guest: &mut Guest, command: &str, status: i32) -> Result<()> {
    let ended = shell(guest, command)?;
    ensure!(
        ended.status == status,
        "`{command}` did not end with {status}: {ended:?}"
    );
    Ok(())
}
