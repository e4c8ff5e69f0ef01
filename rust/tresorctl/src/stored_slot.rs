// SPDX-License-Identifier: GPL-2.0
//! A slot as user space keeps it: what the kernel takes, and Argon2id in front of that if it is wanted.
//!
//! The kernel's derivation runs in registers, so it cannot cost memory: whoever guesses at pass phrases
//! on graphics cards is slowed down by its time alone. Argon2id (RFC 9106) costs memory, too. It runs
//! here, before the kernel is asked; its 32 bytes, in hex, are the pass phrase that the kernel gets. So
//! the kernel's own prompt cannot use such a slot.
//!
//! The text is `argon2id:M:T:P:SALT:CHECK:SLOT`: memory in KiB, passes, lanes, a salt of 16 bytes and a
//! checksum in hex, and the slot in the form of the kernel command line. The checksum is the first four
//! bytes of the SHA-256 of the text without it.

use std::fmt;
use std::str::FromStr;

use anyhow::{anyhow, ensure, Context};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use sha2::{Digest, Sha256 as Sha2};
use tresor::reference::{self, Secret, Sha256};
use tresor::slot::Slot;
use zeroize::Zeroize;

use crate::locked::{self, Locked};

/// What the text begins with.
const NAME: &str = "argon2id";
/// Bytes of what Argon2id makes.
const OUTPUT: usize = 32;
/// The most memory that a slot may ask for, in KiB: a damaged or hostile one must not take it all.
const MEMORY_MAX: u32 = 4 << 20;
/// The most passes.
const PASSES_MAX: u32 = 1000;
/// The most lanes.
const LANES_MAX: u32 = 64;

/// Costs of Argon2id and its salt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argon2id {
    /// KiB.
    pub(crate) memory: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
    pub(crate) salt: [u8; 16],
}

/// A slot, with or without Argon2id in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredSlot {
    pub(crate) argon2id: Option<Argon2id>,
    /// What the kernel takes.
    pub(crate) slot: Slot,
}

impl StoredSlot {
    /// Calls `f` with what is the pass phrase for the kernel's slot.
    ///
    /// # Errors
    ///
    /// If there is not as much memory as Argon2id needs.
    pub(crate) fn with_pass_phrase<T>(
        &self,
        typed: &[u8],
        f: impl FnOnce(&[u8]) -> T,
    ) -> anyhow::Result<T> {
        match &self.argon2id {
            None => Ok(f(typed)),
            Some(argon2id) => argon2id.stretch(typed, f),
        }
    }

    /// The secret that a pass phrase gives, or none if it is a wrong one.
    pub(crate) fn unlock(&self, typed: &[u8]) -> anyhow::Result<Option<Secret>> {
        use reference::UnlockError;
        match self.with_pass_phrase(typed, |phrase| reference::unlock(&self.slot, phrase))? {
            Ok(s) => Ok(Some(s)),
            Err(UnlockError::WrongPassPhrase) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The id, in hex: that of the kernel's slot.
    pub(crate) fn id(&self) -> String {
        hex_of(&self.slot.id::<Sha256>())
    }

    /// What a guess costs, for people.
    pub(crate) fn cost(&self) -> String {
        let iterations = format!("pbkdf2-sha256 {} iterations", self.slot.iterations());
        match &self.argon2id {
            None => iterations,
            Some(Argon2id { memory, passes, .. }) => {
                format!(
                    "argon2id {} MiB {passes} passes, {iterations}",
                    memory >> 10
                )
            }
        }
    }
}

impl Argon2id {
    /// Calls `f` with the bytes that these costs make of a pass phrase, in hex.
    pub(crate) fn stretch<T>(&self, typed: &[u8], f: impl FnOnce(&[u8]) -> T) -> anyhow::Result<T> {
        let params = Params::new(self.memory, self.passes, self.lanes, Some(OUTPUT))
            .map_err(|error| anyhow!("these costs of Argon2id cannot be: {error}"))?;
        // Whatever the command: what Argon2id works on must not be swapped.
        locked::keep_all_in_memory()?;
        let mut blocks: Vec<Block> = Vec::new();
        blocks
            .try_reserve_exact(params.block_count())
            .with_context(|| {
                format!(
                    "this slot needs {} MiB of memory for each try; close programs, or unlock with another slot",
                    self.memory >> 10
                )
            })?;
        blocks.resize(params.block_count(), Block::new());
        let mut memory = Locked::new()?;
        let (output, hex) = memory.bytes_mut().split_at_mut(OUTPUT);
        let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(typed, &self.salt, output, &mut blocks);
        blocks.iter_mut().for_each(Zeroize::zeroize);
        done.map_err(|error| anyhow!("Argon2id failed: {error}"))?;
        let digits = b"0123456789abcdef";
        for (pair, byte) in hex.chunks_exact_mut(2).zip(&*output) {
            pair[0] = digits[usize::from(byte >> 4)];
            pair[1] = digits[usize::from(byte & 15)];
        }
        Ok(f(&hex[..2 * OUTPUT]))
    }

    /// The text before the checksum, with a colon at its end.
    fn text(&self) -> String {
        let salt = hex_of(&self.salt);
        format!(
            "{NAME}:{}:{}:{}:{salt}:",
            self.memory, self.passes, self.lanes
        )
    }
}

impl fmt::Display for StoredSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(argon2id) = &self.argon2id {
            let text = argon2id.text();
            write!(f, "{text}{}:", checksum(&text, &self.slot))?;
        }
        write!(f, "{}", self.slot)
    }
}

