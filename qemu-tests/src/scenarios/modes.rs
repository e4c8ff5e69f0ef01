// SPDX-License-Identifier: GPL-2.0

//! CBC volumes, with and without ESSIV, of each key size: the ciphertext against the oracle, and what the engine of one CPU class wrote
//! read by that of the other.

use std::ops::Range;

use anyhow::{bail, ensure, Context, Result};
use tresor::class::Class;

use super::engines::faster_than;
use super::lab::{excerpt, Lab};
use crate::enrollment::{random, Enrollment};
use crate::guest::Guest;
use crate::volume::disk::{self, BlockMode};
use crate::volume::{Volume, TRESOR_CBC, TRESOR_ESSIV};

/// Bytes of each volume: little, as a CPU without AES-NI, emulated, is slow.
const PART: u64 = 512 << 10;

/// One volume on a part of the disk.
struct Part {
    volume: Volume,
    /// Its bytes on the disk.
    range: Range<u64>,
    mode: BlockMode,
    /// What another mode would write; the comparison must notice.
    wrong: BlockMode,
}

/// A volume for each cipher and key size; both sector sizes with each cipher.
fn parts(enrollment: &Enrollment, handle: &[u8]) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for (cipher, key_bytes, sector_size) in [
        (TRESOR_ESSIV, 16, 512),
        (TRESOR_ESSIV, 24, 4096),
        (TRESOR_ESSIV, 32, 512),
        (TRESOR_CBC, 16, 4096),
        (TRESOR_CBC, 24, 512),
        (TRESOR_CBC, 32, 4096),
    ] {
        let start = parts.len() as u64 * PART;
        let range = start..start + PART;
        let volume = Volume {
            part: Some(range.clone()),
            ..Volume::new(cipher, key_bytes, sector_size)
        };
        let key = &handle[..key_bytes];
        let (mode, wrong) = (
            BlockMode::Cbc(enrollment.aes_key(key)?),
            BlockMode::EssivCbc(enrollment.aes_key(key)?, enrollment.essiv_key(key)),
        );
        let (mode, wrong) = if cipher == TRESOR_ESSIV {
            (wrong, mode)
        } else {
            (mode, wrong)
        };
        parts.push(Part {
            volume,
            range,
            mode,
            wrong,
        });
    }
    Ok(parts)
}

pub(super) fn cbc_of_each_class(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    let cmdline = config.cmdline.clone();
    let handle = random::<32>()?;
    let parts = parts(&lab.enrollment, &handle)?;
    config.disks = vec![
        disk::create(&lab.volume_image(), parts.len() as u64 * PART)?,
        disk::create_stick(&lab.dir.join("stick.img"), &handle)?,
    ];

    // Once around, so that the first one reads, too.
    for (turn, class) in (0..).zip([Class::Aesni, Class::Ssse3, Class::Aesni]) {
        config.cmdline = format!("{cmdline} tresor.disable={}", faster_than(class));
        let (machine, mut guest) = lab.start_unlocked(&config)?;
        let log = guest.dmesg()?;
        let engine = format!("tresor: engine of ecb, cbc and ctr: {}", class.name());
        ensure!(
            log.lines().any(|line| line.ends_with(&engine)),
            "the log does not say `{engine}`:\n{}",
            excerpt(&log)
        );
        for part in &parts {
            read_and_write(part, &mut guest, turn)
                .with_context(|| format!("{} by {}", part.volume.cipher, class.name()))?;
        }
        drop(machine);
        for part in &parts {
            expect_ciphertext(lab, part, turn)
                .with_context(|| format!("{} by {}", part.volume.cipher, class.name()))?;
        }
    }
    Ok(())
}

