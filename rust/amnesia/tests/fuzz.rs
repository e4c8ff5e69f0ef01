// SPDX-License-Identifier: GPL-2.0
//! The reader of wrapped handles, fed with mutations of good ones.

use amnesia::wrapped::{Kind, Wrapped, WrappedError, SIZE};
use fuzz::{run, Inputs};
use tresor::kdf::Sha256 as _;
use tresor::reference::Sha256;

/// Makes CHECK right, if the length is.
fn mend_check(bytes: &mut [u8]) {
    if bytes.len() == SIZE {
        let digest = Sha256::digest(&bytes[..112]);
        bytes[112..116].copy_from_slice(&digest[..4]);
    }
}

fn parse(bytes: &[u8]) -> Result<Wrapped, WrappedError> {
    let result = Wrapped::parse::<Sha256>(bytes);
    if let Ok(wrapped) = &result {
        // There is one encoding of each handle.
        assert_eq!(wrapped.encode::<Sha256>()[..], *bytes);
        let _ = wrapped.verify_block::<Sha256>();
    }
    result
}

fn answer(bytes: &[u8]) -> String {
    match parse(bytes) {
        Ok(wrapped) => format!("{:?}", wrapped.kind()),
        // Without the length, of which there is no end.
        Err(WrappedError::BadLength { .. }) => "BadLength".into(),
        Err(error) => format!("{error:?}"),
    }
}

fn with_inputs<T>(f: impl FnOnce(&Inputs<'_>) -> T) -> T {
    let handles: Vec<_> = Kind::ALL
        .into_iter()
        .map(|kind| Wrapped::new(kind, [1; 8], [2; 16], &[3; 64], [4; 16]).encode::<Sha256>())
        .collect();
    let good: Vec<_> = handles.iter().map(|handle| &handle[..]).collect();
    f(&Inputs {
        good: &good,
        words: &[b"amn1", b"amn2", &[0; 16]],
        mend: Some(mend_check),
        ..Inputs::default()
    })
}

#[test]
fn wrapped_handles() {
    let report = with_inputs(|inputs| run(inputs, answer));
    report.expect_no_crash();
    report.expect_answers(&[
        "XtsAes128",
        "XtsAes256",
        "Aes128",
        "Aes192",
        "Aes256",
        "BadLength",
        "NotWrapped",
        "UnknownVersion",
        "Damaged",
        "UnknownKind",
        "NotZero",
    ]);
}

/// The control: readers that trust the length, and the kind.
#[test]
fn bugs_in_readers_of_handles_are_found() {
    let short = |bytes: &[u8]| {
        if bytes.starts_with(b"amn1") {
            return format!("{}", bytes[96] % 2);
        }
        answer(bytes)
    };
    assert!(with_inputs(|inputs| run(inputs, short)).crash.is_some());
    // Only reached when CHECK is right and the number of the kind is not.
    let kind = |bytes: &[u8]| {
        let result = parse(bytes);
        assert_ne!(result, Err(WrappedError::UnknownKind));
        answer(bytes)
    };
    assert!(with_inputs(|inputs| run(inputs, kind)).crash.is_some());
}
