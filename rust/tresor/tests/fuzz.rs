// SPDX-License-Identifier: GPL-2.0
//! The readers of what others wrote, fed with mutations: slot texts, the calls of `/dev/tresor`,
//! the kernel command line, and lines that are typed at the prompt.

use fuzz::{run, Inputs};
use tresor::cmdline;
use tresor::kdf::{Sha256 as _, PASS_PHRASE_MAX};
use tresor::line::{self, Line};
use tresor::reference::Sha256;
use tresor::slot::{Slot, SlotError};
use tresor::uapi::{wrap, Lock, Status, Unlock, VERSION};

/// A good slot.
const SLOT: &[u8] = concat!(
    "1:pbkdf2-sha256:1000:000102030405060708090a0b0c0d0e0f:101112131415161718191a1b1c1d1e1f",
    ":202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f:404142434445464748494a4b4c4d4e4f:5097be02"
)
.as_bytes();

fn slots() -> Inputs<'static> {
    Inputs {
        good: &[SLOT],
        words: &[
            b":",
            b"1:",
            b"pbkdf2-sha256:",
            b"4294967295",
            b"4294967296",
            b"999",
            b":0123456789abcdef",
        ],
        mend: Some(mend_check),
        ..Inputs::default()
    }
}

/// Makes the last eight digits the CHECK of what is before them.
fn mend_check(text: &mut [u8]) {
    let Some(at) = text.len().checked_sub(8) else {
        return;
    };
    let (body, check) = text.split_at_mut(at);
    let digest = Sha256::digest(body.strip_suffix(b":").unwrap_or(body));
    check.copy_from_slice(hex::encode(&digest[..4]).as_bytes());
}

fn slot(text: &[u8]) -> Result<Slot, SlotError> {
    let result = Slot::parse::<Sha256>(text);
    if let Ok(slot) = &result {
        // There is one text for each slot.
        assert_eq!(slot.to_string().as_bytes(), text);
        let _ = slot.engine_block::<Sha256>();
    }
    result
}

/// The result without the slot itself, of which there is no end.
fn slot_answer(text: &[u8]) -> String {
    format!("{:?}", slot(text).map(drop))
}

#[test]
fn slot_texts() {
    let report = run(&slots(), slot_answer);
    report.expect_no_crash();
    // To the last field, and through it.
    report.expect_answers(&[
        "Ok(())",
        "Err(UnknownVersion)",
        "Err(UnknownKdf)",
        "Err(BadIterations)",
        "Err(Missing(Salt))",
        "Err(Missing(Check))",
        "Err(BadLength(Iv))",
        "Err(BadLength(Mac))",
        "Err(NotHex(Mask))",
        "Err(TrailingText)",
        "Err(Damaged)",
    ]);
}

/// What reads an input and says what came of it.
type Reader = fn(&[u8]) -> String;

/// The control: readers with a bug each, that only some inputs reach.
#[test]
fn bugs_in_readers_of_slots_are_found() {
    let bugs: [(&str, Reader); 3] = [
        ("a field that is not there", |text| {
            let fields: Vec<_> = text.split(|&byte| byte == b':').collect();
            if text.starts_with(b"1:pbkdf2-sha256:") {
                return format!("{}", fields[7].len());
            }
            slot_answer(text)
        }),
        ("a number that is too large", |text| {
            let mut fields = text.split(|&byte| byte == b':').skip(2);
            let digits = fields.next().unwrap_or_default();
            if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
                let add = |number: u32, digit: &u8| {
                    let shifted = number.checked_mul(10).expect("overflow");
                    shifted
                        .checked_add(u32::from(digit - b'0'))
                        .expect("overflow")
                };
                return digits.iter().fold(0, add).to_string();
            }
            slot_answer(text)
        }),
        (
            "a digit of the last field, when all others are good",
            |text| {
                let result = slot(text);
                assert!(!matches!(
                    result,
                    Err(SlotError::NotHex(tresor::slot::Field::Check))
                ));
                format!("{:?}", result.map(drop))
            },
        ),
    ];
    for (bug, reader) in bugs {
        assert!(run(&slots(), reader).crash.is_some(), "not found: {bug}");
    }
}

/// A byte for the structure, then its bytes; short ones are filled with zeros.
fn call(bytes: &[u8]) -> String {
    let (which, rest) = bytes.split_first().unwrap_or((&0, &[]));
    match which % 4 {
        0 => match Unlock::decode(&sized(rest)) {
            Ok(call) => {
                assert_eq!(call.encode(), sized(rest));
                assert!((1..=PASS_PHRASE_MAX).contains(&call.pass_phrase_len));
                format!("unlock, slot: {}", call.slot_len > 0)
            }
            Err(error) => format!("unlock: {error:?}"),
        },
        1 => match Lock::decode(&sized(rest)) {
            Ok(call) => {
                assert_eq!(call.encode(), sized(rest));
                format!("{call:?}")
            }
            Err(error) => format!("lock: {error:?}"),
        },
        2 => match Status::decode(&sized(rest)) {
            // The last four bytes are for later.
            Ok(status) => {
                let bytes: [u8; 64] = sized(rest);
                assert_eq!(status.encode()[..60], bytes[..60]);
                "status".into()
            }
            Err(error) => format!("status: {error:?}"),
        },
        _ => format!(
            "wrap: {:?}",
            wrap::Question::decode(rest).map(|question| question.kind < 7)
        ),
    }
}

