// SPDX-License-Identifier: GPL-2.0

//! The 8-byte windows of all patterns: a bit map that says "certainly not" quickly, and the list behind it.

use crate::secrets::Pattern;

/// Length of a window in bytes.
pub(super) const WINDOW: usize = 8;

/// Size of the bit map: 2^20 bits are 128 KiB, which a second-level cache holds. Ten thousand windows fill 1 % of it.
const MAP_BITS: u32 = 20;

/// Number of buckets of the list: about one window each.
const BUCKET_BITS: u32 = 14;

/// A window's place in the patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Index of the pattern.
    pub(super) pattern: usize,
    /// Offset of the window within the pattern.
    pub(super) offset: usize,
}

/// The windows, found by value.
pub(super) struct WindowTable {
    map: Vec<u64>,
    /// Sorted by bucket.
    windows: Vec<(u64, Place)>,
    /// Where each bucket starts in `windows`; one entry more than buckets.
    buckets: Vec<usize>,
}

impl WindowTable {
    pub(super) fn new(patterns: &[Pattern]) -> Self {
        let mut map = vec![0; 1 << (MAP_BITS - 6)];
        let mut windows = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            for (offset, window) in pattern.bytes.windows(WINDOW).enumerate() {
                let value = value(window);
                let bit = hash(value, MAP_BITS);
                map[bit >> 6] |= 1 << (bit & 63);
                let pattern = index;
                windows.push((value, Place { pattern, offset }));
            }
        }
        windows.sort_unstable_by_key(|(value, place)| (hash(*value, BUCKET_BITS), *place));
        let buckets = (0..=1 << BUCKET_BITS)
            .map(|bucket| windows.partition_point(|(value, _)| hash(*value, BUCKET_BITS) < bucket))
            .collect();
        Self {
            map,
            windows,
            buckets,
        }
    }

    /// False: no pattern has this window. True: one may have it.
    #[inline]
    pub(super) fn may_contain(&self, value: u64) -> bool {
        let bit = hash(value, MAP_BITS);
        self.map[bit >> 6] >> (bit & 63) & 1 != 0
    }

    /// Every place of the window.
    pub(super) fn find(&self, value: u64) -> impl Iterator<Item = Place> + '_ {
        let bucket = hash(value, BUCKET_BITS);
        self.windows[self.buckets[bucket]..self.buckets[bucket + 1]]
            .iter()
            .filter(move |(v, _)| *v == value)
            .map(|(_, place)| *place)
    }
}

/// A window as a number.
#[inline]
pub(super) fn value(window: &[u8]) -> u64 {
    let mut bytes = [0; WINDOW];
    bytes.copy_from_slice(window);
    u64::from_le_bytes(bytes)
}

/// Multiplicative hashing to `bits` bits: the high bits of the product depend on all bits of the value.
#[inline]
fn hash(value: u64, bits: u32) -> usize {
    (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
}
