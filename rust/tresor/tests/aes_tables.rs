// SPDX-License-Identifier: GPL-2.0
//! The committed constants of AES by vector permute: as generated, and right for all 256 bytes.

#[path = "../examples/aes_tables/generate.rs"]
mod generate;

use generate::{affine, inverse, mul, tables, Tables, INV_MIX};

const COMMITTED: &str = include_str!("../asm/aes-ssse3-tables.inc");

#[test]
fn committed_file_is_the_generated_one() {
    let hint =
        "run: cargo run -p tresor --example aes_tables > rust/tresor/asm/aes-ssse3-tables.inc";
    assert!(
        COMMITTED == tables().text(),
        "asm/aes-ssse3-tables.inc is out of date; {hint}"
    );
}

/// SubBytes (FIPS 197, 5.1.1).
fn sub(byte: u8) -> u8 {
    affine(inverse(byte)) ^ 0x63
}

/// `pshufb` of one byte.
fn look_up(tables: &Tables, name: &str, indices: [u8; 2]) -> u8 {
    let entry = tables
        .entries
        .iter()
        .find(|entry| entry.name == name)
        .unwrap();
    let values = entry.tables.iter().zip(indices).map(|(table, index)| {
        if index & 0x80 == 0 {
            table[usize::from(index & 15)]
        } else {
            0
        }
    });
    values.fold(0, |sum, value| sum ^ value)
}

fn nibbles(pair: u8) -> [u8; 2] {
    [pair & 15, pair >> 4]
}

/// `io` and `jo` as the engine computes them.
fn invert(tables: &Tables, pair: u8) -> [u8; 2] {
    let one = |name, index| look_up(tables, name, [index, 0]);
    let [k, i] = nibbles(pair);
    let j = i ^ k;
    let a_over_k = one("a_inverse", k);
    [
        one("inverse", one("inverse", i) ^ a_over_k) ^ j,
        one("inverse", one("inverse", j) ^ a_over_k) ^ i,
    ]
}

#[test]
fn every_byte_goes_through_the_tables_as_through_aes() {
    let tables = tables();
    let basis = tables.basis;
    assert_eq!(
        [0x00, 0x53, 0xff].map(sub),
        [0x63, 0xed, 0x16],
        "FIPS 197, figure 7"
    );
    for byte in 0..=u8::MAX {
        let pair = look_up(&tables, "std_to_fwd", nibbles(byte));
        assert_eq!(look_up(&tables, "fwd_to_std", nibbles(pair)), byte);
        let io_jo = invert(&tables, pair);
        assert_eq!(look_up(&tables, "sub_std", io_jo) ^ 0x63, sub(byte));
        for (name, factor) in [("sub1", 1), ("sub2", 2)] {
            let constant = basis.forward(mul(factor, 0x63));
            let expected = basis.forward(mul(factor, sub(byte)));
            assert_eq!(look_up(&tables, name, io_jo) ^ constant, expected);
        }

        let pair_back = look_up(&tables, "std_to_bwd", nibbles(sub(byte)));
        let io_jo = invert(&tables, pair_back);
        assert_eq!(look_up(&tables, "inv_sub_std", io_jo), byte);
        for factor in INV_MIX {
            let product = look_up(&tables, &format!("inv_sub{factor}"), io_jo);
            assert_eq!(
                product ^ basis.backward(0),
                basis.backward(mul(factor, byte))
            );
            let key = look_up(&tables, &format!("key{factor}"), nibbles(pair));
            let constant = if factor == 14 { 0 } else { basis.backward(0) };
            assert_eq!(key ^ constant, basis.backward(mul(factor, byte)));
        }
    }
}
