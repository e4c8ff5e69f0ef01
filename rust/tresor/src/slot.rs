// SPDX-License-Identifier: GPL-2.0
//! Slots: how the register secret S comes from a pass phrase. A slot is public text on the kernel
//! command line.
//!
//! `1:pbkdf2-sha256:ITERATIONS:SALT:IV:MASK:MAC:CHECK`, lower case, byte strings in hex:
//!
//! * P = PBKDF2-HMAC-SHA256(pass phrase, SALT, ITERATIONS), 32 bytes.
//! * S = MASK XOR AES-256_P(IV + 0..1); MAC key M = AES-256_P(IV + 2..3). The addition is on the
//!   first eight bytes of IV, little-endian, modulo 2^64.
//! * MAC = CBC-MAC under AES-256_M of the two blocks of SHA-256(text up to and including MASK):
//!   tells a wrong pass phrase.
//! * CHECK = first 4 bytes of SHA-256(text up to and including MAC): tells a damaged slot from a
//!   wrong pass phrase, without any secret.
//!
//! There is one text for each slot: [`Slot::parse`] refuses any other spelling.

use core::fmt::{self, Write};

use super::kdf::{copy, Sha256, SALT};

mod error;

pub use error::{Field, SlotError};

/// Longest slot text, in bytes: ten digits of iterations.
pub const TEXT_MAX: usize = VERSION.len() + KDF.len() + 10 + 2 * (SALT + 16 + 32 + 16 + CHECK) + 7;
/// Least iterations that a slot may have.
pub const ITERATIONS_MIN: u32 = 1000;
/// Bytes of [`Slot::id`].
pub const ID: usize = 8;
/// Bytes of [`Slot::engine_block`].
pub const ENGINE_BLOCK: usize = 16 + 32 + 32 + 16;

const VERSION: &str = "1";
const KDF: &str = "pbkdf2-sha256";
const CHECK: usize = 4;

/// A slot. Every field is public; without the pass phrase none helps more than a guess at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    iterations: u32,
    salt: [u8; SALT],
    iv: [u8; 16],
    mask: [u8; 32],
    mac: [u8; 16],
    check: [u8; CHECK],
}

impl Slot {
    /// Makes a slot of its parts. Returns `None` if `iterations` is less than [`ITERATIONS_MIN`].
    ///
    /// `mac` is made from [`Slot::body_digest`], which does not depend on it.
    pub fn new<H: Sha256>(
        iterations: u32,
        salt: [u8; SALT],
        iv: [u8; 16],
        mask: [u8; 32],
        mac: [u8; 16],
    ) -> Option<Self> {
        if iterations < ITERATIONS_MIN {
            return None;
        }
        let mut slot = Self {
            iterations,
            salt,
            iv,
            mask,
            mac,
            check: [0; CHECK],
        };
        slot.check = slot.expected_check::<H>();
        Some(slot)
    }

    /// Reads a slot text.
    pub fn parse<H: Sha256>(text: &[u8]) -> Result<Self, SlotError> {
        let mut fields = text.split(|&byte| byte == b':');
        let mut next = |field| fields.next().ok_or(SlotError::Missing(field));

        // An empty text has one empty field.
        if next(Field::Version)? != VERSION.as_bytes() {
            return Err(SlotError::UnknownVersion);
        }
        if next(Field::Kdf)? != KDF.as_bytes() {
            return Err(SlotError::UnknownKdf);
        }
        let slot = Self {
            iterations: parse_iterations(next(Field::Iterations)?)?,
            salt: parse_hex(Field::Salt, next(Field::Salt)?)?,
            iv: parse_hex(Field::Iv, next(Field::Iv)?)?,
            mask: parse_hex(Field::Mask, next(Field::Mask)?)?,
            mac: parse_hex(Field::Mac, next(Field::Mac)?)?,
            check: parse_hex(Field::Check, next(Field::Check)?)?,
        };
        if fields.next().is_some() {
            return Err(SlotError::TrailingText);
        }
        if slot.check != slot.expected_check::<H>() {
            return Err(SlotError::Damaged);
        }
        Ok(slot)
    }

