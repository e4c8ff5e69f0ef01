// SPDX-License-Identifier: GPL-2.0

//! Parameters on the kernel command line.
//!
//! Read from the command line itself: module parameters of Rust drivers have no strings, and some
//! of these are needed before such parameters are parsed.

use kernel::{
    bindings,
    prelude::*, //
};

use crate::cmdline;

/// The value of a parameter, if it is there. Context: any.
pub(crate) fn value(name: &[u8]) -> Option<&'static [u8]> {
    cmdline::value(line(), name)
}

/// Whether a word without a value is there. Context: any.
pub(crate) fn has_word(word: &[u8]) -> bool {
    cmdline::has_word(line(), word)
}

fn line() -> &'static [u8] {
    // SAFETY: The command line is a C string that lives as long as the kernel and does not change.
    unsafe { CStr::from_char_ptr(bindings::saved_command_line) }.to_bytes()
}
