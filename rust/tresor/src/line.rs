// SPDX-License-Identifier: GPL-2.0

//! What a line typed at the pass phrase prompt means.
//!
//! The terminal collects the line and does the erasing it knows (DEL). Terminals that send BS for
//! the backspace key are handled here.

use super::kdf::PASS_PHRASE_MAX;

/// The byte that Ctrl-C sends; the prompt makes it end a line.
pub const CTRL_C: u8 = 0x03;

/// The byte that the backspace key of some terminals sends.
const BACKSPACE: u8 = 0x08;

/// A line as the person meant it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A pass phrase of this many bytes, 1 to [`PASS_PHRASE_MAX`], at the start of the buffer.
    PassPhrase(usize),
    /// Nothing but Enter.
    Empty,
    /// Ctrl-C.
    Cancel,
    /// More than [`PASS_PHRASE_MAX`] bytes.
    TooLong,
}

/// Reads the line of `len` bytes, its end byte included, in `buffer`, and leaves the pass phrase at
/// its start.
///
/// Bytes after the pass phrase are zeroed. Any byte is good but those that end or erase; a
/// backspace takes away one character of UTF-8.
pub fn finish(buffer: &mut [u8], len: usize) -> Line {
    let mut kept = 0;
    let mut cancelled = false;
    for at in 0..len.min(buffer.len()) {
        let Some(&byte) = buffer.get(at) else { break };
        match byte {
            b'\n' => break,
            CTRL_C => {
                cancelled = true;
                break;
            }
            BACKSPACE => kept = without_last_character(buffer, kept),
            _ => {
                if let Some(place) = buffer.get_mut(kept) {
                    *place = byte;
                    kept += 1;
                }
            }
        }
    }
    if cancelled || kept > PASS_PHRASE_MAX {
        buffer.fill(0);
    } else if let Some(rest) = buffer.get_mut(kept..) {
        rest.fill(0);
    }
    match kept {
        _ if cancelled => Line::Cancel,
        0 => Line::Empty,
        1..=PASS_PHRASE_MAX => Line::PassPhrase(kept),
        _ => Line::TooLong,
    }
}

/// The length of `buffer[..len]` without its last character: continuation bytes of UTF-8 go with
/// their first byte.
fn without_last_character(buffer: &[u8], len: usize) -> usize {
    let continuation = |byte: &u8| byte & 0xc0 == 0x80;
    let mut end = len.saturating_sub(1);
    while end > 0 && buffer.get(end).is_some_and(continuation) {
        end -= 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::{finish, Line, PASS_PHRASE_MAX};

    fn typed(bytes: &[u8]) -> (Line, Vec<u8>) {
        let mut buffer = [0xffu8; 600];
        buffer[..bytes.len()].copy_from_slice(bytes);
        let line = finish(&mut buffer, bytes.len());
        let kept = match line {
            Line::PassPhrase(len) => len,
            _ => 0,
        };
        assert!(
            buffer[kept..].iter().all(|&byte| byte == 0),
            "what is not the pass phrase is wiped"
        );
        (line, buffer[..kept].to_vec())
    }

    #[test]
    fn a_pass_phrase_is_what_stands_before_enter() {
        assert_eq!(
            typed(b"open \xc3\xa9\x00\xff\n"),
            (Line::PassPhrase(9), b"open \xc3\xa9\x00\xff".to_vec())
        );
    }

    #[test]
    fn backspace_takes_whole_characters() {
        assert_eq!(
            typed(b"\x08ab\xc3\xa9\x08\x08c\n"),
            (Line::PassPhrase(2), b"ac".to_vec())
        );
        assert_eq!(typed(b"a\x08\x08\n").0, Line::Empty);
    }

    #[test]
    fn ctrl_c_cancels_and_wipes() {
        assert_eq!(typed(b"secret\x03").0, Line::Cancel);
    }

    #[test]
    fn the_limit_is_exact() {
        let mut line = vec![b'x'; PASS_PHRASE_MAX];
        line.push(b'\n');
        assert_eq!(typed(&line).0, Line::PassPhrase(PASS_PHRASE_MAX));
        line.insert(0, b'x');
        assert_eq!(typed(&line).0, Line::TooLong);
    }

    #[test]
    fn an_empty_line_is_empty() {
        assert_eq!(typed(b"\n").0, Line::Empty);
    }
}
