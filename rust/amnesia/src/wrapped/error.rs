// SPDX-License-Identifier: GPL-2.0
//! Why bytes are not a wrapped handle.

use core::fmt;

use super::SIZE;

/// Why bytes are not a wrapped handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrappedError {
    /// They are not 128 many.
    BadLength {
        /// How many they are.
        bytes: usize,
    },
    /// They do not begin as a wrapped handle of any version.
    NotWrapped,
    /// The version is not one that this code knows.
    UnknownVersion,
    /// CHECK is not that of the other bytes.
    Damaged,
    /// The kind is not one that this code knows.
    UnknownKind,
    /// A byte that must be zero is not, although CHECK is right: it was made wrong.
    NotZero,
    /// It is well-formed, but its key is for another cipher.
    WrongKind,
}

impl fmt::Display for WrappedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadLength { bytes } => {
                write!(f, "the wrapped handle has {bytes} bytes instead of {SIZE}")
            }
            Self::NotWrapped => f.write_str("no wrapped handle: it does not begin with \"amn\""),
            Self::UnknownVersion => f.write_str("unknown version of the wrapped handle (known: 1)"),
            Self::Damaged => f.write_str("the wrapped handle is damaged: its check does not fit"),
            Self::UnknownKind => f.write_str("unknown kind of key in the wrapped handle"),
            Self::NotZero => f.write_str("a byte of the wrapped handle that must be zero is not"),
            Self::WrongKind => f.write_str("the key in the wrapped handle is for another cipher"),
        }
    }
}

impl core::error::Error for WrappedError {}