fn sized<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut sized = [0; N];
    for (to, from) in sized.iter_mut().zip(bytes) {
        *to = *from;
    }
    sized
}

fn with_calls<T>(f: impl FnOnce(&Inputs<'_>) -> T) -> T {
    let unlock = Unlock {
        slot: 0x1000,
        slot_len: 200,
        pass_phrase: 0x2000,
        pass_phrase_len: 20,
        stretched: false,
    };
    let good = [
        [&[0][..], &unlock.encode()].concat(),
        [&[1][..], &Lock { fail: true }.encode()].concat(),
        [&[2][..], &Status::default().encode()].concat(),
        [&[3][..], &wrap::fresh_question(2)].concat(),
    ];
    let good: Vec<_> = good.iter().map(Vec::as_slice).collect();
    f(&Inputs {
        good: &good,
        words: &[
            &VERSION.to_le_bytes(),
            &[0, 2, 0, 0],
            &[1, 2, 0, 0],
            &[0xff; 4],
        ],
        ..Inputs::default()
    })
}

#[test]
fn calls_of_the_device() {
    let report = with_calls(|inputs| run(inputs, call));
    report.expect_no_crash();
    report.expect_answers(&[
        "unlock, slot: true",
        "unlock, slot: false",
        "unlock: Unknown",
        "unlock: Length",
        "Lock { fail: true }",
        "Lock { fail: false }",
        "lock: Unknown",
        "status",
        "status: Unknown",
        "wrap: Ok(true)",
        "wrap: Ok(false)",
        "wrap: Err(Unknown)",
    ]);
}

/// The control: a length that is copied without a look at it.
#[test]
fn a_bug_in_a_reader_of_calls_is_found() {
    let reader = |bytes: &[u8]| {
        let call: [u8; 32] = sized(bytes.get(1..).unwrap_or_default());
        if bytes.first() == Some(&0) && call[..8] == [1, 0, 0, 0, 0, 0, 0, 0] {
            let len = u32::from_le_bytes([call[28], call[29], call[30], call[31]]) as usize;
            return format!("{}", ![0u8; PASS_PHRASE_MAX][..len].is_empty());
        }
        self::call(bytes)
    };
    let report = with_calls(|inputs| run(inputs, reader));
    assert!(report.crash.is_some());
}

#[test]
fn command_lines() {
    let inputs = Inputs {
        good: &[
            b"console=ttyS0 tresor.slot=1:x quiet",
            b"a tresor.slot=\"x\" -- tresor.slot=y",
        ],
        words: &[b"tresor.slot=", b"\"", b" -- ", b" "],
        ..Inputs::default()
    };
    let report = run(&inputs, |line| {
        let value = cmdline::value(line, b"tresor.slot");
        let found = value.is_some_and(|value| {
            assert!(!value.iter().any(u8::is_ascii_whitespace));
            !value.is_empty()
        });
        let word = cmdline::has_word(line, b"quiet");
        format!("{} {found} {word}", value.is_some())
    });
    report.expect_no_crash();
    report.expect_answers(&[
        "true true true",
        "true true false",
        "true false false",
        "false false true",
        "false false false",
    ]);
}

#[test]
fn typed_lines() {
    let long = [b'x'; PASS_PHRASE_MAX + 1];
    let inputs = Inputs {
        good: &[b"pass\x08phrase\n", "pä\x08\n".as_bytes(), &long],
        words: &[b"\n", b"\x03", b"\x08", "ä".as_bytes(), &long],
        ..Inputs::default()
    };
    let report = run(&inputs, |typed| {
        let mut buffer = typed.to_vec();
        let line = line::finish(&mut buffer, typed.len());
        let kept = match line {
            Line::PassPhrase(len) => len,
            _ => 0,
        };
        // Nothing of what was typed stays behind the pass phrase.
        assert!(buffer[kept..].iter().all(|&byte| byte == 0));
        assert!(kept <= PASS_PHRASE_MAX);
        match line {
            Line::PassPhrase(_) => "pass phrase".into(),
            other => format!("{other:?}"),
        }
    });
    report.expect_no_crash();
    report.expect_answers(&["pass phrase", "Empty", "Cancel", "TooLong"]);
}
