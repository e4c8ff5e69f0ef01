// SPDX-License-Identifier: GPL-2.0

//! Finding a parameter on the kernel command line.

/// The value of the last `name=value` among the words of `line`, as the kernel's own parser takes
/// the last one.
///
/// A value in double quotes loses them; text after a lone `--` is for init and is not searched. No
/// such word: `None`.
pub fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    words(line)
        .filter_map(|word| word.strip_prefix(name)?.strip_prefix(b"="))
        .last()
        .map(unquoted)
}

/// Whether `word` is among the words of `line` that are not for init, without a value.
pub fn has_word(line: &[u8], word: &[u8]) -> bool {
    words(line).any(|other| other == word)
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace())
        .take_while(|&word| word != b"--")
}

fn unquoted(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::{has_word, value};

    #[test]
    fn a_word_is_whole_and_not_for_init() {
        assert!(has_word(b"a nohibernate\n", b"nohibernate"));
        assert!(!has_word(
            b"nohibernate=1 xnohibernate -- nohibernate",
            b"nohibernate"
        ));
    }

    #[test]
    fn the_last_word_counts() {
        assert_eq!(
            value(b"a=1 tresor.slot=x b tresor.slot=y\n", b"tresor.slot"),
            Some(&b"y"[..])
        );
    }

    #[test]
    fn quotes_are_taken_off() {
        assert_eq!(
            value(b"tresor.slot=\"x:y\"", b"tresor.slot"),
            Some(&b"x:y"[..])
        );
    }

    #[test]
    fn other_words_and_words_for_init_do_not_count() {
        assert_eq!(
            value(
                b"xtresor.slot=1 tresor.slots=2 tresor.slot -- tresor.slot=3",
                b"tresor.slot"
            ),
            None
        );
    }
}
