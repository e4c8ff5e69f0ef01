// SPDX-License-Identifier: GPL-2.0

//! Model-specific registers that Bochs's CPUs do not have unless a file tells of them: plain ones, which keep what is written to them.

use std::fmt::Write as _;

/// Such a register.
#[derive(Debug, Clone, Copy)]
pub struct Msr {
    /// Its number.
    pub number: u32,
    /// How many bits it has; to write another one is an exception (#GP).
    pub width: u32,
    /// Bits of these that stay zero whatever is written.
    pub stuck: u64,
}

/// The file that tells of them: number, type, and the values that it has at first, bits that are no bits, and bits that ignore writes, each
/// as two words.
pub(super) fn table(msrs: &[Msr]) -> String {
    let mut text = String::new();
    for msr in msrs {
        let none = u64::MAX.checked_shl(msr.width).unwrap_or(0);
        let [none, stuck] =
            [none, msr.stuck].map(|mask| format!("{:08x} {:08x}", mask >> 32, mask & 0xffff_ffff));
        // Nothing can go wrong: this is memory.
        let _ = writeln!(text, "{:#x} 0 00000000 00000000 {none} {stuck}", msr.number);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{table, Msr};

    #[test]
    fn table_has_a_line_for_each() {
        let msr = |number, width, stuck| Msr {
            number,
            width,
            stuck,
        };
        assert_eq!(
            table(&[msr(0x4c1, 48, 0), msr(0x2c, 64, 1 << 40)]),
            "0x4c1 0 00000000 00000000 ffff0000 00000000 00000000 00000000\n\
             0x2c 0 00000000 00000000 00000000 00000000 00000100 00000000\n"
        );
    }
}
