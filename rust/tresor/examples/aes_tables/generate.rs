// SPDX-License-Identifier: GPL-2.0
//! The constants of AES by vector permute. All follow from FIPS 197 and the choice of `t`; how they
//! are used, and why that is AES, is told in `asm/aes-ssse3.inc`.

/// Coefficients of InvMixColumns, in the order in which the engine sums them up.
pub(crate) const INV_MIX: [u8; 4] = [9, 13, 11, 14];
const RCONS: [u8; 11] = [0, 1, 2, 4, 8, 16, 32, 64, 128, 0x1b, 0x36];
/// What 1 / 0 is in a table: `pshufb` looks up 0 with it.
const INFINITY: u8 = 0x80;

/// A table of `pshufb`.
pub(crate) type Table = [u8; 16];

/// The product in GF(2^8) (FIPS 197, 4.2).
pub(crate) fn mul(x: u8, y: u8) -> u8 {
    let (product, _) = (0..8).fold((0, x), |(product, x), bit| {
        let doubled = x << 1 ^ if x & 0x80 == 0 { 0 } else { 0x1b };
        (
            if y >> bit & 1 == 0 {
                product
            } else {
                product ^ x
            },
            doubled,
        )
    });
    product
}

fn power(x: u8, exponent: usize) -> u8 {
    (0..exponent).fold(1, |product, _| mul(product, x))
}

/// 1 / x, and 0 for 0.
pub(crate) fn inverse(x: u8) -> u8 {
    power(x, 254)
}

/// The linear part of SubBytes' affine map (FIPS 197, 5.1.1).
pub(crate) fn affine(x: u8) -> u8 {
    (1..=4).fold(x, |sum, n| sum ^ x.rotate_left(n))
}

/// The lowest byte of which `function` makes `value`.
fn inverse_of(function: impl Fn(u8) -> u8, value: u8) -> u8 {
    (0..=u8::MAX)
        .find(|&x| function(x) == value)
        .expect("asked for its values only")
}

/// GF(2^8) over GF(2^4): `h` is a root of z^4 + z + 1, `t` has the same norm and trace, `a`.
#[derive(Clone, Copy)]
pub(crate) struct Basis {
    h: u8,
    t: u8,
    a: u8,
}

impl Basis {
    fn new() -> Self {
        let in_subfield = |x: &u8| power(*x, 16) == *x;
        let h = (0..=u8::MAX)
            .find(|x| in_subfield(x) && power(*x, 4) ^ *x ^ 1 == 0)
            .expect("z^4 + z + 1 is irreducible over GF(2)");
        let t = (0..=u8::MAX)
            .find(|t| !in_subfield(t) && power(*t, 17) == *t ^ power(*t, 16))
            .expect("found once, so always");
        Self {
            h,
            t,
            a: power(t, 17),
        }
    }

    /// The element of GF(2^4) that a nibble's bits select from 1, h, h^2, h^3.
    fn element(self, nibble: u8) -> u8 {
        (0..4)
            .filter(|bit| nibble >> bit & 1 == 1)
            .fold(0, |sum, bit| sum ^ power(self.h, bit))
    }

    /// The nibble of an element of GF(2^4).
    fn nibble(self, element: u8) -> u8 {
        inverse_of(|byte| self.element(byte & 15), element)
    }

    /// i t + k for a pair i:k.
    pub(crate) fn byte(self, pair: u8) -> u8 {
        mul(self.t, self.element(pair >> 4)) ^ self.element(pair & 15)
    }

    /// The pair of a byte: encryption's, and the schedule's.
    pub(crate) fn forward(self, byte: u8) -> u8 {
        inverse_of(|pair| self.byte(pair), byte)
    }

    fn backward_linear(self, byte: u8) -> u8 {
        self.forward(inverse_of(affine, byte))
    }

    /// The pair of what SubBytes had inverted when it made `byte`: decryption's.
    pub(crate) fn backward(self, byte: u8) -> u8 {
        self.backward_linear(byte ^ 0x63)
    }
}

/// One table, or two whose values are to be XORed, with a name and what it is for.
pub(crate) struct Entry {
    pub(crate) name: String,
    purpose: String,
    pub(crate) tables: Vec<Table>,
}

/// Everything in the file.
pub(crate) struct Tables {
    pub(crate) basis: Basis,
    pub(crate) entries: Vec<Entry>,
}

