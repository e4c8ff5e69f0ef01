// SPDX-License-Identifier: GPL-2.0

//! Wrapped handles: LUKS2 by stock cryptsetup with a fresh key that no RAM has ever seen, keys of stock volumes, and what is refused.

mod device;
mod msr;
mod watched;

use std::path::Path;

use ::amnesia::reference;
use ::amnesia::wrapped::{Kind, Wrapped, SIZE};
use anyhow::{ensure, Context, Result};
use fs_err as fs;
use rustix::io::Errno;
use tresor::reference::Sha256;
use tresor::uapi::{self, wrap::fresh_question};

use super::lab::{Lab, VOLUME};
use super::lifecycle::machine::{expect_quiet, lock, unlock_with, Typed};
use crate::enrollment::random;
use crate::guest::Guest;
use crate::volume::{disk, Files, Volume, AMNESIA, PAES, STOCK};
use crate::watch::Sight;

use device::{calls, expect_errno, fresh, status, wrap};

pub(super) use device::unwrap;

pub(super) use msr::{
    msr_ends, msr_guards, msr_home, msr_refused, msr_sleep, msr_storm, msr_watched,
};
pub(super) use watched::watched;

/// Where the data of the LUKS volume begins.
const DATA_AT: u64 = 16 << 20;
/// Bytes of test content.
const CONTENT: u64 = 1 << 20;
const FILES: Files = Files {
    count: 4,
    seed: 5200,
};
/// Where the guest has the handle.
const HANDLE: &str = "/tmp/handle";

/// A LUKS2 volume of a fresh key, with commands that stock cryptsetup has: used, locked and unlocked, and opened again.
pub(super) fn luks(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    lab.add_disks(&mut config, 64)?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    let handle = fresh(&mut guest, Kind::XtsAes256)?;
    let key = unwrap(lab, &handle)?;
    let mut secrets = lab.enrollment.secrets_and(std::slice::from_ref(&key))?;
    // Instead of the slot's, for which other scenarios look.
    secrets.m = reference::mac_key(lab.enrollment.s());
    Sight::of(&mut machine, &secrets)?.expect_nothing_in_ram()?;

    guest.write_file(HANDLE, &handle)?;
    guest.write_file("/tmp/luks-pass", b"a LUKS pass phrase")?;
    luks_format(&mut guest, PAES)?;
    open(&mut guest)?;
    let table = guest.run_ok(&["dmsetup", "table", "vault"])?;
    ensure!(table.contains("paes-xts-plain64 :128:"), "{table}");
    let driver = guest.read_text("/proc/crypto")?;
    ensure!(
        driver.contains("xts-paes-amnesia"),
        "the cipher is another driver's:\n{driver}"
    );
    let volume = Volume::new(PAES, SIZE, 512);
    guest.fill(&volume.mapper(), 7, CONTENT)?;
    lock(&mut guest)?;
    ensure!(
        open_as(&mut guest, "second").is_err(),
        "a locked machine took a handle"
    );
    expect_errno(&mut guest, &handle, Some(Errno::NOKEY))?;
    let typed = Typed::begin(&mut machine, &mut guest)?;
    typed.answer(&mut machine, lab.enrollment.pass_phrase())?;
    typed.expect_exit(&mut guest, "0")?;
    guest.check(&volume.mapper(), 7, CONTENT)?;
    volume.close(&mut guest)?;
    expect_content(lab, &key, 7)?;

    open(&mut guest)?;
    volume.make_fs(&mut guest)?;
    volume.mount(&mut guest)?;
    FILES.write(&mut guest)?;
    FILES.expect(&mut guest)?;
    Sight::of(&mut machine, &secrets)?.expect_nothing_in_ram()?;
    volume.unmount(&mut guest)?;
    volume.close(&mut guest)?;
    Sight::of(&mut machine, &secrets)?.expect_nothing_in_ram()?;
    expect_quiet(&mut guest)?;
    drop(machine);
    let data = data_of(lab)?;
    disk::expect_files(&data, &key, 512, &FILES, &lab.dir)
}

