// SPDX-License-Identifier: GPL-2.0

//! CPUs with and without the instructions that the driver would like, and the kernel's own tests of its cipher.

use anyhow::{ensure, Context, Result};
use tresor::class::Class;

use super::lab::{excerpt, Lab, VOLUME};
use crate::console::PROMPT;
use crate::volume::{disk, Volume, TRESOR};

/// The driver's ciphers: their names, the names of the drivers, and the shortest and longest key in bytes.
const CIPHERS: [(&str, &str, &str, &str); 9] = [
    ("xts(tresor)", "xts-tresor", "32", "64"),
    ("ecb(tresor)", "ecb-tresor", "16", "32"),
    ("cbc(tresor)", "cbc-tresor", "16", "32"),
    (
        "essiv(cbc(tresor),sha256)",
        "essiv-cbc-tresor-sha256",
        "16",
        "32",
    ),
    ("ctr(tresor)", "ctr-tresor", "16", "32"),
    ("xts(amnesia)", "xts-amnesia", "128", "128"),
    ("xts(paes)", "xts-paes-amnesia", "128", "128"),
    ("cbc(amnesia)", "cbc-amnesia", "128", "128"),
    ("cbc(paes)", "cbc-paes-amnesia", "128", "128"),
];

/// A driver's paragraph in /proc/crypto.
fn paragraph<'a>(crypto: &'a str, driver: &str) -> Option<&'a str> {
    crypto.split("\n\n").find(|paragraph| {
        paragraph
            .lines()
            .any(|line| value(line, "driver") == Some(driver))
    })
}

/// Fails unless the kernel has tested each cipher and found it right.
pub(super) fn expect_self_tests_passed(crypto: &str) -> Result<()> {
    for (name, driver, min, max) in CIPHERS {
        let paragraph = paragraph(crypto, driver)
            .with_context(|| format!("/proc/crypto lacks {driver}:\n{crypto}"))?;
        let of = |key| paragraph.lines().find_map(|line| value(line, key));
        ensure!(
            of("name") == Some(name) && of("selftest") == Some("passed"),
            "the kernel's self test of {name} did not pass:\n{paragraph}"
        );
        ensure!(
            of("min keysize") == Some(min) && of("max keysize") == Some(max),
            "wrong key sizes:\n{paragraph}"
        );
    }
    Ok(())
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (name, value) = line.split_once(':')?;
    (name.trim() == key).then(|| value.trim())
}

pub(super) fn self_tests_passed(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    lab.add_disks(&mut config, 64)?;
    let (_machine, mut guest) = lab.start_unlocked(&config)?;
    // A first user, so that the algorithm has been instantiated and tested.
    Volume::new(TRESOR, 64, 512).open(&mut guest)?;
    let crypto = guest.read_text("/proc/crypto")?;
    expect_self_tests_passed(&crypto)?;
    let log = guest.dmesg()?;
    for bad in ["self-tests for", "failed", "WARNING:", "BUG:"] {
        let line = log
            .lines()
            .find(|line| line.contains(bad) && (line.contains("tresor") || bad.ends_with(':')));
        ensure!(line.is_none(), "the kernel's log has a complaint: {line:?}");
    }
    ensure!(
        !log.contains("alg: No test for"),
        "the kernel has no self test for a cipher it registered:\n{}",
        excerpt(&log)
    );
    Ok(())
}

pub(super) fn without_sha_ni(lab: &mut Lab<'_>) -> Result<()> {
    // The same slot and pass phrase on both: each must come to the S that the harness computed.
    for (cpu_model, has_sha_ni) in [("max", true), ("max,-sha-ni", false)] {
        let mut config = lab.config();
        config.cpu_model = cpu_model.into();
        let (_machine, mut guest) = lab.start_unlocked(&config)?;
        let cpuinfo = guest.read_text("/proc/cpuinfo")?;
        ensure!(
            cpuinfo.split_whitespace().any(|flag| flag == "sha_ni") == has_sha_ni,
            "QEMU's {cpu_model} does not have the flags this test needs"
        );
    }
    Ok(())
}

pub(super) fn without_aes_ni(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    config.cpu_model = "max,-aes".into();
    let handle = lab.add_disks(&mut config, 64)?;
    let key = lab.enrollment.volume_key(&handle)?;
    let (machine, mut guest) = lab.start_unlocked(&config)?;
    let log = guest.dmesg()?;
    let engine = format!("tresor: engine: {}", Class::Ssse3.name());
    ensure!(
        log.lines().any(|line| line.ends_with(&engine)),
        "the log does not say `{engine}`:\n{}",
        excerpt(&log)
    );
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;
    let crypto = guest.read_text("/proc/crypto")?;
    expect_self_tests_passed(&crypto).context("without AES-NI")?;
    guest.fill(&volume.mapper(), 1, VOLUME)?;
    volume.close(&mut guest)?;
    volume.open(&mut guest)?;
    guest.check(&volume.mapper(), 1, VOLUME)?;
    volume.close(&mut guest)?;
    drop(machine);
    disk::expect_ciphertext(&lab.volume_image(), &key, 512, 1)?;
    Ok(())
}

pub(super) fn without_ssse3(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    // "max,-ssse3" would be a CPU that does not exist, and the kernel's own SHA-256 faults on it.
    config.cpu_model = "qemu64".into();
    lab.add_disks(&mut config, 64)?;
    let mut machine = lab.start(&config)?;
    let mut guest = machine.guest()?;
    let log = guest.dmesg()?;
    ensure!(
        log.lines()
            .any(|line| line
                .ends_with("tresor: this CPU has no SSSE3: xts(tresor) is not available")),
        "the driver does not say that it needs SSSE3:\n{}",
        excerpt(&log)
    );
    ensure!(
        !machine.console.text().contains(PROMPT),
        "a pass phrase was asked for that nothing can use"
    );
    let crypto = guest.read_text("/proc/crypto")?;
    ensure!(
        CIPHERS
            .iter()
            .all(|(_, driver, ..)| paragraph(&crypto, driver).is_none()),
        "the driver registered without SSSE3:\n{crypto}"
    );
    ensure!(
        Volume::new(TRESOR, 64, 512).open(&mut guest).is_err(),
        "a volume of our cipher opened without the driver"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paragraph_is_found_by_its_driver_name() {
        let crypto = "name         : xts(aes)\ndriver       : xts-aes-aesni\n\n\
                      name         : xts(tresor)\ndriver       : xts-tresor\nselftest     : passed\n\n";
        let found = paragraph(crypto, "xts-tresor").expect("paragraph");
        assert!(found.starts_with("name         : xts(tresor)"));
        assert!(paragraph("driver : xts-aes-aesni\n", "xts-tresor").is_none());
    }
}
