// SPDX-License-Identifier: GPL-2.0

//! What is to be counted, as the harness writes it into a file: one item a line, addresses in hex.
//!
//! ```text
//! range KIND START END       instructions there are of this kind; later lines win
//! call NAME START            from the first instruction of this function to its return
//! open NAME ADDRESS          a stretch begins here, and again if it has begun already
//! close NAME ADDRESS         and ends here
//! ```
//!
//! Kinds are numbers from 1; everything else is kind 0.

use std::collections::BTreeMap;

use anyhow::{bail, ensure, Context, Result};

/// More kinds than this are a mistake.
const MAX_KINDS: usize = 32;

/// What happens at an address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A function of which each call is counted starts here.
    Call,
    /// A stretch begins.
    Open,
    /// A stretch ends.
    Close,
}

/// The whole plan.
#[derive(Default)]
pub(crate) struct Plan {
    /// Names of what is counted; a [`Mark`] refers to it by its index.
    pub(crate) names: Vec<String>,
    /// Marks at the starts of blocks.
    pub(crate) marks: BTreeMap<u64, Vec<(Mark, usize)>>,
    /// Start -> (end, kind).
    ranges: BTreeMap<u64, (u64, usize)>,
    /// Number of kinds, kind 0 too.
    pub(crate) kinds: usize,
}

impl Plan {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut plan = Self {
            kinds: 1,
            ..Self::default()
        };
        for (number, line) in (1..).zip(text.lines()) {
            plan.line(line)
                .with_context(|| format!("line {number} of the plan: {line}"))?;
        }
        Ok(plan)
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let words: Vec<_> = line.split_whitespace().collect();
        let mark = match words[..] {
            ["range", kind, start, end] => {
                let kind: usize = kind.parse()?;
                ensure!(kind < MAX_KINDS, "there is no kind {kind}");
                self.kinds = self.kinds.max(kind + 1);
                self.ranges.insert(address(start)?, (address(end)?, kind));
                return Ok(());
            }
            ["call", ..] => Mark::Call,
            ["open", ..] => Mark::Open,
            ["close", ..] => Mark::Close,
            _ => bail!("not an item"),
        };
        let [_, name, at] = words[..] else {
            bail!("a name and an address are needed");
        };
        let index = self.name(name);
        self.marks
            .entry(address(at)?)
            .or_default()
            .push((mark, index));
        Ok(())
    }

    fn name(&mut self, name: &str) -> usize {
        let known = self.names.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }

    /// The kind of the instruction at `at`.
    pub(crate) fn kind(&self, at: u64) -> usize {
        match self.ranges.range(..=at).next_back() {
            Some((_, &(end, kind))) if at < end => kind,
            _ => 0,
        }
    }
}

fn address(text: &str) -> Result<u64> {
    Ok(u64::from_str_radix(text, 16)?)
}