    /// PBKDF2 iterations.
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }

    /// PBKDF2 salt.
    pub const fn salt(&self) -> &[u8; SALT] {
        &self.salt
    }

    /// Start of the key stream.
    pub const fn iv(&self) -> &[u8; 16] {
        &self.iv
    }

    /// What S's part of the key stream is XORed with.
    pub const fn mask(&self) -> &[u8; 32] {
        &self.mask
    }

    /// Message authentication code.
    pub const fn mac(&self) -> &[u8; 16] {
        &self.mac
    }

    /// Returns the digest that the MAC is made of: of the text up to and including the mask.
    pub fn body_digest<H: Sha256>(&self) -> [u8; 32] {
        let mut text = Text::new();
        // Text has room for the longest slot: this cannot fail.
        let _ = self.write_body(&mut text);
        H::digest(text.as_bytes())
    }

    /// Returns what the unlock engines read: iv, mask, digest, MAC.
    pub fn engine_block<H: Sha256>(&self) -> [u8; ENGINE_BLOCK] {
        let mut block = [0; ENGINE_BLOCK];
        copy(
            &mut block,
            self.iv
                .iter()
                .chain(&self.mask)
                .chain(&self.body_digest::<H>())
                .chain(&self.mac),
        );
        block
    }

    /// Returns a short name of this slot: the digest of the text up to and including the MAC, which
    /// begins with the check.
    pub fn id<H: Sha256>(&self) -> [u8; ID] {
        let mut text = Text::new();
        // As above.
        let _ = self.write_authenticated(&mut text);
        let mut id = [0; ID];
        copy(&mut id, &H::digest(text.as_bytes()));
        id
    }

    fn expected_check<H: Sha256>(&self) -> [u8; CHECK] {
        let mut check = [0; CHECK];
        copy(&mut check, &self.id::<H>());
        check
    }

    fn write_body(&self, to: &mut impl Write) -> fmt::Result {
        write!(to, "{VERSION}:{KDF}:{}", self.iterations)?;
        write_hex(to, &self.salt)?;
        write_hex(to, &self.iv)?;
        write_hex(to, &self.mask)
    }

    fn write_authenticated(&self, to: &mut impl Write) -> fmt::Result {
        self.write_body(to)?;
        write_hex(to, &self.mac)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_authenticated(f)?;
        write_hex(f, &self.check)
    }
}

/// Writes a colon and `bytes` in hex.
fn write_hex(to: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    to.write_char(':')?;
    bytes.iter().try_for_each(|byte| write!(to, "{byte:02x}"))
}

fn parse_iterations(text: &[u8]) -> Result<u32, SlotError> {
    if text.first() == Some(&b'0') {
        return Err(SlotError::BadIterations);
    }
    let number = text.iter().try_fold(0u32, |number, &byte| {
        let digit = char::from(byte).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit)
    });
    number
        .filter(|&number| number >= ITERATIONS_MIN)
        .ok_or(SlotError::BadIterations)
}

fn parse_hex<const N: usize>(field: Field, text: &[u8]) -> Result<[u8; N], SlotError> {
    if text.len() != 2 * N {
        return Err(SlotError::BadLength(field));
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        for &digit in digits {
            let value = hex_digit(digit).ok_or(SlotError::NotHex(field))?;
            *byte = *byte << 4 | value;
        }
    }
    Ok(bytes)
}

/// The value of a lower-case hex digit.
const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A slot text, or its beginning, to be hashed.
struct Text {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl Text {
    const fn new() -> Self {
        Self {
            bytes: [0; TEXT_MAX],
            len: 0,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(fmt::Error)?;
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        copy(place, text.as_bytes());
        self.len = end;
        Ok(())
    }
}
