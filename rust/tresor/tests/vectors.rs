// SPDX-License-Identifier: GPL-2.0
//! The committed vectors of the kernel's self tests: as generated, and right for the engines.

#[path = "../examples/testmgr_vectors/generate.rs"]
mod generate;

use amnesia::wrapped::Wrapped;
use tresor::handle::{Handle, KeySize, Variant};
use tresor::public_secret::PUBLIC_S;
use tresor::reference::Sha256;
use tresor::user::{self, Direction, Mode, Modes, Position, Wrap, Xts};

const COMMITTED: &str = include_str!("../src/kmod/testmgr_vectors.h");

#[test]
fn committed_file_is_the_generated_one() {
    let hint = "run: cargo run -p tresor --features reference --example testmgr_vectors > rust/tresor/src/kmod/testmgr_vectors.h";
    assert!(
        COMMITTED == generate::header(),
        "src/kmod/testmgr_vectors.h is out of date; {hint}"
    );
    assert!(COMMITTED.len() < 80_000);
}

/// A vector, as the C text has it.
#[derive(Clone)]
struct Vector {
    key: Vec<u8>,
    iv: [u8; 16],
    plain: Vec<u8>,
    cipher: Vec<u8>,
    /// What the kernel compares the IV with afterwards.
    iv_out: Option<Vec<u8>>,
}

/// The vectors of the array with this name.
fn vectors(name: &str) -> Vec<Vector> {
    let start = format!("tresor_{name}_tv_template[] = {{\n");
    let array = COMMITTED.split_once(&start).unwrap().1;
    let array = array.split_once("\n};\n").unwrap().0;
    array
        .split("}, {")
        .map(|text| {
            let field = |name| field(text, name);
            Vector {
                key: field("key").unwrap(),
                iv: field("iv").map_or([0; 16], |iv| iv.try_into().unwrap()),
                plain: field("ptext").unwrap(),
                cipher: field("ctext").unwrap(),
                iv_out: field("iv_out"),
            }
        })
        .collect()
}

/// The bytes of a field.
fn field(text: &str, name: &str) -> Option<Vec<u8>> {
    let rest = text.split_once(&format!("\t.{name}\t= \""))?.1;
    let text = rest.split(",\n").next().unwrap();
    let digits: String = text.split("\\x").skip(1).map(|byte| &byte[..2]).collect();
    Some(hex::decode(digits).unwrap())
}

#[test]
fn engines_pass_the_committed_vectors() {
    user::set_secret(&PUBLIC_S);
    let engines = Xts::all();
    assert!(
        !engines.is_empty(),
        "this test needs a CPU with AES-NI and SSE4.1"
    );
    let vectors = vectors("xts");
    assert_eq!(vectors.len(), 20);
    for vector in vectors {
        let variant = Variant::from_key_len(vector.key.len()).unwrap();
        let handle = Handle::derived::<Sha256>(&vector.key).unwrap();
        let position = Position {
            tweak_iv: vector.iv,
            first_block: 0,
        };
        for engine in &engines {
            let mut data = vector.plain.clone();
            engine
                .crypt_in_place(variant, Direction::Encrypt, &handle, &mut data, &position)
                .unwrap();
            let len = data.len();
            assert_eq!(data, vector.cipher, "{} {len} bytes", engine.name());
        }
    }
}

/// Modes by the name of their array, with the number of their vectors; none stands for CBC with
/// ESSIV.
const MODES: [(&str, Option<Mode>, usize); 4] = [
    ("ecb", Some(Mode::Ecb), 7),
    ("cbc", Some(Mode::Cbc), 7),
    ("essiv_cbc", None, 7),
    ("ctr", Some(Mode::Ctr), 10),
];

#[test]
fn engines_of_modes_pass_the_committed_vectors() {
    user::set_secret(&PUBLIC_S);
    let engines = Modes::all();
    assert!(!engines.is_empty(), "this test needs a CPU with SSSE3");
    for (name, mode, count) in MODES {
        let vectors = vectors(name);
        assert_eq!(vectors.len(), count, "{name}");
        for vector in vectors {
            let size = KeySize::from_key_len(vector.key.len()).unwrap();
            let handle = Handle::derived_aes::<Sha256>(&vector.key).unwrap();
            for engine in &engines {
                let mut data = vector.plain.clone();
                if let Some(mode) = mode {
                    let how = (mode, size, Direction::Encrypt);
                    engine
                        .crypt_in_place(how, &handle, &mut data, &vector.iv)
                        .unwrap();
                } else {
                    let essiv = Handle::derived_essiv::<Sha256>(&vector.key);
                    let how = (size, Direction::Encrypt);
                    engine
                        .essiv_in_place(how, &handle, &essiv, &mut data, &vector.iv)
                        .unwrap();
                }
                let len = data.len();
                let class = engine.class().name();
                assert_eq!(data, vector.cipher, "{class} {name} {len} bytes");
            }
        }
    }
}

#[test]
fn engines_pass_the_committed_vectors_of_wrapped_handles() {
    user::set_secret(&PUBLIC_S);
    let wrapped = |vector: &Vector| Wrapped::parse::<Sha256>(&vector.key).unwrap();
    for class in Wrap::all() {
        let all = [vectors("amnesia_xts"), vectors("amnesia_cbc")].concat();
        assert_eq!(all.len(), 4 + 3);
        for handle in all.iter().map(wrapped) {
            let verdict = class.verify(&handle.digest::<Sha256>(), handle.mac());
            assert_eq!(verdict, Ok(()));
            assert_eq!(class.id(), Ok(*handle.id()));
        }
    }
    for vector in vectors("amnesia_xts") {
        let variant = wrapped(&vector).kind().xts().unwrap();
        let position = Position {
            tweak_iv: vector.iv,
            first_block: 0,
        };
        for engine in Xts::all() {
            let mut data = vector.plain.clone();
            let handle = *wrapped(&vector).handle();
            engine
                .crypt_in_place(variant, Direction::Encrypt, &handle, &mut data, &position)
                .unwrap();
            assert_eq!(data, vector.cipher, "{}", engine.name());
        }
    }
    for vector in vectors("amnesia_cbc") {
        let how = (
            Mode::Cbc,
            wrapped(&vector).kind().cbc().unwrap(),
            Direction::Encrypt,
        );
        for engine in Modes::all() {
            let mut data = vector.plain.clone();
            let handle = *wrapped(&vector).handle();
            engine
                .crypt_in_place(how, &handle, &mut data, &vector.iv)
                .unwrap();
            assert_eq!(data, vector.cipher, "{}", engine.class().name());
        }
    }
}

/// The IV that the crypto API wants back from each mode that hands one on.
#[test]
fn vectors_tell_the_iv_of_what_follows() {
    for (name, mode, _) in MODES {
        for vector in vectors(name) {
            match mode {
                Some(Mode::Ecb) => assert_eq!(vector.iv_out, None),
                Some(Mode::Ctr) => {
                    let blocks = vector.plain.len().div_ceil(16) as u128;
                    let next = u128::from_be_bytes(vector.iv).wrapping_add(blocks);
                    assert_eq!(vector.iv_out.unwrap(), next.to_be_bytes());
                }
                _ => {
                    let last = vector.cipher.len() - 16;
                    assert_eq!(vector.iv_out.unwrap(), vector.cipher[last..]);
                }
            }
        }
    }
}
