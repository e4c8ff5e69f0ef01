// SPDX-License-Identifier: GPL-2.0
//! Headers of any content: what reads them does not panic, and never takes a place outside of that for
//! keyslots to be free.

use fuzz::{run, Inputs};
use proptest::prelude::*;
use serde_json::{json, Value};
use sha2::{Digest, Sha256};

use super::disk::testing::Memory;
use super::header;
use super::metadata::tests::volume;
use super::metadata::Metadata;

/// Reads all that there is to read.
fn read_all(text: &[u8]) {
    let _ = answer(text);
}

/// The same, and says what came of it.
fn answer(text: &[u8]) -> String {
    let metadata = match Metadata::parse(text) {
        Ok(metadata) => metadata,
        Err(error) => return without_numbers(&format!("{error:#}")),
    };
    let place = metadata.keyslots_area().unwrap();
    for area in metadata.free_areas().unwrap() {
        assert!(place.start <= area.start && area.start < area.end && area.end <= place.end);
    }
    let _ = (
        metadata.segment(),
        metadata.keyslots(),
        metadata.free_number(),
    );
    let _ = (metadata.tokens_of_keyslots(), metadata.stored_slots());
    let _ = metadata.is_volume_key(b"password");
    let _ = metadata.with_key_of(1, "paes-xts-plain64");
    format!("{} keyslots", metadata.keyslots().unwrap().len())
}

/// A message without what makes it another one for each input.
fn without_numbers(message: &str) -> String {
    let known = message.split('"').next().unwrap_or_default();
    known.replace(|c: char| c.is_ascii_digit(), "")
}

/// Every place in a JSON value.
fn places(value: &Value, path: &str, to: &mut Vec<String>) {
    to.push(path.to_owned());
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                places(value, &format!("{path}/{name}"), to);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                places(value, &format!("{path}/{index}"), to);
            }
        }
        _ => (),
    }
}

/// What may stand where it is not expected.
fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!("")),
        Just(json!(["0", "0", "1"])),
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number.to_string())),
        (0u64..70_000).prop_map(|number| json!(number.to_string())),
        Just(json!("18446744073709551615")),
    ]
}

proptest! {
    #[test]
    fn values_of_any_kind_at_any_place(changes in prop::collection::vec((any::<prop::sample::Index>(), values()), 1..4)) {
        let mut json = volume();
        for (place, value) in changes {
            let mut paths = Vec::new();
            places(&json, "", &mut paths);
            let path: &String = place.get(&paths);
            *json.pointer_mut(path).unwrap() = value;
        }
        // The digest's iterations are work; they are not what is tested.
        if let Some(iterations) = json.pointer_mut("/digests/0/iterations") {
            *iterations = json!(1);
        }
        read_all(json.to_string().as_bytes());
    }

    #[test]
    fn bytes_of_any_kind(text: Vec<u8>, disk in prop::collection::vec(any::<u8>(), 0..20_000)) {
        read_all(&text);
        let _ = header::find(&Memory::new(disk));
    }

    #[test]
    fn binary_headers_of_any_kind(fields in prop::collection::vec((0usize..512, any::<u8>()), 0..8), len in 0usize..40_000) {
        let mut disk = vec![0; len];
        for (at, magic) in [(0, b"LUKS\xba\xbe\0\x02\0\0\0\0\0\0\x40\0"), (16384, b"SKUL\xba\xbe\0\x02\0\0\0\0\0\0\x40\0")] {
            if let Some(place) = disk.get_mut(at..at + magic.len()) {
                place.copy_from_slice(magic);
            }
        }
        for (at, byte) in fields {
            if let Some(place) = disk.get_mut(at) {
                *place = byte;
            }
        }
        let _ = header::find(&Memory::new(disk));
    }
}

/// The JSON of [`volume`] after changes of four bytes each: a place, a kind of value, a number.
fn edited(edits: &[u8]) -> Value {
    let mut json = volume();
    for edit in edits.chunks_exact(4) {
        let mut paths = Vec::new();
        places(&json, "", &mut paths);
        let number = u64::from(u16::from_be_bytes([edit[2], edit[3]]));
        let new = match edit[1] % 8 {
            0 => Value::Null,
            1 => json!([]),
            2 => json!({}),
            3 => json!(""),
            4 => json!(number),
            5 => json!(number.to_string()),
            6 => json!((u64::MAX - number).to_string()),
            _ => json!(["0"]),
        };
        let path = &paths[usize::from(edit[0]) % paths.len()];
        if let Some(place) = json.pointer_mut(path) {
            *place = new;
        }
    }
    if let Some(iterations) = json.pointer_mut("/digests/0/iterations") {
        *iterations = json!(1);
    }
    json
}

