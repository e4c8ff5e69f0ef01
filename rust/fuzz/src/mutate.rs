// SPDX-License-Identifier: GPL-2.0
//! Random changes of an input.

/// Bytes of an input at most.
const LONGEST: usize = 1 << 16;
/// Bytes at which a program may decide.
const BYTES: &[u8] = &[
    0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'f', b'g', b'"', b':', b' ', b'\n',
];

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `limit` - 1, or 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % (limit.max(1) as u64)) as usize
    }

    fn one_of<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len())).copied()
    }

    /// An input of the corpus, newer ones more often, with one to eight changes.
    pub(crate) fn mutation(&mut self, corpus: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
        let oldest = self.below(corpus.len());
        let at = oldest + self.below(corpus.len() - oldest);
        let mut input = corpus[at].clone();
        for _ in 0..1 << self.below(4) {
            self.change(&mut input, corpus, words);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]]) {
        let at = self.below(input.len() + 1);
        let end = at + self.below((input.len() - at + 1).min(64));
        match self.below(9) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                let new = self.next() as u8;
                if let Some(byte) = input.get_mut(at) {
                    *byte = new;
                }
            }
            2 => {
                let new = self.one_of(BYTES);
                if let (Some(byte), Some(new)) = (input.get_mut(at), new) {
                    *byte = new;
                }
            }
            3 => drop(input.drain(at..end)),
            4 => {
                let new = self.next() as u8;
                input.insert(at, new);
            }
            // A piece twice, or one of another input.
            5 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            6 => {
                let other = &corpus[self.below(corpus.len())];
                let start = self.below(other.len() + 1);
                let piece = &other[start..start + self.below(other.len() - start + 1)];
                input.splice(at..end, piece.iter().copied());
            }
            7 => {
                if let Some(word) = self.one_of(words) {
                    input.splice(at..end, word.iter().copied());
                }
            }
            _ => input.truncate(at),
        }
    }
}