impl FromStr for StoredSlot {
    type Err = anyhow::Error;

    /// Reads a text, with or without "tresor.slot=" before it.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        read(text).map_err(|error| {
            anyhow!("{error:#}; copy the slot again, or make a new one with `tresorctl slot new`")
        })
    }
}

fn read(text: &str) -> anyhow::Result<StoredSlot> {
    let text = text.strip_prefix("tresor.slot=").unwrap_or(text);
    let Some(rest) = text.strip_prefix(NAME) else {
        let slot = Slot::parse::<Sha256>(text.as_bytes())?;
        return Ok(StoredSlot {
            argon2id: None,
            slot,
        });
    };
    let mut fields = rest.splitn(7, ':').skip(1);
    let mut next = |what: &'static str| {
        fields
            .next()
            .with_context(|| format!("the slot has no {what}"))
    };
    let mut number = |what: &'static str, max: u32| -> anyhow::Result<u32> {
        let value: u32 = next(what)?
            .parse()
            .with_context(|| format!("the slot's {what} is no number"))?;
        ensure!(
            (1..=max).contains(&value),
            "the slot's {what} is {value}, which is not 1 to {max}"
        );
        Ok(value)
    };
    let memory = number("memory", MEMORY_MAX)?;
    let passes = number("number of passes", PASSES_MAX)?;
    let lanes = number("number of lanes", LANES_MAX)?;
    let salt = bytes_of(next("salt")?).context("the slot's salt is not 32 hexadecimal digits")?;
    let check = next("checksum")?;
    let slot = Slot::parse::<Sha256>(next("part for the kernel")?.as_bytes())?;
    let argon2id = Argon2id {
        memory,
        passes,
        lanes,
        salt,
    };
    let before_check = text
        .match_indices(':')
        .nth(4)
        .map_or("", |(at, _)| &text[..=at]);
    ensure!(
        checksum(before_check, &slot) == check,
        "the checksum of the slot is wrong"
    );
    let stored = StoredSlot {
        argon2id: Some(argon2id),
        slot,
    };
    // "+5" and "05" are numbers, too.
    ensure!(
        stored.to_string() == text,
        "the numbers of the slot are not written as tresorctl writes them"
    );
    Ok(stored)
}

fn checksum(text: &str, slot: &Slot) -> String {
    hex_of(&Sha2::digest(format!("{text}{slot}"))[..4])
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if hex.len() != 2 * bytes.len()
        || !hex
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use fuzz::{run, Inputs};

    use super::{checksum, read, Argon2id, StoredSlot};

    const KERNEL: &str = concat!(
        "1:pbkdf2-sha256:1000:000102030405060708090a0b0c0d0e0f:101112131415161718191a1b1c1d1e1f",
        ":202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f:404142434445464748494a4b4c4d4e4f:5097be02"
    );

    /// The text of a good slot before the kernel's part, which has a test of its own.
    fn good() -> String {
        let stored = StoredSlot {
            argon2id: Some(Argon2id {
                memory: 65536,
                passes: 3,
                lanes: 4,
                salt: *b"sixteen bytes it",
            }),
            slot: read(KERNEL).unwrap().slot,
        };
        stored.to_string().replace(&format!(":{KERNEL}"), "")
    }

    /// Makes the last eight digits the checksum of what is before them.
    fn mend(text: &mut [u8]) {
        let Some((before, check)) = text.split_last_chunk_mut::<8>() else {
            return;
        };
        if let Ok(before) = std::str::from_utf8(before) {
            let sum = checksum(before, &read(KERNEL).unwrap().slot);
            check.copy_from_slice(sum.as_bytes());
        }
    }

    #[test]
    fn texts_of_any_kind_are_read_without_a_panic() {
        let good = good();
        let inputs = Inputs {
            good: &[good.as_bytes()],
            words: &[
                b":",
                b"argon2id:",
                b"4294967295",
                b"4294967296",
                b"0",
                b"+3",
                b"03",
                "\u{e9}".as_bytes(),
            ],
            mend: Some(mend),
            ..Inputs::default()
        };
        let report = run(&inputs, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return "no text".into();
            };
            let text = format!("{text}:{KERNEL}");
            match read(&text) {
                Ok(stored) => {
                    assert_eq!(stored.to_string(), text, "there is one text for each slot");
                    "good".into()
                }
                // Without the numbers in it, of which there is no end.
                Err(error) => error.to_string().replace(|c: char| c.is_ascii_digit(), ""),
            }
        });
        report.expect_no_crash();
        report.expect_answers(&[
            "good",
            "the slot's memory is , which is not  to ",
            "the checksum of the slot is wrong",
            "the numbers of the slot are not written as tresorctl writes them",
        ]);
    }
}