/// Reads what the last turn wrote, and writes this one's content.
fn read_and_write(part: &Part, guest: &mut Guest, turn: u64) -> Result<()> {
    let Part { volume, .. } = part;
    volume.open(guest)?;
    let table = guest.run_ok(&["dmsetup", "table", volume.name])?;
    ensure!(
        table.contains(volume.cipher),
        "device mapper shows another cipher: {table}"
    );
    if turn > 0 {
        guest
            .check(&volume.mapper(), turn - 1, PART)
            .context("reading what the other class wrote")?;
    }
    guest.fill(&volume.mapper(), turn, PART)?;
    guest.check(&volume.mapper(), turn, PART)?;
    volume.close(guest)
}

fn expect_ciphertext(lab: &Lab<'_>, part: &Part, turn: u64) -> Result<()> {
    let image = lab.volume_image();
    let compare = |mode: &BlockMode| {
        disk::expect_ciphertext_of(
            mode,
            &image,
            part.range.clone(),
            part.volume.sector_size,
            turn,
        )
    };
    let units = compare(&part.mode)?;
    ensure!(
        units == PART / u64::from(part.volume.sector_size),
        "only {units} sectors were compared"
    );
    if compare(&part.wrong).is_ok() {
        bail!("the comparison does not tell CBC with ESSIV from CBC without");
    }
    Ok(())
}

/// A LUKS2 volume of CBC with ESSIV: stock cryptsetup makes and opens it like any other.
pub(super) fn luks(lab: &mut Lab<'_>) -> Result<()> {
    const CIPHER: [&str; 4] = ["--cipher", TRESOR_ESSIV, "--key-size", "256"];
    const KDF: [&str; 4] = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
    const KEY_FILE: [&str; 4] = ["--key-file", "/dev/vdb", "--keyfile-size", "32"];
    const CONTENT: u64 = 1 << 20;
    let mut config = lab.config();
    lab.add_disks(&mut config, 32)?;
    let (_machine, mut guest) = lab.start_unlocked(&config)?;
    let format = [
        &["cryptsetup", "luksFormat", "--type", "luks2", "-q"],
        &CIPHER[..],
        &KDF,
        &KEY_FILE,
        &["/dev/vda"],
    ]
    .concat();
    guest.run_ok(&format)?;
    let open = [
        &["cryptsetup", "open"][..],
        &KEY_FILE,
        &["/dev/vda", "vault"],
    ]
    .concat();
    guest.run_ok(&open)?;
    let table = guest.run_ok(&["dmsetup", "table", "vault"])?;
    ensure!(table.contains(TRESOR_ESSIV), "another cipher: {table}");
    guest.fill("/dev/mapper/vault", 3, CONTENT)?;
    guest.run_ok(&["cryptsetup", "close", "vault"])?;
    guest.run_ok(&open)?;
    guest.check("/dev/mapper/vault", 3, CONTENT)?;
    guest.run_ok(&["cryptsetup", "close", "vault"]).map(drop)
}

/// The crypto API's ESSIV template must not come to be on top of our CBC: it would need a single-block cipher, which could only fail by
/// giving wrong IVs. The names of drivers ask for the template; over the kernel's AES it works.
pub(super) fn no_essiv_template(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    lab.add_disks(&mut config, 32)?;
    let (_machine, mut guest) = lab.start_unlocked(&config)?;
    let stock = Volume::new("capi:essiv(cbc-aes-aesni,sha256-lib)-plain64", 32, 512);
    stock
        .open(&mut guest)
        .context("the control: the template over the kernel's own AES")?;
    stock.close(&mut guest)?;
    let ours = Volume::new("capi:essiv(cbc-tresor,sha256-lib)-plain64", 32, 512);
    ensure!(
        ours.open(&mut guest).is_err(),
        "dm-crypt took ESSIV's template over our CBC"
    );
    let log = guest.dmesg()?;
    ensure!(
        log.contains("Unsupported essiv instantiation: essiv(cbc(tresor),sha256)"),
        "it was refused for another reason:\n{}",
        excerpt(&log)
    );
    let ours = Volume::new("capi:essiv(cbc(tresor),sha256)-plain64", 32, 512);
    ours.open(&mut guest)
        .context("the algorithm that is registered")?;
    ours.close(&mut guest)
}
