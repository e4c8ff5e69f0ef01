// SPDX-License-Identifier: GPL-2.0

//! The pass phrase of the demo: chosen by a person, twice the same and unseen, or from a file.

use anyhow::{bail, ensure, Result};
use fs_err as fs;
use tresor::kdf::PASS_PHRASE_MAX;
use zeroize::Zeroizing;

use super::terminal::Terminal;
use super::PassPhrase;

pub(super) fn get(source: &PassPhrase) -> Result<Zeroizing<Vec<u8>>> {
    match source {
        PassPhrase::Interactive => choose(),
        PassPhrase::File(path) => from_file(Zeroizing::new(fs::read(path)?)),
    }
}

fn choose() -> Result<Zeroizing<Vec<u8>>> {
    let mut terminal = Terminal::open()?;
    terminal.show("The machine will ask for a pass phrase at boot. Choose one for this demo, none that you use elsewhere; it is not shown.\n")?;
    loop {
        let first = terminal.read_unseen("Pass phrase for the demo: ")?;
        let second = terminal.read_unseen("The same again: ")?;
        match check(&first) {
            Err(error) => terminal.show(&format!("{error}\n"))?,
            Ok(()) if *first == *second => return Ok(first),
            Ok(()) => terminal.show("These were not the same.\n")?,
        }
    }
}

/// The first line, without its end.
fn from_file(content: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>> {
    let line = content
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    check(line)?;
    // What the terminal of the prompt takes for editing cannot be part of what is typed there.
    if let Some(byte) = line
        .iter()
        .find(|byte| [0x03, 0x08, 0x0d, 0x15, 0x7f].contains(*byte))
    {
        bail!("the pass phrase contains the control character {byte:#04x}, which edits the line at the prompt: choose another one");
    }
    Ok(Zeroizing::new(line.to_vec()))
}

fn check(pass_phrase: &[u8]) -> Result<()> {
    ensure!(
        (1..=PASS_PHRASE_MAX).contains(&pass_phrase.len()),
        "a pass phrase has 1 to {PASS_PHRASE_MAX} bytes, this one has {}",
        pass_phrase.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Vec<u8>> {
        from_file(Zeroizing::new(content.to_vec())).map(|line| line.to_vec())
    }

    #[test]
    fn the_first_line_of_a_file_counts() {
        assert_eq!(read(b"open sesame\nmore").expect("line"), b"open sesame");
        assert_eq!(
            read(b"gr\xc3\xbc\xc3\x9fe\r\n").expect("line"),
            b"gr\xc3\xbc\xc3\x9fe"
        );
    }

    #[test]
    fn what_cannot_be_typed_is_refused() {
        assert!(read(b"").is_err());
        assert!(read(b"\nsecond line").is_err());
        assert!(read(&[b'x'; 513]).is_err());
        assert!(read(&[b'x'; 512]).is_ok());
        assert!(read(b"ctrl-c\x03").is_err());
    }
}
