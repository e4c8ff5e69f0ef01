// SPDX-License-Identifier: GPL-2.0
//! Simple tables of reStructuredText: text that reaches into the gap between two columns makes Sphinx drop the whole table.

use std::ops::Range;
use std::path::Path;

use super::extension;

/// The rule.
pub(super) fn check(path: &Path, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if extension(path) != "rst" {
        return findings;
    }
    // Of the table that the lines are in.
    let mut gaps: Vec<Range<usize>> = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let blank_follows = lines.peek().is_none_or(|(_, next)| next.is_empty());
        if let Some(border) = border(line) {
            // The last border of a table, and only that, is followed by a blank line.
            gaps = if blank_follows { Vec::new() } else { border };
            continue;
        }
        let crossed = gaps.iter().find(|gap| !is_free(line, gap));
        if let Some(gap) = crossed {
            findings.push(format!(
                "line {}: text in column {}, between two columns of the table",
                index + 1,
                gap.start + 1
            ));
        }
    }
    findings
}

/// The gaps between the columns, in characters from the left, if the line is a border of a table with more than one.
fn border(line: &str) -> Option<Vec<Range<usize>>> {
    if !line.contains("= ") || line.chars().any(|c| c != '=' && c != ' ') {
        return None;
    }
    let mut gaps = Vec::new();
    let mut start = None;
    for (place, c) in line.trim_end().chars().enumerate() {
        match (c, start) {
            (' ', None) => start = Some(place),
            ('=', Some(from)) => {
                gaps.push(from..place);
                start = None;
            }
            _ => {}
        }
    }
    Some(gaps)
}

fn is_free(line: &str, gap: &Range<usize>) -> bool {
    line.chars()
        .skip(gap.start)
        .take(gap.len())
        .all(|c| c == ' ')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;

    const GOOD: &str = "Title\n=====\n\n====  ====\nhead  two\n====  ====\nα     long text in the last\n\nnext  one\n====  ====\n\ntext of no table\n";

    fn findings(text: &str) -> Vec<String> {
        check(Path::new("f.rst"), text)
    }

    #[test]
    fn a_good_table_passes() {
        assert_eq!(findings(GOOD), Vec::<String>::new());
    }

    #[test]
    fn text_between_columns_is_found() {
        let long = findings(&GOOD.replace("next ", "nexts"));
        assert_eq!(
            long,
            ["line 9: text in column 5, between two columns of the table"]
        );
        assert_eq!(findings(&GOOD.replace("head  two", "heads two")).len(), 1);
    }

    #[test]
    fn only_documents_are_looked_at() {
        let bad = GOOD.replace("next ", "nexts");
        assert!(check(Path::new("f.rs"), &bad).is_empty());
    }
}
