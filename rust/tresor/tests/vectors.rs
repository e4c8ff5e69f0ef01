// SPDX-License-Identifier: GPL-2.0
//! The committed vectors of the kernel's self tests: as generated, and right for the engines.

#[path = "../examples/testmgr_vectors/generate.rs"]
mod generate;

use tresor::handle::{Handle, Variant};
use tresor::public_secret::PUBLIC_S;
use tresor::reference::Sha256;
use tresor::user::{self, Direction, Position, Xts};

const COMMITTED: &str = include_str!("../src/kmod/testmgr_vectors.h");

#[test]
fn committed_file_is_the_generated_one() {
    let hint = "run: cargo run -p tresor --features reference --example testmgr_vectors > rust/tresor/src/kmod/testmgr_vectors.h";
    assert!(
        COMMITTED == generate::header(),
        "src/kmod/testmgr_vectors.h is out of date; {hint}"
    );
    assert!(COMMITTED.len() < 60_000);
}

/// The bytes of each field `name` of the C text, in order.
fn fields(name: &str) -> Vec<Vec<u8>> {
    let start = format!("\t.{name}\t= \"");
    COMMITTED
        .split(&start)
        .skip(1)
        .map(|rest| {
            let text = rest.split(",\n").next().unwrap();
            let digits: String = text.split("\\x").skip(1).map(|byte| &byte[..2]).collect();
            hex::decode(digits).unwrap()
        })
        .collect()
}

#[test]
fn engines_pass_the_committed_vectors() {
    user::set_secret(&PUBLIC_S);
    let engines = Xts::all();
    assert!(
        !engines.is_empty(),
        "this test needs a CPU with AES-NI and SSE4.1"
    );
    let (keys, ivs, plains, ciphers) = (
        fields("key"),
        fields("iv"),
        fields("ptext"),
        fields("ctext"),
    );
    assert_eq!(
        [keys.len(), ivs.len(), plains.len(), ciphers.len()],
        [20; 4]
    );
    for (((key, iv), plain), cipher) in keys.iter().zip(ivs).zip(plains).zip(ciphers) {
        let variant = Variant::from_key_len(key.len()).unwrap();
        let handle = Handle::derived::<Sha256>(key).unwrap();
        let position = Position {
            tweak_iv: iv.try_into().unwrap(),
            first_block: 0,
        };
        for engine in &engines {
            let mut data = plain.clone();
            engine
                .crypt_in_place(variant, Direction::Encrypt, &handle, &mut data, &position)
                .unwrap();
            assert_eq!(data, cipher, "{} {} bytes", engine.name(), cipher.len());
        }
    }
}
