// SPDX-License-Identifier: GPL-2.0
//! Calls of the engines, one for each way through them.

use tresor::handle::Handle;
use tresor::kdf::{frame_pass_phrase, salt_block, PASS_PHRASE_BUFFER};
use tresor::reference::{self, Sha256};
use tresor::user::probe::Function as Entry;
use tresor::user::{Direction, Unlock};

use crate::common::{noise, sector, xts, DIRECTIONS, VARIANTS};

const S: [u8; 32] = *b"a register secret of tests only!";

/// A call of an engine and the secrets that it must not leave behind.
pub(crate) struct Call {
    pub(crate) symbol: String,
    pub(crate) entry: Entry,
    pub(crate) arguments: [u64; 6],
    pub(crate) secrets: Vec<Vec<u8>>,
    /// What the engine returns: by it the way through the engine is chosen.
    pub(crate) status: u64,
    pub(crate) s: [u8; 32],
    /// What the arguments point at.
    _memory: [Vec<u8>; 3],
}

pub(crate) fn xts_calls() -> Vec<Call> {
    let mut calls = Vec::new();
    for (variant, direction) in VARIANTS
        .into_iter()
        .flat_map(|variant| DIRECTIONS.map(|direction| (variant, direction)))
    {
        for (len, s, status) in [
            (16, S, 0),
            (17, S, 0),
            (160, S, 0),
            (511, S, 0),
            (512, [0; 32], 1),
        ] {
            let handle = Handle::derived::<Sha256>(&vec![0x77; variant.key_len()]).unwrap();
            let key = reference::volume_key(&S, &handle, variant);
            let position = sector(7);
            let mut secrets = vec![S.to_vec(), key.to_vec()];
            if let Ok(k2) = <&[u8; 32]>::try_from(&key[key.len() / 2..]) {
                secrets.extend(tweaks(k2, &position.tweak_iv));
            }
            let handle = [&handle.iv[..], &handle.mask].concat();
            let (data, tweak_iv) = (noise(3, len), position.tweak_iv.to_vec());
            let data_at = data.as_ptr() as u64;
            let operation = if direction == Direction::Encrypt {
                "enc"
            } else {
                "dec"
            };
            calls.push(Call {
                symbol: format!("tresor_xts_aesni_{operation}_{}", 4 * key.len()),
                entry: xts().function(variant, direction),
                arguments: [
                    handle.as_ptr() as u64,
                    data_at,
                    data_at,
                    len as u64,
                    tweak_iv.as_ptr() as u64,
                    3,
                ],
                secrets,
                status,
                s,
                _memory: [handle, data, tweak_iv],
            });
        }
    }
    calls
}

/// The first tweaks of a data unit of XTS-AES-256: AES-256_K2 of its number, doubled in GF(2^128)
/// for each block (IEEE Std 1619, 5.2).
fn tweaks(k2: &[u8; 32], tweak_iv: &[u8; 16]) -> Vec<Vec<u8>> {
    let first = u128::from_le_bytes(*reference::key_stream(k2, tweak_iv, 0));
    let double = |tweak: &u128| Some(tweak << 1 ^ if tweak >> 127 == 1 { 0x87 } else { 0 });
    std::iter::successors(Some(first), double)
        .take(64)
        .map(|tweak| tweak.to_le_bytes().to_vec())
        .collect()
}

pub(crate) fn unlock_calls() -> Vec<Call> {
    let pass_phrase = noise(9, 100);
    let slot = reference::new_slot(&pass_phrase, 1000, [1; 16], [2; 16], [3; 32]).unwrap();
    let p = reference::pass_phrase_key(&pass_phrase, &[1; 16], 1000);
    let s = reference::register_secret(&slot, &p);
    // With this mask S would be zero: XORed with S, the mask is its own key stream.
    let mask: Vec<u8> = slot
        .mask()
        .iter()
        .zip(s.iter())
        .map(|(mask, s)| mask ^ s)
        .collect();
    let zero = reference::new_slot(
        &pass_phrase,
        1000,
        [1; 16],
        [2; 16],
        mask.try_into().unwrap(),
    )
    .unwrap();
    let mut calls = Vec::new();
    for engine in Unlock::all() {
        for (slot, change, status) in [(&slot, 0, 0), (&slot, 1, 1), (&zero, 0, 2), (&slot, 0, 3)] {
            let mut pass = vec![0; PASS_PHRASE_BUFFER];
            pass[..100].copy_from_slice(&pass_phrase);
            pass[0] ^= change;
            let pass_blocks = frame_pass_phrase(&mut pass, 100).unwrap();
            let (salt, block) = (
                salt_block(slot.salt()).to_vec(),
                slot.engine_block::<Sha256>().to_vec(),
            );
            calls.push(Call {
                symbol: format!("tresor_unlock_{}", engine.name()),
                entry: engine.function(),
                arguments: [
                    pass.as_ptr() as u64,
                    pass_blocks,
                    salt.as_ptr() as u64,
                    1000,
                    block.as_ptr() as u64,
                    0,
                ],
                secrets: vec![
                    p.to_vec(),
                    s.to_vec(),
                    reference::mac_key(slot, &p).to_vec(),
                    pass_phrase.clone(),
                ],
                status,
                s: [0; 32],
                _memory: [pass, salt, block],
            });
        }
    }
    calls
}
