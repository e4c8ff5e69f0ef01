// SPDX-License-Identifier: GPL-2.0

//! Disk images on the host, and what the oracle says about the ciphertext in them.
//!
//! dm-crypt numbers data units for `plain64` in units of 512 bytes, for 4096-byte sectors too (that is what `--iv-large-sectors` changes).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{anyhow, bail, ensure, Context, Result};
use fs_err as fs;
use guest_init::pattern;
use tresor::reference;

use super::Files;
use crate::initramfs::find_program;
use crate::report::Checked;

/// Makes an empty (sparse) disk image.
pub fn create(path: &Path, bytes: u64) -> Result<PathBuf> {
    fs::File::create(path)?.set_len(bytes)?;
    Ok(path.into())
}

/// Makes the image of a stick that holds a key or handle and nothing else.
pub fn create_stick(path: &Path, key: &[u8]) -> Result<PathBuf> {
    let mut file = fs::File::create(path)?;
    file.write_all(key)?;
    file.set_len(1 << 20)?;
    Ok(path.into())
}

/// Decrypts a whole image with `K1 || K2`.
pub fn decrypt(image: &Path, key: &[u8], sector_size: u32) -> Result<Vec<u8>> {
    let mut data = fs::read(image)?;
    each_unit(&mut data, sector_size, |tweak, unit| {
        reference::decrypt(key, tweak, unit)
    })?;
    Ok(data)
}

/// Fails unless an image that was filled with test content from its first to its last byte holds exactly the ciphertext that the oracle
/// computes. Returns the number of data units compared.
pub fn expect_ciphertext(image: &Path, key: &[u8], sector_size: u32, seed: u64) -> Result<u64> {
    let on_disk = fs::read(image)?;
    let mut expected = vec![0; on_disk.len()];
    pattern::fill(seed, 0, &mut expected);
    each_unit(&mut expected, sector_size, |tweak, unit| {
        reference::encrypt(key, tweak, unit)
    })?;
    if let Some(at) = on_disk.iter().zip(&expected).position(|(a, b)| a != b) {
        bail!(
            "the ciphertext on {} differs from the oracle's, first at byte {at}",
            image.display()
        );
    }
    Ok(on_disk.len() as u64 / u64::from(sector_size))
}

/// Decrypts the image by the oracle, takes the files from the ext4 in it and compares their data units with what was written. Fails if
/// there is no clean ext4 with these files. `dir` takes the intermediate files.
pub fn check_files(
    image: &Path,
    key: &[u8],
    sector_size: u32,
    files: &Files,
    dir: &Path,
) -> Result<Checked> {
    let plain = dir.join("decrypted-by-oracle.img");
    fs::write(&plain, decrypt(image, key, sector_size)?)?;
    run(Command::new(find_program("e2fsck")?).arg("-fn").arg(&plain))
        .context("the volume, decrypted by the oracle, is no clean ext4")?;
    let mut units = Checked { right: 0, all: 0 };
    for (name, seed, len) in files.list() {
        let copy = dir.join("copy.img");
        let request = format!("dump /{name} {}", copy.display());
        run(Command::new(find_program("debugfs")?)
            .arg("-R")
            .arg(request)
            .arg(&plain))?;
        let content = fs::read(&copy).with_context(|| format!("{name} is not on the volume"))?;
        fs::remove_file(&copy)?;
        let mut written = vec![0; len as usize];
        pattern::fill(seed, 0, &mut written);
        let unit = sector_size as usize;
        units.all += written.chunks(unit).len() as u64;
        units.right += written
            .chunks(unit)
            .zip(content.chunks(unit))
            .filter(|(a, b)| a == b)
            .count() as u64;
    }
    fs::remove_file(&plain)?;
    Ok(units)
}

/// Like [`check_files`]; fails unless every data unit is right.
pub fn expect_files(
    image: &Path,
    key: &[u8],
    sector_size: u32,
    files: &Files,
    dir: &Path,
) -> Result<()> {
    let units = check_files(image, key, sector_size, files, dir)?;
    ensure!(
        units.is_complete(),
        "what the oracle decrypts from {} is not what was written: {units:?}",
        image.display()
    );
    Ok(())
}

/// Applies `cipher` to each data unit with its tweak.
fn each_unit<E: std::fmt::Display>(
    data: &mut [u8],
    sector_size: u32,
    cipher: impl Fn(&[u8; 16], &mut [u8]) -> Result<(), E>,
) -> Result<()> {
    for (index, unit) in data.chunks_exact_mut(sector_size as usize).enumerate() {
        let number = index as u64 * u64::from(sector_size / 512);
        let mut tweak = [0; 16];
        tweak[..8].copy_from_slice(&number.to_le_bytes());
        cipher(&tweak, unit).map_err(|error| anyhow!("{error}"))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of 16 KiB that holds test content, encrypted.
    fn encrypted(dir: &Path, sector_size: u32, key: &[u8]) -> PathBuf {
        let mut data = vec![0; 16 << 10];
        pattern::fill(5, 0, &mut data);
        each_unit(&mut data, sector_size, |tweak, unit| {
            reference::encrypt(key, tweak, unit)
        })
        .expect("encrypt");
        let path = dir.join("image");
        fs::write(&path, data).expect("write");
        path
    }

    #[test]
    fn the_right_ciphertext_is_accepted_and_one_bit_is_noticed() {
        let dir = tempfile::tempdir().expect("dir");
        for (key, sector_size) in [(&[7; 32][..], 512), (&[9; 64][..], 4096)] {
            let image = encrypted(dir.path(), sector_size, key);
            let units = expect_ciphertext(&image, key, sector_size, 5).expect("equal");
            assert_eq!(units, (16 << 10) / u64::from(sector_size));
            let plain = decrypt(&image, key, sector_size).expect("decrypt");
            assert_eq!(pattern::first_difference(5, 0, &plain), None);

            let mut damaged = fs::read(&image).expect("read");
            damaged[8000] ^= 4;
            fs::write(&image, damaged).expect("write");
            let error = expect_ciphertext(&image, key, sector_size, 5).expect_err("damage");
            assert!(error.to_string().contains("8000"), "{error:#}");
        }
    }

    #[test]
    fn another_sector_size_is_another_ciphertext() {
        let dir = tempfile::tempdir().expect("dir");
        let image = encrypted(dir.path(), 4096, &[3; 64]);
        assert!(expect_ciphertext(&image, &[3; 64], 512, 5).is_err());
    }
}