/// Keys that were in RAM before, in XTS and CBC: what stock ciphers wrote is read, and the other way round. Handles that must be refused.
pub(super) fn wrapped_keys(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config_without_slot();
    lab.add_disks(&mut config, 64)?;
    let mut machine = lab.start(&config)?;
    let mut guest = machine.guest()?;
    lab.expect_no_secret(&mut machine)?;
    for (number, question) in calls(&random()?)? {
        let (errno, _) = guest.call_device(number, &question)?;
        ensure!(
            errno == Errno::NOKEY.raw_os_error(),
            "call {number:#x} without S ended with error {errno}"
        );
    }
    ensure!(status(&mut guest)?.secret_id == [0; 8], "an id of no S");
    unlock(lab, &mut guest)?;
    ensure!(
        status(&mut guest)?.secret_id == reference::id_of(lab.enrollment.s()),
        "another id of S"
    );

    for (kind, stock, ours) in [
        (Kind::XtsAes128, STOCK, AMNESIA),
        (Kind::XtsAes256, STOCK, PAES),
        (Kind::Aes256, "aes-cbc-plain64", "amnesia-cbc-plain64"),
        (Kind::Aes192, "aes-cbc-plain64", "paes-cbc-plain64"),
    ] {
        let key = random::<64>()?[..kind.key_len()].to_vec();
        let handle = wrap(&mut guest, kind, &key)?;
        ensure!(unwrap(lab, &handle)?[..] == key, "{kind}: another key");
        reads_what_the_other_wrote(&mut guest, (stock, &key), (ours, &handle))
            .with_context(|| kind.to_string())?;
    }
    refusals(lab, &mut guest)?;
    expect_quiet(&mut guest)
}

/// Two names for the same key: what is written by one is read by the other, both ways.
fn reads_what_the_other_wrote(
    guest: &mut Guest,
    stock: (&str, &[u8]),
    ours: (&str, &[u8]),
) -> Result<()> {
    for (seed, writer, reader) in [(11, stock, ours), (12, ours, stock)] {
        create(guest, writer)?;
        guest.fill("/dev/mapper/plain", seed, CONTENT)?;
        guest.run_ok(&["dmsetup", "remove", "plain"])?;
        create(guest, reader)?;
        guest.check("/dev/mapper/plain", seed, CONTENT)?;
        guest.run_ok(&["dmsetup", "remove", "plain"])?;
    }
    Ok(())
}

/// Handles and lengths that setkey and the device refuse, and a good one, without which that would show nothing.
fn refusals(lab: &Lab<'_>, guest: &mut Guest) -> Result<()> {
    let s = lab.enrollment.s();
    let good = reference::fresh(s, Kind::XtsAes256, random()?, &random()?);
    let other_s = reference::fresh(&random()?, Kind::XtsAes256, random()?, &random()?);
    let mut forged_mac = *good.mac();
    forged_mac[15] ^= 1;
    // Of another S, but with the id of this one: only its MAC can tell.
    let posing = Wrapped::new(
        Kind::XtsAes256,
        *good.id(),
        other_s.handle().iv,
        &other_s.handle().mask,
        *other_s.mac(),
    );
    let bytes = |wrapped: Wrapped| wrapped.encode::<Sha256>();
    let mut damaged = bytes(good);
    damaged[40] ^= 1;
    let mut later_version = bytes(good);
    later_version[3] = b'2';
    for (what, handle, expected) in [
        ("good", bytes(good), None),
        ("damaged", damaged, Some(Errno::INVAL)),
        ("of a later version", later_version, Some(Errno::INVAL)),
        ("of another S", bytes(other_s), Some(Errno::KEYREJECTED)),
        ("of a posing S", bytes(posing), Some(Errno::KEYREJECTED)),
        (
            "forged",
            bytes(good.with_mac(forged_mac)),
            Some(Errno::KEYREJECTED),
        ),
    ] {
        expect_errno(guest, &handle, expected).context(what)?;
        for cipher in [AMNESIA, PAES] {
            expect_dm(guest, (cipher, &handle), expected).context(what)?;
        }
    }
    let cbc = bytes(reference::fresh(s, Kind::Aes256, random()?, &random()?));
    expect_dm(guest, (AMNESIA, &cbc), Some(Errno::INVAL)).context("for another mode")?;
    expect_dm(guest, ("amnesia-cbc-plain64", &cbc), None).context("for this mode")?;
    for len in [32, 64, 127] {
        expect_dm(guest, (AMNESIA, &bytes(good)[..len]), Some(Errno::INVAL))
            .with_context(|| format!("{len} bytes"))?;
    }
    let (errno, _) = guest.call_device(uapi::WRAP_FRESH, &fresh_question(6))?;
    ensure!(
        errno == Errno::INVAL.raw_os_error(),
        "an unknown kind: error {errno}"
    );
    Ok(())
}

