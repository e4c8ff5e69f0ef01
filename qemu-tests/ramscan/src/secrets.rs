// SPDX-License-Identifier: GPL-2.0

//! What must never be in RAM: labelled byte patterns of every form in which a secret of a test could show up there.
//!
//! An attacker's tool (`aeskeyfind`) looks for whole key schedules only. These patterns are finer: 8 bytes of any secret
//! value, of any round key computed from it or of the state of the key derivation are a find. What they cannot show:
//! bit-sliced schedules, values XORed with something unknown, and pieces shorter than [`Pattern::min_run`].

mod forms;
mod hmac;
pub mod key_schedule;
mod tweaks;

use std::fmt;

use anyhow::{bail, Result};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use forms::{HexCase, Order};
use key_schedule::{forward_round_keys, inverse_round_keys};

/// A pass phrase shorter than this is not searched: text that short is found in any RAM by chance, so neither a hit
/// nor its absence would mean anything. Reports must say so (see [`Secrets::pass_phrase_counts`]). Nor should a test's
/// pass phrase be a word or a name of the kernel's: "password" is in every kernel image.
pub const MIN_PASS_PHRASE_LEN: usize = 6;

/// Shortest run of a binary secret that counts as a find, in bytes: half an AES block. In 512 MiB of RAM ten thousand
/// such windows are found by chance once in two million scans.
pub const MIN_RUN: usize = 8;

/// Pass phrases are words, and words of eight letters ("password") are in every kernel image: a longer piece is asked
/// for, in bytes. A shorter pass phrase is searched as a whole.
const PASS_PHRASE_RUN: usize = 16;

/// The kind of secret, for the colours and totals of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// The register secret S, which is to be in DR0..DR3 only.
    RegisterSecret,
    /// A volume key half: K1 (data) or K2 (tweak).
    VolumeKey,
    /// A round key, forward or inverse, of S, P, M, K1 or K2.
    RoundKey,
    /// An XTS tweak: the encrypted sector number, or one of its doublings.
    Tweak,
    /// P (pass phrase key), M (MAC key) and the HMAC state of PBKDF2.
    KdfState,
    /// The pass phrase itself.
    PassPhrase,
}

impl Family {
    /// Every family, in the order of a legend.
    pub const ALL: [Family; 6] = [
        Family::VolumeKey,
        Family::RoundKey,
        Family::Tweak,
        Family::RegisterSecret,
        Family::KdfState,
        Family::PassPhrase,
    ];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::RegisterSecret => "register secret",
            Family::VolumeKey => "volume key",
            Family::RoundKey => "round key",
            Family::Tweak => "tweak",
            Family::KdfState => "KDF state",
            Family::PassPhrase => "pass phrase",
        })
    }
}

/// One byte sequence to search for.
#[derive(Clone)]
pub struct Pattern {
    /// What it is, e.g. "K1 of volume key 1, 32-bit words byte-swapped". Holds no secret.
    pub label: String,
    /// Its kind.
    pub family: Family,
    /// The bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// How many consecutive bytes of `bytes` must be in RAM to count as a find. At most `bytes.len()`.
    pub min_run: usize,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Pattern({} [{}], {} bytes)",
            self.label,
            self.family,
            self.bytes.len()
        )
    }
}

/// The two AES keys of one XTS volume: K1 encrypts data, K2 encrypts sector numbers. 16 or 32 bytes each.
pub struct VolumeKey {
    /// Data key.
    pub k1: Zeroizing<Vec<u8>>,
    /// Tweak key.
    pub k2: Zeroizing<Vec<u8>>,
}

impl VolumeKey {
    /// Splits `K1 || K2` (32 or 64 bytes) in its halves.
    pub fn from_xts_key(key: &[u8]) -> Result<Self> {
        if key.len() != 32 && key.len() != 64 {
            bail!(
                "an XTS volume key has 32 or 64 bytes, not {}: give K1 and K2, one after the other",
                key.len()
            );
        }
        let (k1, k2) = key.split_at(key.len() / 2);
        Ok(Self {
            k1: Zeroizing::new(k1.to_vec()),
            k2: Zeroizing::new(k2.to_vec()),
        })
    }
}

/// Every secret of one test machine, computed in this process from the pass phrase and public data.
pub struct Secrets {
    /// What is typed at the prompt.
    pub pass_phrase: Zeroizing<Vec<u8>>,
    /// Salt of PBKDF2 (public).
    pub salt: [u8; 16],
    /// P: the key that PBKDF2 makes of the pass phrase.
    pub p: Zeroizing<[u8; 32]>,
    /// S: the register secret.
    pub s: Zeroizing<[u8; 32]>,
    /// M: the slot's MAC key.
    pub m: Zeroizing<[u8; 32]>,
    /// The volumes that are open.
    pub volume_keys: Vec<VolumeKey>,
}