/// One change that sets the JSON's value at `path` to a number in a string.
fn edit(path: &str, number: u16) -> [u8; 4] {
    let mut paths = Vec::new();
    places(&volume(), "", &mut paths);
    let place = paths.iter().position(|other| other == path).unwrap();
    let [high, low] = number.to_be_bytes();
    [u8::try_from(place).unwrap(), 5, high, low]
}

fn with_edits<T>(f: impl FnOnce(&Inputs<'_>) -> T) -> T {
    let good = [
        edit("/segments/0/offset", 65535),
        edit("/keyslots/1/area/offset", 40000),
        edit("/config/keyslots_size", 16384),
    ];
    let good: Vec<_> = good.iter().map(|edit| &edit[..]).collect();
    f(&Inputs {
        good: &good,
        words: &[&[0x80, 0], &[0xff, 0xff], &[0, 0]],
        cases: Some(6000),
        ..Inputs::default()
    })
}

#[test]
fn texts_with_wrong_values() {
    let report =
        with_edits(|inputs| run(inputs, |edits| answer(edited(edits).to_string().as_bytes())));
    report.expect_no_crash();
    report.expect_answers(&[
        "2 keyslots",
        "the keyslots reach into the data; the header is damaged",
        "keyslot  is outside of the place for keyslots; the header is damaged",
        "keyslot  overlaps another one; the header is damaged",
    ]);
}

/// The control: a reader that adds what it reads, and one that takes a field to be there.
#[test]
fn bugs_in_readers_of_texts_are_found() {
    let number = |value: &Value| -> u64 {
        let text = value.as_str().unwrap_or_default();
        text.parse().unwrap_or_default()
    };
    let adds = |edits: &[u8]| {
        let area = &edited(edits)["keyslots"]["1"]["area"];
        let end = number(&area["offset"]).checked_add(number(&area["size"]));
        format!("{}", end.expect("overflow") > 65536)
    };
    let trusts = |edits: &[u8]| {
        let digests = &edited(edits)["digests"];
        let salt = digests["0"]["salt"].as_str().expect("a salt");
        format!("{}", salt.len())
    };
    assert!(with_edits(|inputs| run(inputs, adds)).crash.is_some());
    assert!(with_edits(|inputs| run(inputs, trusts)).crash.is_some());
}

/// A disk with two good copies of a header, after changes of four bytes each: which copy, a place in its fields, a byte; then checksums
/// are made right, unless the first change says otherwise.
fn disk(edits: &[u8]) -> Memory {
    const COPY: usize = 16384;
    let (mut disk, _) = header::tests::disk();
    for edit in edits.chunks_exact(4) {
        let place = usize::from(u16::from_be_bytes([edit[1], edit[2]])) % 512;
        disk.bytes[usize::from(edit[0] % 2) * COPY + place] = edit[3];
    }
    if edits.first().is_some_and(|first| first & 2 == 0) {
        for copy in disk.bytes.chunks_exact_mut(COPY) {
            copy[448..512].fill(0);
            let sum = Sha256::digest(&*copy);
            copy[448..480].copy_from_slice(&sum);
        }
    }
    disk
}

#[test]
fn binary_headers_with_good_checksums() {
    let size = |high: u8, low: u8| [0, 0, 14, high, 0, 0, 15, low];
    let inputs = Inputs {
        good: &[
            &[0, 0, 7, 1],
            &[1, 0, 23, 9],
            &size(0x10, 0),
            &size(0x80, 0),
        ],
        words: &[&[0, 0, 8], &[1, 0, 16], &[0, 1, 7], &[0, 0, 72]],
        cases: Some(600),
        ..Inputs::default()
    };
    let report = run(&inputs, |edits| match header::find(&disk(edits)) {
        Ok(found) => {
            assert_eq!(found.newest.bytes().len() as u64, found.newest.size());
            let _ = answer(found.newest.json());
            format!("{:?}, both {}", found.place, found.both)
        }
        Err(error) => without_numbers(&format!("{error:#}")),
    });
    report.expect_no_crash();
    report.expect_answers(&[
        "First, both true",
        "First, both false",
        "Second, both false",
    ]);
}
