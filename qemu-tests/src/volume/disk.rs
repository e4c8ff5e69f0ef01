// SPDX-License-Identifier: GPL-2.0

//! Disk images on the host, and what the oracle says about the ciphertext in them.
//!
//! dm-crypt numbers data units for `plain64` in units of 512 bytes, for 4096-byte sectors too (that is what `--iv-large-sectors` changes).

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{anyhow, bail, ensure, Context, Result};
use fs_err as fs;
use guest_init::pattern;
use tresor::reference::{self, Aes};
use zeroize::Zeroizing;

use super::Files;
use crate::host::run;
use crate::initramfs::find_program;
use crate::report::Checked;

/// Makes an empty (sparse) disk image.
pub fn create(path: &Path, bytes: u64) -> Result<PathBuf> {
    fs::File::create(path)?.set_len(bytes)?;
    Ok(path.into())
}

/// Makes an empty disk image with one primary partition from its first MiB to its end, as USB sticks come.
pub fn create_partitioned(path: &Path, bytes: u64) -> Result<PathBuf> {
    const FIRST: u32 = 2048;
    const LINUX: u8 = 0x83;
    // Cylinders and heads that are too large to be told, for which everybody looks at the numbers of sectors.
    const NO_GEOMETRY: [u8; 3] = [0xfe, 0xff, 0xff];
    let sectors = u32::try_from(bytes / 512)? - FIRST;
    let mut entry = vec![0];
    entry.extend(NO_GEOMETRY);
    entry.push(LINUX);
    entry.extend(NO_GEOMETRY);
    entry.extend(FIRST.to_le_bytes());
    entry.extend(sectors.to_le_bytes());
    let mut record = vec![0; 446];
    record.extend(entry);
    record.resize(510, 0);
    record.extend([0x55, 0xaa]);
    let mut file = fs::File::create(path)?;
    file.write_all(&record)?;
    file.set_len(bytes)?;
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
    expect(image, &on_disk, sector_size, seed, |tweak, unit| {
        reference::encrypt(key, tweak, unit)
    })
}

/// How many data units at the start of an image, of which only the first `len` bytes were filled with test content, are those that the
/// oracle computes.
pub fn check_start(
    image: &Path,
    key: &[u8],
    sector_size: u32,
    seed: u64,
    len: u64,
) -> Result<Checked> {
    let mut on_disk = fs::read(image)?;
    on_disk.truncate(usize::try_from(len)?);
    let (units, _) = compare(&on_disk, sector_size, seed, |tweak, unit| {
        reference::encrypt(key, tweak, unit)
    })?;
    Ok(units)
}

/// Like [`check_start`]; fails unless all of them are, and returns their number.
pub fn expect_start(
    image: &Path,
    key: &[u8],
    sector_size: u32,
    seed: u64,
    len: u64,
) -> Result<u64> {
    let units = check_start(image, key, sector_size, seed, len)?;
    ensure!(
        units.is_complete(),
        "the ciphertext on {} differs from the oracle's: {units:?}",
        image.display()
    );
    Ok(units.all)
}

/// A mode, with the keys that the kernel derives in registers.
pub enum BlockMode {
    /// XTS, which is here for those who compare it along with the others.
    Xts(Zeroizing<Vec<u8>>),
    /// CBC; the IV is the number of the sector.
    Cbc(Zeroizing<Vec<u8>>),
    /// CBC; the IV is the number of the sector, encrypted with the second key.
    EssivCbc(Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>),
}

impl BlockMode {
    fn encrypt(&self, number: &[u8; 16], sector: &mut [u8]) -> Result<()> {
        let aes = |key: &[u8]| Aes::new(key).context("AES has no keys of this length");
        match self {
            Self::Xts(key) => {
                reference::encrypt(key, number, sector).map_err(|error| anyhow!("{error}"))?;
            }
            Self::Cbc(key) => aes(key)?.cbc_encrypt(number, sector),
            Self::EssivCbc(key, iv_key) => {
                let mut iv = *number;
                aes(iv_key)?.ecb_encrypt(&mut iv);
                aes(key)?.cbc_encrypt(&iv, sector);
            }
        }
        Ok(())
    }
}

/// Like [`expect_ciphertext`] for the bytes `part` of an image, which are a volume of another mode.
pub fn expect_ciphertext_of(
    mode: &BlockMode,
    image: &Path,
    part: Range<u64>,
    sector_size: u32,
    seed: u64,
) -> Result<u64> {
    let on_disk = read_part(image, part)?;
    expect(image, &on_disk, sector_size, seed, |number, sector| {
        mode.encrypt(number, sector)
    })
}

/// How many data units of a part of an image are those that the oracle computes in a mode.
pub fn check_part(
    mode: &BlockMode,
    image: &Path,
    part: Range<u64>,
    sector_size: u32,
    seed: u64,
) -> Result<Checked> {
    let on_disk = read_part(image, part)?;
    let (units, _) = compare(&on_disk, sector_size, seed, |number, sector| {
        mode.encrypt(number, sector)
    })?;
    Ok(units)
}

fn read_part(image: &Path, part: Range<u64>) -> Result<Vec<u8>> {
    let whole = fs::read(image)?;
    let bytes = whole
        .get(part.start as usize..part.end as usize)
        .with_context(|| format!("{} is shorter than {part:?}", image.display()))?;
    Ok(bytes.to_vec())
}

/// Fails unless ciphertext is what `encrypt` makes of test content; returns the number of data units.
fn expect<E: std::fmt::Display>(
    image: &Path,
    on_disk: &[u8],
    sector_size: u32,
    seed: u64,
    encrypt: impl Fn(&[u8; 16], &mut [u8]) -> Result<(), E>,
) -> Result<u64> {
    let (units, difference) = compare(on_disk, sector_size, seed, encrypt)?;
    if let Some(at) = difference {
        bail!(
            "the ciphertext on {} differs from the oracle's, first at byte {at}",
            image.display()
        );
    }
    Ok(units.all)
}

/// Compares ciphertext with what `encrypt` makes of test content: how many data units are equal, and the first byte that is not.
fn compare<E: std::fmt::Display>(
    on_disk: &[u8],
    sector_size: u32,
    seed: u64,
    encrypt: impl Fn(&[u8; 16], &mut [u8]) -> Result<(), E>,
) -> Result<(Checked, Option<usize>)> {
    let mut expected = vec![0; on_disk.len()];
    pattern::fill(seed, 0, &mut expected);
    each_unit(&mut expected, sector_size, encrypt)?;
    let unit = sector_size as usize;
    let units = on_disk.chunks_exact(unit).zip(expected.chunks_exact(unit));
    let right = units.filter(|(a, b)| a == b).count() as u64;
    let all = (on_disk.len() / unit) as u64;
    let difference = on_disk.iter().zip(&expected).position(|(a, b)| a != b);
    Ok((Checked { right, all }, difference))
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
            let all = (8192 / sector_size).into();
            let units = check_start(&image, key, sector_size, 5, 8192).expect("compare");
            assert_eq!((units.right, units.all), (all - 1, all));
        }
    }

    #[test]
    fn another_sector_size_is_another_ciphertext() {
        let dir = tempfile::tempdir().expect("dir");
        let image = encrypted(dir.path(), 4096, &[3; 64]);
        assert!(expect_ciphertext(&image, &[3; 64], 512, 5).is_err());
    }
}
