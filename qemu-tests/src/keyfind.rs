// SPDX-License-Identifier: GPL-2.0

//! Runs Debian's `aeskeyfind`, an attacker's tool, on a RAM file: a second opinion beside our own scan.
//!
//! It recognises the schedules of AES-128 and AES-256 keys by their structure, without being told any key, and reports
//! only keys. On 512 MiB it takes 10 to 40 seconds, more the fuller RAM is; files over 2 GiB work. A schedule in the
//! last bytes of the file escapes it, and so does everything that is no whole schedule: for those there is
//! [`crate::scan`].

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secrets::Secrets;

/// What `aeskeyfind` found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCount {
    /// Different keys in all: the kernel's self tests and others use AES, too.
    pub all: usize,
    /// How many of them are keys of ours: S, P, M, K1 or K2.
    pub ours: usize,
}

/// Runs the tool on a RAM file and counts. The machine that writes the file must be stopped.
pub fn count_keys(ram: &Path, secrets: &Secrets) -> Result<KeyCount> {
    Ok(count(&found_keys(ram)?, &own_keys(secrets)))
}

/// Different keys in the file, as the tool prints them.
fn found_keys(ram: &Path) -> Result<Vec<Zeroizing<Vec<u8>>>> {
    let output = Command::new("aeskeyfind")
        .arg("-q")
        .arg(ram)
        .stdin(Stdio::null())
        .output()
        .context("cannot run aeskeyfind: install Debian's package aeskeyfind")?;
    // It prints some failures on standard output only, and returns 1 then.
    if !output.status.success() {
        bail!(
            "aeskeyfind failed on {} ({}): {}{}; check that the RAM file exists and is not empty",
            ram.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout),
        );
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(output: &str) -> Result<Vec<Zeroizing<Vec<u8>>>> {
    let mut keys = output
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| match hex::decode(line) {
            Ok(key) if matches!(key.len(), 16 | 32) => Ok(Zeroizing::new(key)),
            _ => bail!("aeskeyfind printed a line that is no key ({} characters): this version's output is not known, use Debian's 1.0", line.len()),
        })
        .collect::<Result<Vec<_>>>()?;
    keys.sort_by(|a, b| a[..].cmp(&b[..]));
    keys.dedup();
    Ok(keys)
}

fn own_keys(secrets: &Secrets) -> Vec<&[u8]> {
    let mut keys = vec![&secrets.s[..], &secrets.p[..], &secrets.m[..]];
    for volume in &secrets.volume_keys {
        keys.extend([&volume.k1[..], &volume.k2[..]]);
    }
    keys
}

fn count(found: &[Zeroizing<Vec<u8>>], own: &[&[u8]]) -> KeyCount {
    KeyCount {
        all: found.len(),
        ours: found.iter().filter(|key| own.contains(&&key[..])).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::key_schedule::forward_round_keys;
    use crate::secrets::VolumeKey;

    fn example() -> Secrets {
        Secrets {
            pass_phrase: Zeroizing::new(b"pass phrase".to_vec()),
            salt: [0; 16],
            p: Zeroizing::new([1; 32]),
            s: Zeroizing::new([2; 32]),
            m: Zeroizing::new([3; 32]),
            volume_keys: vec![
                VolumeKey::from_xts_key(&std::array::from_fn::<u8, 64, _>(|i| {
                    (i * i * 7 + 3) as u8
                }))
                .unwrap(),
            ],
        }
    }

    #[test]
    fn output_of_the_tool() {
        let keys = parse("000102030405060708090a0b0c0d0e0f\n\n000102030405060708090a0b0c0d0e0f\n")
            .unwrap();
        assert_eq!(keys.len(), 1);
        assert!(parse("Keyfind progress: 3%").is_err());
        assert!(parse("00010203").is_err());
    }

    /// The tool itself, on a small file with the schedules of K1 and of a foreign key.
    #[test]
    fn the_tool_finds_a_planted_schedule() {
        let secrets = example();
        let mut ram = vec![0; 1 << 20];
        let mut plant = |offset: usize, key: &[u8]| {
            let schedule = forward_round_keys(key);
            ram[offset..offset + 16 * schedule.len()].copy_from_slice(schedule.as_flattened());
        };
        plant(4093, &secrets.volume_keys[0].k1);
        plant(70_000, b"a foreign key ..");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), &ram).unwrap();
        assert_eq!(
            count_keys(file.path(), &secrets).unwrap(),
            KeyCount { all: 2, ours: 1 }
        );

        fs_err::write(file.path(), vec![0; 1 << 20]).unwrap();
        assert_eq!(
            count_keys(file.path(), &secrets).unwrap(),
            KeyCount::default()
        );
    }

    #[test]
    fn a_failure_of_the_tool_is_no_zero() {
        let error =
            count_keys(Path::new("no/such/ram"), &example()).expect_err("there is no such file");
        assert!(error.to_string().contains("no/such/ram"), "{error}");
    }
}
