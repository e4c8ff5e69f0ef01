// SPDX-License-Identifier: GPL-2.0
//! Calls of ECB, CBC, CTR and CBC with ESSIV, and what they leave behind.

use std::sync::PoisonError;

use tresor::handle::{Handle, Variant};
use tresor::reference::{self, Aes, Sha256};
use tresor::user::{Direction, KeySize, Mode, Modes};

use crate::calls::{wiped, Call, S};
use crate::common::{for_each_mode_class, mode_oracle, noise, DIRECTIONS, SIZES};
use crate::controls::assert_every_wipe_counts;
use crate::secrets::round_keys;
use crate::{assert_nothing_left, ENGINES};

for_each_mode_class!(nothing_is_left_behind, control_every_wipe_counts);

fn nothing_is_left_behind(class: Modes) {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    assert_nothing_left(&calls(class));
}

fn control_every_wipe_counts(class: Modes) {
    assert_every_wipe_counts(&calls(class));
}

/// Calls of every function with S and without. No mode stands for CBC with ESSIV.
fn calls(class: Modes) -> Vec<Call> {
    let mut calls = Vec::new();
    for mode in [Some(Mode::Ecb), Some(Mode::Cbc), Some(Mode::Ctr), None] {
        // CTR's is the same function in both directions.
        let directions = if mode == Some(Mode::Ctr) {
            &DIRECTIONS[..1]
        } else {
            &DIRECTIONS
        };
        for (size, &direction) in SIZES
            .into_iter()
            .flat_map(|size| directions.iter().map(move |d| (size, d)))
        {
            for (s, status) in [(S, 0), ([0; 32], 1)] {
                calls.push(call(class, mode, size, direction, s, status));
            }
        }
    }
    calls
}

fn call(
    class: Modes,
    mode: Option<Mode>,
    (size, bytes): (KeySize, usize),
    direction: Direction,
    s: [u8; 32],
    status: u64,
) -> Call {
    let [handle, essiv] = [0x77, 0x78].map(|byte| Handle::derived::<Sha256>(&[byte; 32]).unwrap());
    let [key, essiv_key] =
        [handle, essiv].map(|handle| reference::volume_key(&S, &handle, Variant::Aes128));
    let iv: [u8; 16] = noise(5, 16).try_into().unwrap();
    let mut encrypted_iv = iv;
    Aes::new(&essiv_key).unwrap().ecb_encrypt(&mut encrypted_iv);
    // All ways: the bulk, single blocks, and CTR's part of one.
    let len = if mode == Some(Mode::Ctr) { 205 } else { 208 };
    let before = noise(3, len);
    let after = match (status, mode) {
        (1, _) => before.clone(),
        (_, Some(mode)) => mode_oracle(mode, direction, &key[..bytes], &iv, &before),
        (_, None) => mode_oracle(Mode::Cbc, direction, &key[..bytes], &encrypted_iv, &before),
    };

    let mut secrets = vec![
        S.to_vec(),
        key.to_vec(),
        essiv_key.to_vec(),
        encrypted_iv.to_vec(),
    ];
    for key in [&S[..], &key[..bytes], &essiv_key[..]] {
        secrets.extend(round_keys(key));
    }
    if mode == Some(Mode::Ctr) {
        // The key stream, and what is left of its last block.
        let mut stream = vec![0; len.next_multiple_of(16)];
        Aes::new(&key[..bytes]).unwrap().ctr(&iv, &mut stream);
        secrets.push(stream);
    }

    let handles = [&handle.iv[..], &handle.mask, &essiv.iv, &essiv.mask].concat();
    let (work, iv) = (before.clone(), iv.to_vec());
    let data_at = work.as_ptr() as u64;
    let name = mode.map_or("essiv_cbc".to_owned(), |mode| {
        format!("{mode:?}").to_lowercase()
    });
    let operation = match (mode, direction) {
        (Some(Mode::Ctr), _) => "",
        (_, Direction::Encrypt) => "enc_",
        (_, Direction::Decrypt) => "dec_",
    };
    Call {
        symbol: format!(
            "tresor_{name}_{}_{operation}{}",
            class.class().name(),
            8 * bytes
        ),
        entry: match mode {
            Some(mode) => class.function(mode, size, direction),
            None => class.essiv_function(size, direction),
        },
        arguments: [
            handles.as_ptr() as u64,
            data_at,
            data_at,
            len as u64,
            iv.as_ptr() as u64,
            handles.as_ptr() as u64 + 80,
            0,
        ],
        secrets,
        status,
        s,
        wiped: wiped(class.class()),
        data: [before, after],
        output: 1,
        _memory: [handles, work, iv],
    }
}
