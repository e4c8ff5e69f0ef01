// SPDX-License-Identifier: GPL-2.0

//! The orders and texts in which the same secret can lie in memory.

use std::fmt;

/// An order of the bytes of a value.
///
/// Orders that differ only in where whole 8-byte quarters go (DR3 first, or the whole value backwards) have no entry:
/// every 8-byte window of a pattern is searched, so their quarters are found under one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As the standards write it, and as x86 registers store it.
    Memory,
    /// 16-bit words byte-swapped.
    Swap16,
    /// 32-bit words byte-swapped: SHA-256 and table-driven AES on little-endian machines.
    Swap32,
    /// 64-bit words byte-swapped: a register value printed or sent big-endian.
    Swap64,
    /// The two 32-bit words of each 64-bit word exchanged.
    SwapHalves,
}

impl Order {
    pub(super) const ALL: [Order; 5] = [
        Order::Memory,
        Order::Swap16,
        Order::Swap32,
        Order::Swap64,
        Order::SwapHalves,
    ];

    /// Rearranges `value`. A last word that is incomplete is treated as a shorter word.
    pub(super) fn apply(self, value: &[u8]) -> Vec<u8> {
        let mut out = value.to_vec();
        match self {
            Order::Memory => {}
            Order::Swap16 => out.chunks_mut(2).for_each(<[u8]>::reverse),
            Order::Swap32 => out.chunks_mut(4).for_each(<[u8]>::reverse),
            Order::Swap64 => out.chunks_mut(8).for_each(<[u8]>::reverse),
            Order::SwapHalves => out.chunks_exact_mut(8).for_each(|word| word.rotate_left(4)),
        }
        out
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Order::Memory => "memory order",
            Order::Swap16 => "16-bit words byte-swapped",
            Order::Swap32 => "32-bit words byte-swapped",
            Order::Swap64 => "64-bit words byte-swapped",
            Order::SwapHalves => "32-bit halves exchanged",
        })
    }
}

/// Case of hexadecimal digits.
#[derive(Clone, Copy)]
pub(super) enum HexCase {
    Lower,
    Upper,
}

impl fmt::Display for HexCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HexCase::Lower => "lower-case",
            HexCase::Upper => "upper-case",
        })
    }
}

/// Hexadecimal digits without separators: a dm-crypt table, a printed register.
pub(super) fn hex_text(value: &[u8], case: HexCase) -> Vec<u8> {
    match case {
        HexCase::Lower => hex::encode(value).into_bytes(),
        HexCase::Upper => hex::encode_upper(value).into_bytes(),
    }
}

/// Lower-case hexadecimal bytes with a space between: `print_hex_dump()`.
pub(super) fn hex_dump(value: &[u8]) -> Vec<u8> {
    value
        .iter()
        .map(hex_byte)
        .collect::<Vec<_>>()
        .join(" ")
        .into_bytes()
}

fn hex_byte(byte: &u8) -> String {
    format!("{byte:02x}")
}

/// Each byte as a little-endian character of `width` bytes: UTF-16, the cells of a virtual terminal.
pub(super) fn wide_characters(text: &[u8], width: usize) -> Vec<u8> {
    let mut out = vec![0; text.len() * width];
    for (cell, byte) in out.chunks_exact_mut(width).zip(text) {
        cell[0] = *byte;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_of_sixteen_bytes() {
        let value: Vec<u8> = (0..16).collect();
        assert_eq!(Order::Swap16.apply(&value)[..4], [1, 0, 3, 2]);
        assert_eq!(Order::Swap32.apply(&value)[..8], [3, 2, 1, 0, 7, 6, 5, 4]);
        assert_eq!(Order::Swap64.apply(&value)[..8], [7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(
            Order::SwapHalves.apply(&value)[..8],
            [4, 5, 6, 7, 0, 1, 2, 3]
        );
        for order in Order::ALL {
            assert_eq!(
                order.apply(&order.apply(&value)),
                value,
                "{order} is its own inverse"
            );
        }
    }

    #[test]
    fn texts() {
        assert_eq!(hex_text(&[0xab, 0x01], HexCase::Lower), b"ab01");
        assert_eq!(hex_text(&[0xab, 0x01], HexCase::Upper), b"AB01");
        assert_eq!(hex_dump(&[0xab, 0x01]), b"ab 01");
        assert_eq!(wide_characters(b"ab", 2), b"a\0b\0");
    }
}
