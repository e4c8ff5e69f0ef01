// SPDX-License-Identifier: GPL-2.0

//! Every 4-byte window of every secret, to be asked about each word that is stored.
//!
//! A run of 7 bytes at any address contains a whole aligned 4-byte word, and that word is a window of the secret. So a lookup of aligned
//! words finds every run of 7 bytes or more. Nearly all lookups end at one bit of a map that the CPU's cache holds.

use crate::config::Secret;

/// Length of a window in bytes.
pub const WINDOW: usize = 4;

/// 2^20 bits are 128 KiB, which a second-level cache holds; twenty thousand windows fill 2 % of it.
const MAP_BITS: u32 = 20;

/// Bytes that can be read one by one or as aligned words: the guest's RAM, a frame copied from it, a test's array.
pub trait Bytes {
    /// The byte at an offset, none beyond the end.
    fn byte(&self, at: u64) -> Option<u8>;
    /// The little-endian word at an offset, a multiple of 4.
    fn word(&self, at: u64) -> Option<u32>;
}

impl Bytes for [u8] {
    fn byte(&self, at: u64) -> Option<u8> {
        self.get(usize::try_from(at).ok()?).copied()
    }

    fn word(&self, at: u64) -> Option<u32> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.get(at..at.checked_add(WINDOW)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// A run of a secret in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Index of the secret.
    pub secret: usize,
    /// First byte of the run within the secret.
    pub secret_offset: usize,
    /// First byte of the run in memory.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl Run {
    /// The offset behind the run.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// The windows, found by value.
#[derive(Debug)]
pub struct Table {
    map: Vec<u64>,
    /// Window, secret, offset within it; sorted.
    windows: Vec<(u32, u32, u32)>,
    secrets: Vec<Secret>,
    random_windows: u64,
}

impl Table {
    /// Takes the secrets apart.
    pub fn new(secrets: Vec<Secret>) -> Self {
        let mut map = vec![0; 1 << (MAP_BITS - 6)];
        let mut windows = Vec::new();
        let mut random = Vec::new();
        for (index, secret) in (0..).zip(&secrets) {
            for (offset, window) in (0..).zip(secret.bytes.windows(WINDOW)) {
                let value = window
                    .iter()
                    .rev()
                    .fold(0, |value, byte| value << 8 | u32::from(*byte));
                let bit = hash(value);
                map[bit >> 6] |= 1 << (bit & 63);
                windows.push((value, index, offset));
                if secret.random {
                    random.push(value);
                }
            }
        }
        windows.sort_unstable();
        random.sort_unstable();
        random.dedup();
        Self {
            map,
            windows,
            secrets,
            random_windows: random.len() as u64,
        }
    }

    /// The secrets, in the order in which they were given.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// How many different windows the secrets have that look like random numbers. Each word probed meets one of them by chance with the
    /// probability of this number in 2^32.
    pub fn random_windows(&self) -> u64 {
        self.random_windows
    }

    /// False: no secret has this window. True: one may have it.
    #[inline]
    pub fn may_contain(&self, word: u32) -> bool {
        let bit = hash(word);
        self.map[bit >> 6] >> (bit & 63) & 1 != 0
    }

    /// Every run through the word at `at`, where `word` was read.
    pub fn runs<'a, B: Bytes + ?Sized>(
        &'a self,
        memory: &'a B,
        at: u64,
        word: u32,
    ) -> impl Iterator<Item = Run> + 'a {
        let first = self.windows.partition_point(|window| window.0 < word);
        self.windows[first..]
            .iter()
            .take_while(move |window| window.0 == word)
            .map(move |&(_, secret, offset)| {
                self.extended(memory, at, secret as usize, offset as usize)
            })
    }

    fn extended<B: Bytes + ?Sized>(
        &self,
        memory: &B,
        at: u64,
        secret: usize,
        offset: usize,
    ) -> Run {
        let bytes = &self.secrets[secret].bytes;
        let before = bytes[..offset]
            .iter()
            .rev()
            .zip(1..=at)
            .take_while(|(byte, back)| memory.byte(at - back) == Some(**byte))
            .count();
        let after = bytes[offset + WINDOW..]
            .iter()
            .zip(at + WINDOW as u64..)
            .take_while(|(byte, here)| memory.byte(*here) == Some(**byte))
            .count();
        Run {
            secret,
            secret_offset: offset - before,
            start: at - before as u64,
            len: (before + WINDOW + after) as u64,
        }
    }
}

/// Multiplicative hashing: the high bits of the product depend on all bits of the word.
#[inline]
fn hash(word: u32) -> usize {
    (word.wrapping_mul(0x9e37_79b1) >> (32 - MAP_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let secret = |first: u8| Secret {
            label: format!("{first}"),
            bytes: (0..32).map(|i| first.wrapping_add(7 * i)).collect(),
            min_run: 8,
            pass_phrase: false,
            random: true,
        };
        Table::new(vec![secret(3), secret(90)])
    }

    /// Everything that aligned words find, as (length, secret).
    fn found(memory: &[u8]) -> Vec<(u64, usize)> {
        let table = table();
        (0..memory.len() as u64)
            .step_by(WINDOW)
            .filter_map(|at| Some((at, memory.word(at)?)))
            .filter(|(_, word)| table.may_contain(*word))
            .flat_map(|(at, word)| table.runs(memory, at, word).collect::<Vec<_>>())
            .map(|run| (run.len, run.secret))
            .collect()
    }

    #[test]
    fn every_run_of_seven_bytes_is_found_at_any_alignment() {
        for secret in 0..2 {
            let bytes = table().secrets()[secret].bytes.clone();
            for from in 0..=bytes.len() - 7 {
                for at in 8..16 {
                    let mut memory = vec![0xee; 64];
                    memory[at..at + 7].copy_from_slice(&bytes[from..from + 7]);
                    let found = found(&memory);
                    assert!(found.contains(&(7, secret)), "{from} {at}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn a_run_has_its_whole_length() {
        let bytes = table().secrets()[1].bytes.clone();
        let mut memory = vec![0; 40];
        memory[3..3 + 32].copy_from_slice(&bytes);
        let found = found(&memory);
        assert!(!found.is_empty() && found.iter().all(|run| *run == (32, 1)));
    }

    #[test]
    fn three_bytes_and_other_values_are_nothing() {
        let bytes = table().secrets()[0].bytes.clone();
        let mut memory = vec![0; 16];
        memory[4..7].copy_from_slice(&bytes[..3]);
        assert_eq!(found(&memory), []);
        assert_eq!(found(&[0xaa; 64]), []);
    }
}
