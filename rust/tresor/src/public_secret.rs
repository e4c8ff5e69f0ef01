// SPDX-License-Identifier: GPL-2.0

//! The public register secret of the self tests.

/// S while the crypto API tests the cipher, and the S of its vectors: the bytes a0, a1, ... bf.
pub const PUBLIC_S: [u8; 32] = {
    let mut s = [0; 32];
    let mut i = 0;
    while i < s.len() {
        s[i] = 0xa0 + i as u8;
        i += 1;
    }
    s
};
