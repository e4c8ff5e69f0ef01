// SPDX-License-Identifier: GPL-2.0
//! The driver's static calls: the kernel knows every place where one is made, and so lets all of them go to the engine that was chosen.

use std::collections::BTreeMap;

use anyhow::{ensure, Result};

use crate::kernel::Image;

/// How the names of the trampolines begin that the driver calls, and those of the keys by which the calls are set.
const PREFIXES: [&str; 2] = ["__SCT__tresor_", "__SCK__tresor_"];

/// The symbols around the kernel's list: the place of each static call, and its key.
const LIST_BOUNDS: [&str; 2] = ["__start_static_call_sites", "__stop_static_call_sites"];

/// The bits of a key's address in the list that are flags (STATIC_CALL_SITE_FLAGS).
const FLAGS: u64 = 3;

/// A static call.
struct StaticCall {
    /// Without a prefix.
    name: String,
    trampoline: u64,
    key: u64,
}

/// How many static calls the driver has, and what is wrong with them.
pub fn static_calls(image: &Image) -> Result<(usize, Vec<String>)> {
    let linked = image.linked()?;
    let [trampoline, key] = PREFIXES;
    let calls = linked.beginning_with(trampoline).map(|(name, trampoline)| {
        Ok(StaticCall {
            name: name.to_owned(),
            trampoline,
            key: linked.address(&format!("{key}{name}"))?,
        })
    });
    let calls: Vec<_> = calls.collect::<Result<_>>()?;
    ensure!(!calls.is_empty(), "the driver has no static calls");
    let bounds = linked.range(LIST_BOUNDS)?;
    let list = linked.bytes(bounds.start, bounds.end - bounds.start)?;
    Ok((
        calls.len(),
        wrong(&calls, &linked.code()?, bounds.start, list),
    ))
}

/// What is wrong: a call that the list does not have, and a name that nobody calls, unless through a pointer. `list` is at address `at`.
fn wrong(calls: &[StaticCall], code: &[(u64, &[u8])], at: u64, list: &[u8]) -> Vec<String> {
    let entries = list.chunks_exact(8).zip((at..).step_by(8));
    let entries = entries.filter_map(|(entry, at)| {
        let key = relative(at + 4, &entry[4..])?;
        Some((relative(at, &entry[..4])?, key & !FLAGS))
    });
    let listed: BTreeMap<_, _> = entries.collect();
    let branches: Vec<_> = code.iter().flat_map(|part| branches(calls, part)).collect();
    let mut wrong = Vec::new();
    for StaticCall {
        name,
        trampoline,
        key,
    } in calls
    {
        let mut made = branches
            .iter()
            .filter(|(_, to)| to == trampoline)
            .peekable();
        if made.peek().is_none() {
            wrong.push(format!("the static call {name} is made nowhere"));
        }
        for (place, _) in made.filter(|(place, _)| listed.get(place) != Some(key)) {
            wrong.push(format!(
                "the kernel does not know that {place:#x} is the static call {name}"
            ));
        }
    }
    wrong
}

/// Every `call` of a trampoline and every `jmp` to one: where it is, and the trampoline. At every byte: that a part of another
/// instruction looks like that is so unlikely that it may fail the check.
fn branches(calls: &[StaticCall], &(start, code): &(u64, &[u8])) -> Vec<(u64, u64)> {
    let bytes = code.windows(5).zip(start..);
    let branches = bytes.filter(|(bytes, _)| [0xe8, 0xe9].contains(&bytes[0]));
    let branches = branches.filter_map(|(bytes, at)| Some((at, relative(at + 5, &bytes[1..])?)));
    branches
        .filter(|(_, to)| calls.iter().any(|call| call.trampoline == *to))
        .collect()
}

/// What is a distance of four bytes away from an address.
fn relative(from: u64, distance: &[u8]) -> Option<u64> {
    let distance = i32::from_le_bytes(distance.try_into().ok()?);
    Some(from.wrapping_add_signed(distance.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much is wrong with a kernel that has this code at 0x1000 and this list at 0x4000.
    fn wrongs(code: &[u8], list: &[i32]) -> usize {
        let call = StaticCall {
            name: "xts".into(),
            trampoline: 0x2000,
            key: 0x3000,
        };
        let list: Vec<u8> = list.iter().flat_map(|word| word.to_le_bytes()).collect();
        wrong(&[call], &[(0x1000, code)], 0x4000, &list).len()
    }

    #[test]
    fn each_expectation_can_fail() {
        // call 0x2000; jmp 0x2000
        let code = [0xe8, 0xfb, 0x0f, 0, 0, 0xe9, 0xf6, 0x0f, 0, 0];
        // The second is a tail call, which is flagged.
        let list = [-0x3000, -0x1004, -0x3003, -0x100b];
        assert_eq!(wrongs(&code, &list), 0);
        assert_eq!(wrongs(&code, &list[..2]), 1);
        assert_eq!(wrongs(&code, &[-0x3000, -0x1008, -0x3002, -0x100b]), 2);
        // mov $0x2000, %eax; call *%rax
        assert_eq!(wrongs(&[0xb8, 0, 0x20, 0, 0, 0xff, 0xd0], &list), 1);
    }
}
