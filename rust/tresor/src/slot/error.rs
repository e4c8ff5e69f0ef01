// SPDX-License-Identifier: GPL-2.0
//! Why a text is not a slot.

use core::fmt;

use super::{ITERATIONS_MIN, KDF, VERSION};

/// A field of the slot text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Format version.
    Version,
    /// Name of the key derivation function.
    Kdf,
    /// PBKDF2 iterations.
    Iterations,
    /// PBKDF2 salt.
    Salt,
    /// Start of the key stream.
    Iv,
    /// What S's part of the key stream is XORed with.
    Mask,
    /// Message authentication code.
    Mac,
    /// Check of the text.
    Check,
}

/// Why a text is not a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotError {
    /// The version is not one that this code knows.
    UnknownVersion,
    /// The key derivation function is not one that this code knows.
    UnknownKdf,
    /// The iterations are no decimal number of 1000 to 4294967295, or have leading zeros.
    BadIterations,
    /// The text ends before this field.
    Missing(Field),
    /// Something follows the last field.
    TrailingText,
    /// The field has another length than its byte string in hex.
    BadLength(Field),
    /// The field has something else than the digits 0-9 and a-f.
    NotHex(Field),
    /// Each field is well-formed, but CHECK is not that of the others.
    Damaged,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "version",
            Self::Kdf => "key derivation function",
            Self::Iterations => "iterations",
            Self::Salt => "salt",
            Self::Iv => "iv",
            Self::Mask => "mask",
            Self::Mac => "MAC",
            Self::Check => "check",
        })
    }
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVersion => write!(f, "unknown version (known: {VERSION})"),
            Self::UnknownKdf => write!(f, "unknown key derivation function (known: {KDF})"),
            Self::BadIterations => write!(
                f,
                "iterations are no number of {ITERATIONS_MIN} to {}",
                u32::MAX
            ),
            Self::Missing(field) => write!(f, "ends before the {field}"),
            Self::TrailingText => f.write_str("something follows the check"),
            Self::BadLength(field) => write!(f, "the {field} has a wrong length"),
            Self::NotHex(field) => {
                write!(f, "the {field} has something else than digits 0-9 and a-f")
            }
            Self::Damaged => f.write_str("damaged: the check does not fit"),
        }
    }
}

impl core::error::Error for SlotError {}
