// SPDX-License-Identifier: GPL-2.0

//! What one store did to the secrets in RAM.
//!
//! RAM is looked at after the store, not the stored value: so a secret that is put together byte by byte, or by stores that overlap,
//! is seen at the store that completes it. That store may have written only the first or last byte of the run, in a word that the run does
//! not fill; so the words beside the touched ones are looked up as well.

use crate::table::{Bytes, Run, Table, WINDOW};

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The longest run that is long enough to be reported, of a binary secret before one of the pass phrase.
    pub run: Option<Run>,
    /// Number of words that the store touched.
    pub words: u64,
    /// How many of them are windows of a random secret in a run too short to be reported.
    pub short: u64,
}

/// Looks at memory after a store of `len` bytes at `at`.
#[inline]
pub fn probe<B: Bytes + ?Sized>(table: &Table, memory: &B, at: u64, len: u64) -> Found {
    let width = WINDOW as u64;
    let first = at & !(width - 1);
    let end = at + len;
    let mut found = Found::default();
    let mut word_at = first.saturating_sub(width);
    while word_at < end + width {
        let Some(word) = memory.word(word_at) else {
            break;
        };
        let touched = word_at >= first && word_at < end;
        found.words += u64::from(touched);
        if table.may_contain(word) {
            look(table, memory, at..end, word_at, word, touched, &mut found);
        }
        word_at += width;
    }
    found
}

#[cold]
#[inline(never)]
fn look<B: Bytes + ?Sized>(
    table: &Table,
    memory: &B,
    stored: std::ops::Range<u64>,
    word_at: u64,
    word: u32,
    touched: bool,
    found: &mut Found,
) {
    let mut short = false;
    let mut long = false;
    for run in table.runs(memory, word_at, word) {
        let secret = &table.secrets()[run.secret];
        if run.len < secret.min_run {
            short |= secret.random;
        } else if run.start < stored.end && run.end() > stored.start {
            long = true;
            let rank = |run: &Run| (!table.secrets()[run.secret].pass_phrase, run.len);
            if found
                .run
                .as_ref()
                .is_none_or(|best| rank(best) < rank(&run))
            {
                found.run = Some(run);
            }
        }
    }
    found.short += u64::from(touched && short && !long);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn table() -> Table {
        Table::new(vec![Secret {
            label: "key".into(),
            bytes: (0..16).map(|i| 0x31 + 5 * i).collect(),
            min_run: 8,
            pass_phrase: false,
            random: true,
        }])
    }

    /// Stores `bytes` one by one in the given order of positions, and returns how many of them were seen to make a run.
    fn seen(bytes: &[u8], at: usize, order: impl Iterator<Item = usize>) -> u64 {
        let table = table();
        let mut memory = [0xcc; 64];
        let mut seen = 0;
        for index in order {
            memory[at + index] = bytes[index];
            let found = probe(&table, &memory[..], (at + index) as u64, 1);
            seen += u64::from(found.run.is_some());
        }
        seen
    }

    #[test]
    fn the_store_that_completes_a_run_is_seen_whatever_the_order_and_alignment() {
        let bytes = table().secrets()[0].bytes[3..11].to_vec();
        for at in 16..24 {
            assert_eq!(seen(&bytes, at, 0..8), 1, "up at {at}");
            assert_eq!(seen(&bytes, at, (0..8).rev()), 1, "down at {at}");
            assert_eq!(seen(&bytes, at, [0, 2, 4, 6, 1, 3, 5, 7].into_iter()), 1);
            assert_eq!(seen(&bytes, at, 0..7), 0, "seven bytes at {at}");
        }
    }

    #[test]
    fn a_store_beside_a_secret_is_not_one_of_it() {
        let table = table();
        let mut memory = [0; 64];
        memory[16..32].copy_from_slice(&table.secrets()[0].bytes);
        for at in [12, 15, 32, 35] {
            assert_eq!(probe(&table, &memory[..], at, 1).run, None, "{at}");
        }
        let run = probe(&table, &memory[..], 20, 4).run.expect("a run");
        assert_eq!((run.start, run.len, run.secret_offset), (16, 16, 0));
    }

    #[test]
    fn short_runs_are_counted_and_the_ends_of_memory_are_no_trouble() {
        let table = table();
        let mut memory = [0; 32];
        memory[0..5].copy_from_slice(&table.secrets()[0].bytes[2..7]);
        let found = probe(&table, &memory[..], 0, 8);
        assert_eq!((found.words, found.short, found.run), (2, 1, None));
        assert_eq!(probe(&table, &memory[..], 31, 1).words, 1);
        assert_eq!(probe(&table, &memory[..], 100, 4), Found::default());
    }
}
