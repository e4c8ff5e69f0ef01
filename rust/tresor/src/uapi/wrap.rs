// SPDX-License-Identifier: GPL-2.0

//! The calls that make and verify wrapped handles.
//!
//! | call | bytes | field |
//! |---|---|---|
//! | all | 0..4 | version |
//! | all | 4..8 | number of the kind of key; zero for VERIFY |
//! | WRAP_FRESH | 8..136 | out: the handle |
//! | WRAP_KEY | 8..72 | the key; what is after its length does not matter |
//! | WRAP_KEY | 72..200 | out: the handle |
//! | VERIFY | 8..136 | the handle |
//!
//! The numbers of kinds and the handle's bytes are those of the crate `amnesia`.

use super::{array, word, Malformed, VERSION};
use crate::kdf::copy;

/// Bytes of a wrapped handle.
pub const HANDLE: usize = 128;
/// Bytes of the longest key.
pub const KEY: usize = 64;

/// Bytes of a call for a fresh key.
pub const FRESH_SIZE: usize = HANDLE_AT_OF_FRESH + HANDLE;
/// Bytes of a call to wrap a key.
pub const KEY_SIZE: usize = HANDLE_AT_OF_KEY + HANDLE;
/// Bytes of a call to verify a handle.
pub const VERIFY_SIZE: usize = HEAD + HANDLE;

/// Where the handle of a fresh key is.
pub const HANDLE_AT_OF_FRESH: usize = HEAD;
/// Where the key is that is to be wrapped.
pub const KEY_AT: usize = HEAD;
/// Where the handle of such a key is.
pub const HANDLE_AT_OF_KEY: usize = KEY_AT + KEY;
/// Where the handle is that is to be verified.
pub const HANDLE_AT_OF_VERIFY: usize = HEAD;

const HEAD: usize = 8;

/// How each of the calls begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Number of the kind of key; zero for VERIFY.
    pub kind: u32,
}

impl Question {
    /// Reads the beginning of a call.
    ///
    /// # Errors
    ///
    /// [`Malformed::Unknown`] for another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match word(bytes, 0) {
            VERSION => Ok(Self {
                kind: word(bytes, 4),
            }),
            _ => Err(Malformed::Unknown),
        }
    }
}

/// The bytes of a call for a fresh key of a kind.
pub fn fresh_question(kind: u8) -> [u8; FRESH_SIZE] {
    question(kind, &[])
}

/// The bytes of a call to wrap a key of a kind, the first bytes of `key`. They are as secret as the
/// key: wipe them.
pub fn key_question(kind: u8, key: &[u8; KEY]) -> [u8; KEY_SIZE] {
    question(kind, key)
}

/// The bytes of a call to verify a handle.
pub fn verify_question(handle: &[u8; HANDLE]) -> [u8; VERIFY_SIZE] {
    question(0, handle)
}

/// The handle in the answer to [`fresh_question`].
pub fn handle_of_fresh(answer: &[u8; FRESH_SIZE]) -> [u8; HANDLE] {
    array(answer, HANDLE_AT_OF_FRESH)
}

/// The handle in the answer to [`key_question`].
pub fn handle_of_key(answer: &[u8; KEY_SIZE]) -> [u8; HANDLE] {
    array(answer, HANDLE_AT_OF_KEY)
}

fn question<const N: usize>(kind: u8, rest: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let head = VERSION.to_le_bytes();
    copy(&mut bytes, head.iter().chain(&[kind, 0, 0, 0]).chain(rest));
    bytes
}
