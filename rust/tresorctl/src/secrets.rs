// SPDX-License-Identifier: GPL-2.0
//! `tresorctl secrets`: what the registers hold, for tests. Only with feature `test-secrets`.

use std::path::PathBuf;

use anyhow::Context;
use tresor::handle::{BadLength, Handle, Variant};
use tresor::reference::{self, Sha256};

use crate::failure::Failure;
use crate::pass_phrase::PassPhrase;
use crate::stored_slot::StoredSlot;

/// Options of `secrets`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The slot, with or without "tresor.slot=" before it.
    #[arg(long)]
    slot: StoredSlot,
    /// Read the pass phrase from this file ("-": standard input).
    #[arg(long, value_name = "FILE")]
    pass_phrase_file: PathBuf,
    /// Also print the volume key of these 32 or 64 bytes, which setkey gets.
    #[arg(long, value_name = "FILE")]
    handle_file: Option<PathBuf>,
}

/// Prints S, and K1 and K2 of a handle, as lines of `NAME=HEX`.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let pass_phrase = PassPhrase::read(&options.pass_phrase_file)?;
    let s = options
        .slot
        .unlock(pass_phrase.bytes())?
        .ok_or(Failure::WrongPassPhrase)?;
    println!("S={}", hex::encode(*s));
    if let Some(path) = &options.handle_file {
        let key = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let (k1, k2) =
            volume_keys(&s, &key).with_context(|| format!("{} is no handle", path.display()))?;
        println!("K1={k1}\nK2={k2}");
    }
    Ok(())
}

/// Returns K1 and K2 in hex, of the bytes that setkey gets.
fn volume_keys(s: &[u8; 32], key: &[u8]) -> Result<(String, String), BadLength> {
    let variant = Variant::from_key_len(key.len())?;
    let handle = Handle::derived::<Sha256>(key)?;
    let volume_key = reference::volume_key(s, &handle, variant);
    let (k1, k2) = volume_key.split_at(volume_key.len() / 2);
    Ok((hex::encode(k1), hex::encode(k2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's hashlib and OpenSSL's AES.
    #[test]
    fn volume_keys_of_both_lengths() {
        let s: [u8; 32] = core::array::from_fn(|i| i as u8);
        let keys = |key: &[u8]| volume_keys(&s, key).unwrap();
        assert_eq!(
            keys(&[7; 32]),
            (
                "39d084b2716dc9f60b8bbe9037331d9e".to_owned(),
                "3bf98eed3828ae473b608e9113c6d138".to_owned()
            )
        );
        assert_eq!(
            keys(&[7; 64]),
            (
                "044e3a69cfffff60c6d18c632db90ccaf961a2fbca53a078a16129fb33bd2a5d".to_owned(),
                "245105665e521e611da910b62454d6402f117cd65cfbad69ad31b3be610694a7".to_owned()
            )
        );
    }

    #[test]
    fn other_lengths_are_no_handle() {
        assert_eq!(
            volume_keys(&[1; 32], &[7; 33]),
            Err(BadLength { bytes: 33 })
        );
    }
}
