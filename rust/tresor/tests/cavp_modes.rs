// SPDX-License-Identifier: GPL-2.0
//! The engines of ECB, CBC and CTR against vectors of others: of NIST's Cryptographic Algorithm
//! Validation Program, of RFC 3686 (CTR, which that program has no files for), of Wycheproof.

mod common;

use common::{for_each_mode_class, handle_of_aes_key, rsp, DIRECTIONS, SIZES};
use tresor::handle::KeySize;
use tresor::user::{self, Direction, Mode, Modes};
use wycheproof::cipher::{TestName, TestSet};
use wycheproof::TestResult;

const S: [u8; 32] = *b"a register secret of tests only!";

for_each_mode_class!(
    vectors_of_nist,
    vectors_of_rfc_3686,
    a_flipped_bit_is_noticed,
    wycheproof_cbc,
);

/// Kinds of files: known answers for single bits and S-boxes, and messages of several blocks.
const KINDS: [&str; 5] = ["GFSbox", "KeySbox", "VarKey", "VarTxt", "MMT"];

/// Data in both forms.
struct Case {
    /// File and count.
    name: String,
    mode: Mode,
    key: Vec<u8>,
    iv: [u8; 16],
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

    fn from_text(mode: Mode, path: &str, text: &str) -> Self {
        let count = text.lines().next().unwrap().trim();
        let bytes = |name| rsp::field(text, name).map(|text| hex::decode(text).unwrap());
        Self {
            name: format!("{path} {count}"),
            mode,
            key: bytes("KEY").unwrap(),
            // ECB has none.
            iv: bytes("IV").map_or([0; 16], |iv| iv.try_into().unwrap()),
            plain: bytes("PLAINTEXT").unwrap(),
            cipher: bytes("CIPHERTEXT").unwrap(),
        }
    }
}

/// All cases of a file.
fn cases(mode: Mode, path: &str) -> Vec<Case> {
    let text = rsp::read(path);
    rsp::cases(&text)
        .map(|text| Case::from_text(mode, path, text))
        .collect()
}

/// NIST's files of a mode and key size.
fn files(mode: Mode, size: KeySize) -> impl Iterator<Item = String> {
    let name = match mode {
        Mode::Ecb => "ECB",
        Mode::Cbc => "CBC",
        Mode::Ctr => panic!("NIST has no files of CTR"),
    };
    let bits = 8 * size.key_len();
    KINDS
        .into_iter()
        .map(move |kind| format!("{name}/{name}{kind}{bits}.rsp"))
}

/// The file with the vectors of RFC 3686.
fn file_of_ctr(size: KeySize) -> String {
    format!("CTR/aes-{}-ctr.txt", 8 * size.key_len())
}

/// Does the engine make of the case's one form the other?
fn agrees(class: Modes, direction: Direction, case: &mut Case) -> bool {
    let size = KeySize::from_key_len(case.key.len()).unwrap();
    let handle = handle_of_aes_key(&S, [0xff; 16], &case.key);
    let (mode, iv) = (case.mode, case.iv);
    let (input, expected) = case.ends(direction);
    let mut data = input.to_vec();
    class
        .crypt_in_place((mode, size, direction), &handle, &mut data, &iv)
        .unwrap();
    data == *expected
}

/// Each case in both directions, whichever its section is for.
fn assert_agrees(class: Modes, cases: Vec<Case>) {
    for mut case in cases {
        for direction in DIRECTIONS {
            assert!(
                agrees(class, direction, &mut case),
                "{direction:?} {}",
                case.name
            );
        }
    }
}

fn vectors_of_nist(class: Modes) {
    user::set_secret(&S);
    for mode in [Mode::Ecb, Mode::Cbc] {
        for ((size, _), count) in SIZES.into_iter().zip([588, 720, 830]) {
            let cases: Vec<_> = files(mode, size)
                .flat_map(|path| cases(mode, &path))
                .collect();
            assert_eq!(cases.len(), count, "{mode:?} {size:?}");
            assert_agrees(class, cases);
        }
    }
}

/// RFC 3686, section 6: the counter is the nonce, the IV and a block number in one.
fn vectors_of_rfc_3686(class: Modes) {
    user::set_secret(&S);
    for (size, _) in SIZES {
        let cases = cases(Mode::Ctr, &file_of_ctr(size));
        assert_eq!(cases.len(), 3, "{size:?}");
        assert_agrees(class, cases);
    }
}

/// The control of the tests above: they fail on any one wrong bit of what must come out.
fn a_flipped_bit_is_noticed(class: Modes) {
    user::set_secret(&S);
    let of_nist = [Mode::Ecb, Mode::Cbc]
        .into_iter()
        .flat_map(|mode| files(mode, KeySize::Aes192).map(move |path| (mode, path)));
    let of_ctr = (Mode::Ctr, file_of_ctr(KeySize::Aes192));
    for (mode, path) in of_nist.chain([of_ctr]) {
        let mut case = cases(mode, &path).pop().unwrap();
        for direction in DIRECTIONS {
            for bit in 0..8 * case.plain.len() {
                let flip = |case: &mut Case| case.ends(direction).1[bit / 8] ^= 1 << (bit % 8);
                flip(&mut case);
                let agreed = agrees(class, direction, &mut case);
                flip(&mut case);
                assert!(!agreed, "{direction:?} {}, bit {bit}", case.name);
            }
            assert!(agrees(class, direction, &mut case));
        }
    }
}

/// Wycheproof has CBC with PKCS #5 padding only, so the padding is done here. What the invalid
/// cases get wrong is the padding, or that there are no whole blocks.
fn wycheproof_cbc(class: Modes) {
    user::set_secret(&S);
    let (mut valid, mut bad_padding, mut no_blocks) = (0, 0, 0);
    for group in TestSet::load(TestName::AesCbcPkcs5).unwrap().test_groups {
        for case in group.tests {
            let size = KeySize::from_key_len(case.key.len()).unwrap();
            let handle = handle_of_aes_key(&S, [0xff; 16], &case.key);
            let iv: [u8; 16] = case.nonce[..].try_into().unwrap();
            let mut data = case.ct.to_vec();
            if data.is_empty() || data.len() % 16 != 0 {
                assert_eq!(case.result, TestResult::Invalid, "case {}", case.tc_id);
                no_blocks += 1;
                continue;
            }
            let decrypt = (Mode::Cbc, size, Direction::Decrypt);
            class
                .crypt_in_place(decrypt, &handle, &mut data, &iv)
                .unwrap();
            if case.result == TestResult::Invalid {
                assert_eq!(unpadded(&data), None, "case {}", case.tc_id);
                bad_padding += 1;
                continue;
            }
            assert_eq!(unpadded(&data), Some(&case.pt[..]), "case {}", case.tc_id);
            let encrypt = (Mode::Cbc, size, Direction::Encrypt);
            class
                .crypt_in_place(encrypt, &handle, &mut data, &iv)
                .unwrap();
            assert_eq!(data, case.ct[..], "case {}", case.tc_id);
            valid += 1;
        }
    }
    assert_eq!((valid, bad_padding, no_blocks), (72, 141, 3));
}

/// The message before PKCS #5 padding: as many bytes as each of them says, 1 to 16.
fn unpadded(data: &[u8]) -> Option<&[u8]> {
    let count = *data.last()?;
    let at = data.len().checked_sub(count.into())?;
    let (message, padding) = data.split_at(at);
    let right = (1..=16).contains(&count) && padding.iter().all(|&byte| byte == count);
    right.then_some(message)
}