/// Returns what belongs into the file.
pub(crate) fn tables() -> Tables {
    let basis = Basis::new();
    let reciprocal = |numerator: u8| {
        from_nibbles(|n| match n {
            0 => INFINITY,
            _ => basis.nibble(mul(numerator, inverse(basis.element(n)))),
        })
    };
    // 1/x = u / io + v / jo
    let (a1, t) = (inverse(basis.a), basis.t);
    let v = mul(t, mul(a1, a1));
    let u = mul(t, a1) ^ v ^ 1;
    let of_inverse = |f: &dyn Fn(u8) -> u8| {
        [u, v].map(|w| from_nibbles(|n| f(mul(w, inverse(basis.element(n))))))
    };
    let of_nibbles = |f: &dyn Fn(u8) -> u8| [from_nibbles(f), from_nibbles(|n| f(n << 4) ^ f(0))];

    let mut entries = vec![
        entry("inverse", "1 / n; 0x80 is infinity", &[reciprocal(1)]),
        entry("a_inverse", "a / n", &[reciprocal(basis.a)]),
    ];
    for (name, purpose, two) in [
        (
            "std_to_fwd",
            "bytes as FIPS 197 has them to pairs",
            of_nibbles(&|x| basis.forward(x)),
        ),
        (
            "std_to_bwd",
            "and to pairs of the inverse cipher",
            of_nibbles(&|x| basis.backward(x)),
        ),
        (
            "fwd_to_std",
            "pairs to bytes",
            of_nibbles(&|pair| basis.byte(pair)),
        ),
        (
            "sub1",
            "SubBytes without 0x63, in pairs",
            of_inverse(&|x| basis.forward(affine(x))),
        ),
        (
            "sub2",
            "twice that",
            of_inverse(&|x| basis.forward(mul(2, affine(x)))),
        ),
        (
            "sub_std",
            "SubBytes without 0x63, in bytes",
            of_inverse(&affine),
        ),
        ("inv_sub_std", "InvSubBytes in bytes", of_inverse(&|x| x)),
    ] {
        entries.push(entry(name, purpose, &two));
    }
    for factor in INV_MIX {
        entries.push(entry(
            &format!("inv_sub{factor}"),
            &format!("{factor} times InvSubBytes, in the inverse cipher's pairs"),
            &of_inverse(&|x| basis.backward_linear(mul(factor, x))),
        ));
    }
    for factor in INV_MIX {
        let in_pairs = |pair| {
            let product = mul(factor, basis.byte(pair));
            // The constant of the affine map comes in once.
            if factor == INV_MIX[3] {
                basis.backward(product)
            } else {
                basis.backward_linear(product)
            }
        };
        entries.push(entry(
            &format!("key{factor}"),
            &format!("{factor} times a round key, from pairs to those"),
            &of_nibbles(&in_pairs),
        ));
    }
    Tables { basis, entries }
}

fn entry(name: &str, purpose: &str, tables: &[Table]) -> Entry {
    Entry {
        name: name.to_owned(),
        purpose: purpose.to_owned(),
        tables: tables.to_vec(),
    }
}

fn from_nibbles(f: impl Fn(u8) -> u8) -> Table {
    let mut table = [0; 16];
    for (value, nibble) in table.iter_mut().zip(0..) {
        *value = f(nibble);
    }
    table
}

impl Tables {
    /// Returns the text of the file.
    pub(crate) fn text(&self) -> String {
        let Basis { h, t, a } = self.basis;
        let a = self.basis.nibble(a);
        let constant = self.basis.forward(0x63);
        let mut text = format!(
            "/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Constants of AES by vector permute, for aes-ssse3.inc; generated by
 * rust/tresor/examples/aes_tables. Do not edit.
 *
 * A nibble b3 b2 b1 b0 is b3 h^3 + b2 h^2 + b1 h + b0 with h = {h:#04x} (h^4 = h + 1), a pair the
 * byte i:k for i t + k with t = {t:#04x}; a = {a:#x} as a nibble.  All bytes are elements of GF(2^8)
 * as in FIPS 197.
 */

.section .rodata, \"a\", @progbits
.p2align 4
"
        );
        for entry in &self.entries {
            text += &format!(".L{}:\t// {}\n", entry.name, entry.purpose);
            for half in entry.tables.iter().flat_map(|table| table.chunks(8)) {
                let bytes: Vec<_> = half.iter().map(|byte| format!("{byte:#04x}")).collect();
                text += &format!("\t.byte\t{}\n", bytes.join(", "));
            }
        }
        text += &format!(".Lsub_const_fwd:\t// 0x63 as a pair\n\t.fill\t16, 1, {constant:#04x}\n");
        text += "// What a step of the schedule XORs: rcon, and SubBytes' 0x63\n";
        for rcon in RCONS {
            let word = u32::from_le_bytes([
                constant ^ self.basis.forward(rcon),
                constant,
                constant,
                constant,
            ]);
            text += &format!(".set RCON{rcon},\t{word:#010x}\n");
        }
        text
    }
}