/// What dm-crypt says to a cipher and its key.
fn expect_dm(guest: &mut Guest, volume: (&str, &[u8]), expected: Option<Errno>) -> Result<()> {
    let result = create(guest, volume);
    match (result, expected) {
        (Ok(()), None) => guest.run_ok(&["dmsetup", "remove", "plain"]).map(drop),
        (Err(error), Some(expected)) => {
            let text = std::io::Error::from(expected).to_string();
            let (text, _) = text.split_once(" (os").unwrap_or((&text, ""));
            ensure!(
                error.to_string().contains(text),
                "refused, but not with `{text}`: {error:#}"
            );
            Ok(())
        }
        (Err(error), None) => Err(error),
        (Ok(()), Some(_)) => anyhow::bail!("dm-crypt took the key"),
    }
}

/// A plain dm-crypt device over the first disk.
fn create(guest: &mut Guest, (cipher, key): (&str, &[u8])) -> Result<()> {
    let sectors = VOLUME / 512;
    let key = hex::encode(key);
    let table = format!("0 {sectors} crypt {cipher} {key} 0 /dev/vda 0");
    guest
        .run_ok(&["dmsetup", "create", "plain", "--table", &table])
        .map(drop)
}

fn luks_format(guest: &mut Guest, cipher: &str) -> Result<()> {
    let sector = (DATA_AT / 512).to_string();
    let format = [
        &["cryptsetup", "luksFormat", "--type", "luks2"][..],
        &["--cipher", cipher, "--volume-key-file", HANDLE],
        &["--key-size", "1024", "--sector-size", "512"],
        &["--offset", &sector, "--batch-mode"],
        &["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"],
        &["--key-file", "/tmp/luks-pass", "/dev/vda"],
    ]
    .concat();
    guest.run_ok(&format).map(drop)
}

fn open(guest: &mut Guest) -> Result<()> {
    open_as(guest, "vault")
}

fn open_as(guest: &mut Guest, name: &str) -> Result<()> {
    let open = ["cryptsetup", "open", "--key-file", "/tmp/luks-pass"];
    guest
        .run_ok(&[&open[..], &["/dev/vda", name]].concat())
        .map(drop)
}

fn unlock(lab: &Lab<'_>, guest: &mut Guest) -> Result<()> {
    let slot = lab.enrollment.slot_text();
    let options = ["--slot", slot.as_str()];
    unlock_with(guest, &options, lab.enrollment.pass_phrase(), "0")?;
    guest
        .run_ok(&["busybox", "rm", "/tmp/pass-phrase"])
        .map(drop)
}

/// The LUKS volume's data, as a file of its own.
fn data_of(lab: &Lab<'_>) -> Result<std::path::PathBuf> {
    let part = lab.dir.join("data.img");
    let whole = fs::read(lab.volume_image())?;
    let data = whole.get(DATA_AT as usize..).context("a short disk")?;
    fs::write(&part, data)?;
    Ok(part)
}

/// The data begins with the ciphertext that the oracle makes of test content with stock XTS.
fn expect_content(lab: &Lab<'_>, key: &[u8], seed: u64) -> Result<()> {
    let data: &Path = &data_of(lab)?;
    disk::expect_start(data, key, 512, seed, CONTENT).map(drop)
}
