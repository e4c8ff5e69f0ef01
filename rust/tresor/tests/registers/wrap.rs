// SPDX-License-Identifier: GPL-2.0
//! Calls of the functions of wrapped handles, and what they leave behind.

use std::sync::PoisonError;

use amnesia::reference as wrapping;
use amnesia::wrapped::{Kind, ID_TAG, MAC_TAG};
use tresor::reference;
use tresor::user::{Wrap, Wrapping};

use crate::calls::{wiped, Call, S};
use crate::common::noise;
use crate::controls::assert_every_wipe_counts;
use crate::secrets::round_keys;
use crate::{assert_nothing_left, ENGINES};

#[test]
fn nothing_is_left_behind_by_wrapping() {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    assert_nothing_left(&calls());
}

#[test]
fn control_every_wipe_of_wrapping_counts() {
    assert_every_wipe_counts(&calls());
}

/// Calls of every function of every class that this CPU can run, for each of its statuses.
fn calls() -> Vec<Call> {
    let mut calls = Vec::new();
    for class in Wrap::all() {
        for which in Wrapping::ALL {
            for (s, status) in [(S, 0), ([0; 32], 1), (S, 2)] {
                if status < 2 || which == Wrapping::Verify {
                    calls.push(call(class, which, s, status));
                }
            }
        }
    }
    calls
}

fn call(class: Wrap, which: Wrapping, s: [u8; 32], status: u64) -> Call {
    // The longest key, so that no register is zero anyway.
    let kind = Kind::XtsAes256;
    let iv: [u8; 16] = noise(5, 16).try_into().unwrap();
    let key = noise(6, kind.key_len());
    let digest: [u8; 32] = noise(7, 32).try_into().unwrap();
    let mac_key = wrapping::mac_key(&S);
    let mac = reference::cbc_mac(&mac_key, &digest);

    let mut secrets = vec![S.to_vec(), mac_key.to_vec()];
    secrets.extend((0..4).map(|block| reference::key_stream(&S, &iv, block).to_vec()));
    for key in [&S, &*mac_key] {
        secrets.extend(round_keys(key));
    }
    // The half of the block that is not the id.
    secrets.push(reference::key_stream(&S, &ID_TAG, 0)[8..].to_vec());
    secrets.push(reference::key_stream(&S, &MAC_TAG, 0).to_vec());

    let (first, second, after) = match which {
        Wrapping::Id => {
            let id = [&wrapping::id_of(&S)[..], &[0; 8]].concat();
            (vec![], vec![], id)
        }
        Wrapping::Mask => {
            secrets.push(key.clone());
            let wrapped = wrapping::wrap(&S, kind, &key, iv).unwrap();
            let place = [&iv[..], &kind.key_bytes()].concat();
            (key, place, wrapped.handle().mask.to_vec())
        }
        Wrapping::Mac => (digest.to_vec(), vec![], mac.to_vec()),
        Wrapping::Verify => {
            let mut block = [&digest[..], &mac].concat();
            if status == 2 {
                block[47] ^= 0x80;
                // What is compared with.
                secrets.push(mac.to_vec());
            }
            (block, vec![], vec![])
        }
    };
    let before = vec![0xcc; after.len()];
    let work = before.clone();
    Call {
        symbol: format!("tresor_wrap_{}_{}", which.name(), class.class().name()),
        entry: class.function(which),
        arguments: [
            first.as_ptr() as u64,
            second.as_ptr() as u64,
            work.as_ptr() as u64,
            0,
            0,
            0,
            0,
        ],
        secrets,
        status,
        s,
        wiped: wiped(class.class()),
        data: [before.clone(), if status == 0 { after } else { before }],
        output: 2,
        _memory: [first, second, work],
    }
}
