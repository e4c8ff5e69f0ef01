// SPDX-License-Identifier: GPL-2.0
//! The XTS engine of each class against the vectors of NIST's Cryptographic Algorithm Validation
//! Program.

mod common;

use common::{for_each_class, handle_of_key, rsp, sector, DIRECTIONS};
use tresor::handle::Variant;
use tresor::user::{self, Direction, Position, Xts};

const S: [u8; 32] = *b"a register secret of tests only!";

/// A file of vectors and what is in it.
struct File {
    path: &'static str,
    /// How many data units are a whole number of bytes, and so are tried.
    bytes: usize,
    /// How many are not.
    bits: usize,
}

/// Tweaks are given as 16 bytes in some files, as numbers of data units in the others.
///
/// IEEE 1619 has data units of any number of bits; a request to the driver is of bytes.
const FILES: [File; 4] = [
    File {
        path: "XTS/tweak-128hexstr/XTSGenAES128.rsp",
        bytes: 800,
        bits: 200,
    },
    File {
        path: "XTS/tweak-128hexstr/XTSGenAES256.rsp",
        bytes: 600,
        bits: 400,
    },
    File {
        path: "XTS/tweak-dataunitseqno/XTSGenAES128.rsp",
        bytes: 800,
        bits: 200,
    },
    File {
        path: "XTS/tweak-dataunitseqno/XTSGenAES256.rsp",
        bytes: 600,
        bits: 400,
    },
];

for_each_class!(vectors, a_flipped_bit_is_noticed);

/// A data unit in both forms.
struct Case {
    /// File, section and count.
    name: String,
    key: Vec<u8>,
    position: Position,
    plain: Vec<u8>,
    cipher: Vec<u8>,
}

impl Case {
    /// What goes in and what must come out.
    fn ends(&mut self, direction: Direction) -> (&[u8], &mut Vec<u8>) {
        match direction {
            Direction::Encrypt => (&self.plain, &mut self.cipher),
            Direction::Decrypt => (&self.cipher, &mut self.plain),
        }
    }
}

impl File {
    /// The cases of whole bytes, after counting all.
    fn cases(&self) -> Vec<Case> {
        let text = rsp::read(self.path);
        let (mut cases, mut bits) = (Vec::new(), 0);
        let sections = text.split_once("[DECRYPT]").unwrap();
        for (section, text) in [("ENCRYPT", sections.0), ("DECRYPT", sections.1)] {
            for case in rsp::cases(text) {
                match self.case(section, case) {
                    Some(case) => cases.push(case),
                    None => bits += 1,
                }
            }
        }
        assert_eq!(
            (cases.len(), bits),
            (self.bytes, self.bits),
            "{}",
            self.path
        );
        cases
    }

    /// One case, which starts with its count; none if its data unit has a part of a byte.
    fn case(&self, section: &str, text: &str) -> Option<Case> {
        let count = text.lines().next().unwrap().trim();
        let name = format!("{} {section} {count}", self.path);
        let field = |name| rsp::field(text, name);
        let number = |text: &str| text.parse::<u64>().unwrap();
        let bytes = |text: &str| hex::decode(text).unwrap();

        let len = number(field("DataUnitLen").unwrap());
        if len % 8 != 0 {
            return None;
        }
        let position = match (field("i"), field("DataUnitSeqNumber")) {
            (Some(tweak_iv), None) => Position {
                tweak_iv: bytes(tweak_iv).try_into().unwrap(),
                first_block: 0,
            },
            (None, Some(data_unit)) => sector(number(data_unit)),
            _ => panic!("{name}: not one tweak"),
        };
        let [key, plain, cipher] = ["Key", "PT", "CT"].map(|name| bytes(field(name).unwrap()));
        assert_eq!(
            (8 * plain.len() as u64, 8 * cipher.len() as u64),
            (len, len),
            "{name}"
        );
        Some(Case {
            name,
            key,
            position,
            plain,
            cipher,
        })
    }
}

/// Does `engine` make of the case's one form the other?
fn agrees(engine: Xts, direction: Direction, case: &mut Case) -> bool {
    let variant = Variant::from_key_len(case.key.len()).unwrap();
    let handle = handle_of_key(&S, [0xff; 16], &case.key);
    let position = case.position;
    let (input, expected) = case.ends(direction);
    let mut data = input.to_vec();
    engine
        .crypt_in_place(variant, direction, &handle, &mut data, &position)
        .unwrap();
    data == *expected
}

/// Each case in both directions, whichever its section is for.
fn vectors(engine: Xts) {
    user::set_secret(&S);
    for mut case in FILES.iter().flat_map(File::cases) {
        for direction in DIRECTIONS {
            assert!(
                agrees(engine, direction, &mut case),
                "{direction:?} {}",
                case.name
            );
        }
    }
}

/// The control of the test above: it fails on any one wrong bit of what must come out.
fn a_flipped_bit_is_noticed(engine: Xts) {
    user::set_secret(&S);
    for file in &FILES {
        let mut case = file.cases().swap_remove(0);
        for direction in DIRECTIONS {
            for bit in 0..8 * case.plain.len() {
                let flip = |case: &mut Case| case.ends(direction).1[bit / 8] ^= 1 << (bit % 8);
                flip(&mut case);
                let agreed = agrees(engine, direction, &mut case);
                flip(&mut case);
                assert!(!agreed, "{direction:?} {}, bit {bit}", case.name);
            }
            assert!(agrees(engine, direction, &mut case));
        }
    }
}
