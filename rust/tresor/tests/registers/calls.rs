// SPDX-License-Identifier: GPL-2.0
//! Calls of the engines, one for each way through them.

use tresor::handle::{Handle, Variant};
use tresor::kdf::{frame_pass_phrase, salt_block, PASS_PHRASE_BUFFER};
use tresor::reference::{self, Sha256};
use tresor::user::probe::Function as Entry;
use tresor::user::{Class, Direction, Position, Unlock, Xts};

use crate::common::{noise, oracle, sector, DIRECTIONS, VARIANTS};
use crate::secrets::{round_keys, tweaks};

pub(crate) const S: [u8; 32] = *b"a register secret of tests only!";

/// Which registers an engine must leave zero: others are as before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wiped {
    /// How many vector registers.
    pub(crate) registers: usize,
    /// How many bytes of each.
    pub(crate) bytes: usize,
}

/// A call of an engine and the secrets that it must not leave behind.
pub(crate) struct Call {
    pub(crate) symbol: String,
    pub(crate) entry: Entry,
    pub(crate) arguments: [u64; 7],
    pub(crate) secrets: Vec<Vec<u8>>,
    /// What the engine returns: by it the way through the engine is chosen.
    pub(crate) status: u64,
    pub(crate) s: [u8; 32],
    pub(crate) wiped: Wiped,
    /// Data before the call, and what the engine makes of it.
    pub(crate) data: [Vec<u8>; 2],
    /// Which argument is the address of the data.
    pub(crate) output: usize,
    /// What the arguments point at.
    pub(crate) _memory: [Vec<u8>; 3],
}

pub(crate) const fn wiped(class: Class) -> Wiped {
    let (registers, bytes) = match class {
        Class::Avx512 | Class::Avx512vl => (32, 64),
        Class::Vaes | Class::Avx => (16, 64),
        Class::Aesni | Class::Ssse3 => (16, 16),
    };
    Wiped { registers, bytes }
}

/// What goes through an XTS engine: bytes of a data unit, how many, its first block; S; the status.
///
/// Together they take every way that an engine has for lengths and numbers.
const XTS: [(usize, usize, u64, [u8; 32], u64); 9] = [
    (16, 1, 3, S, 0),
    (17, 1, 3, S, 0),
    (160, 1, 300, S, 0),
    (511, 1, 3, S, 0),
    (1023, 1, 0, S, 0),
    (512, 9, 0, S, 0),
    (4096, 2, 0, S, 0),
    (512, 1, 3, [0; 32], 1),
    (512, 9, 0, [0; 32], 1),
];

/// Calls of all four functions of an XTS engine.
pub(crate) fn xts_calls(engine: Xts) -> Vec<Call> {
    let mut calls = Vec::new();
    for (variant, direction) in VARIANTS
        .into_iter()
        .flat_map(|variant| DIRECTIONS.map(|direction| (variant, direction)))
    {
        let shape = |way| xts_call(engine, variant, direction, way);
        calls.extend(XTS.map(shape));
    }
    calls
}

fn xts_call(
    engine: Xts,
    variant: Variant,
    direction: Direction,
    (len, units, first_block, s, status): (usize, usize, u64, [u8; 32], u64),
) -> Call {
    let handle = Handle::derived::<Sha256>(&vec![0x77; variant.key_len()]).unwrap();
    let key = reference::volume_key(&S, &handle, variant);
    let (k1, k2) = key.split_at(key.len() / 2);
    let mut secrets = vec![S.to_vec(), key.to_vec()];
    for key in [&S[..], k1, k2] {
        secrets.extend(round_keys(key));
    }
    // Also the next number's: an engine may prepare more tweaks than it needs.
    for unit in 0..=units as u64 {
        let blocks = first_block as usize + len / 16 + 2;
        secrets.extend(tweaks(k2, &sector(7 + unit).tweak_iv, blocks));
    }

    // In front of the run are the blocks that the oracle needs to get to it.
    let start = 16 * first_block as usize;
    let whole = noise(3, start + len * units);
    let after = if status == 0 {
        let unit = |(index, data): (usize, &[u8])| {
            oracle(&key, direction, &sector(7 + index as u64).tweak_iv, data)
        };
        let units = whole.chunks(start + len).enumerate();
        units.flat_map(unit).collect()
    } else {
        whole.clone()
    };
    let before = whole[start..].to_vec();
    let data = [before, after[start..].to_vec()];

    let Position { tweak_iv, .. } = sector(7);
    let handle = [&handle.iv[..], &handle.mask].concat();
    let (work, tweak_iv) = (data[0].clone(), tweak_iv.to_vec());
    let data_at = work.as_ptr() as u64;
    let operation = match direction {
        Direction::Encrypt => "enc",
        Direction::Decrypt => "dec",
    };
    Call {
        symbol: format!("tresor_xts_{}_{operation}_{}", engine.name(), 4 * key.len()),
        entry: engine.function(variant, direction),
        arguments: [
            handle.as_ptr() as u64,
            data_at,
            data_at,
            len as u64,
            tweak_iv.as_ptr() as u64,
            first_block,
            units as u64,
        ],
        secrets,
        status,
        s,
        wiped: wiped(engine.class()),
        data,
        output: 1,
        _memory: [handle, work, tweak_iv],
    }
}

/// Calls of the unlock engines that this CPU can run.
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
                wiped: wiped(Class::Aesni),
                data: [vec![], vec![]],
                output: 1,
                _memory: [pass, salt, block],
            });
        }
    }
    calls
}

impl Call {
    /// Puts the data back as it was before the first call.
    pub(crate) fn reset(&self) {
        let [before, _] = &self.data;
        // SAFETY: the argument is the address of as many bytes, which are the call's own; an unlock
        // call has no data.
        unsafe {
            std::ptr::copy_nonoverlapping(
                before.as_ptr(),
                self.arguments[self.output] as *mut u8,
                before.len(),
            )
        }
    }

    /// Whether the data is what the engine has to make of it.
    pub(crate) fn is_right(&self) -> bool {
        let [_, after] = &self.data;
        // SAFETY: as in `reset`.
        let now = unsafe {
            std::slice::from_raw_parts(self.arguments[self.output] as *const u8, after.len())
        };
        now == after
    }
}