impl Secrets {
    /// Whether the pass phrase is long enough for its absence in RAM to mean something.
    pub fn pass_phrase_counts(&self) -> bool {
        self.pass_phrase.len() >= MIN_PASS_PHRASE_LEN
    }

    /// Everything to search for. The number of patterns depends on the sizes of keys and pass phrase only.
    pub fn patterns(&self) -> Vec<Pattern> {
        let mut out = Patterns::default();
        out.key("S", Family::RegisterSecret, &self.s[..]);
        out.key("P", Family::KdfState, &self.p[..]);
        out.key("M", Family::KdfState, &self.m[..]);
        for (i, volume) in self.volume_keys.iter().enumerate() {
            let n = i + 1;
            out.key(&format!("K1 of volume {n}"), Family::VolumeKey, &volume.k1);
            out.key(&format!("K2 of volume {n}"), Family::VolumeKey, &volume.k2);
            for (label, tweak) in tweaks::first_tweaks(&volume.k2) {
                let label = format!("{label} of volume {n}");
                out.orders(
                    &label,
                    Family::Tweak,
                    &tweak[..],
                    &[Order::Memory, Order::Swap64],
                );
            }
        }
        for (label, state) in hmac::states(&self.pass_phrase, &self.salt) {
            out.orders(&label, Family::KdfState, &state[..], &Order::ALL);
            out.orders(
                &format!("{label}, SHA-NI order"),
                Family::KdfState,
                &hmac::sha_ni_order(&state)[..],
                &[Order::Memory],
            );
        }
        if self.pass_phrase_counts() {
            out.pass_phrase(&self.pass_phrase);
            out.key_blocks(&self.pass_phrase);
        }
        out.0
    }
}

/// A list under construction.
#[derive(Default)]
struct Patterns(Vec<Pattern>);

impl Patterns {
    fn add(&mut self, label: String, family: Family, bytes: Vec<u8>, min_run: usize) {
        self.0.push(Pattern {
            label,
            family,
            min_run: min_run.min(bytes.len()),
            bytes: Zeroizing::new(bytes),
        });
    }

    /// A binary value in the given byte orders.
    fn orders(&mut self, label: &str, family: Family, value: &[u8], orders: &[Order]) {
        for order in orders {
            let label = match order {
                Order::Memory => label.to_owned(),
                _ => format!("{label}, {order}"),
            };
            self.add(label, family, order.apply(value), MIN_RUN);
        }
    }

    /// An AES key: itself in every order and as text, and its round keys.
    fn key(&mut self, name: &str, family: Family, key: &[u8]) {
        self.orders(name, family, key, &Order::ALL);
        for case in [HexCase::Lower, HexCase::Upper] {
            for order in [Order::Memory, Order::Swap64] {
                let text = forms::hex_text(&order.apply(key), case);
                // Eight digits are only four bytes of the key, and RAM is full of hexadecimal numbers.
                self.add(
                    format!("{name}, {case} hex text, {order}"),
                    family,
                    text,
                    2 * MIN_RUN,
                );
            }
        }
        let dump = forms::hex_dump(key);
        self.add(format!("{name}, hex dump"), family, dump, 3 * MIN_RUN - 1);

        // The first key.len() bytes of the forward schedule are the key, and the inverse schedule shares its ends with
        // the forward one: neither is listed twice.
        for (round, rk) in forward_round_keys(key)
            .iter()
            .enumerate()
            .skip(key.len() / 16)
        {
            self.orders(
                &format!("round key {round} of {name}"),
                Family::RoundKey,
                rk,
                &Order::ALL,
            );
        }
        let inverse = inverse_round_keys(key);
        for (round, rk) in inverse.iter().enumerate().take(inverse.len() - 1).skip(1) {
            self.orders(
                &format!("inverse round key {round} of {name}"),
                Family::RoundKey,
                rk,
                &Order::ALL,
            );
        }
    }

    /// The pass phrase as HMAC pads it.
    fn key_blocks(&mut self, text: &[u8]) {
        for (label, block) in hmac::key_blocks(text) {
            // The block of a short pass phrase ends in padding, which every other HMAC in RAM has, too.
            let min_run = if text.len() < block.len() {
                block.len()
            } else {
                MIN_RUN
            };
            for order in [Order::Memory, Order::Swap32] {
                let label = format!("{label}, {order}");
                self.add(label, Family::KdfState, order.apply(&block), min_run);
            }
        }
    }

    fn pass_phrase(&mut self, text: &[u8]) {
        let family = Family::PassPhrase;
        self.add(
            "pass phrase".to_owned(),
            family,
            text.to_vec(),
            PASS_PHRASE_RUN,
        );
        for width in [2, 4] {
            let wide = forms::wide_characters(text, width);
            let label = format!("pass phrase, {width} bytes a character");
            self.add(label, family, wide, PASS_PHRASE_RUN * width);
        }
    }
}

#[cfg(test)]
mod tests;
