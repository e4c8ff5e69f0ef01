// SPDX-License-Identifier: GPL-2.0
//! Runs the engines with every register and the whole stack filled, and looks at what is left in
//! them.
//!
//! The controls change single instructions of the running engine and expect the same look to
//! notice.

mod common;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use common::audit::zeroed;
use common::object::{functions, Function};
use common::{noise, sector, xts, DIRECTIONS, PAGE, VARIANTS};
use iced_x86::{Decoder, Instruction, Mnemonic, Register};
use rustix::mm::{mprotect, MprotectFlags};
use tresor::handle::Handle;
use tresor::kdf::{frame_pass_phrase, salt_block, PASS_PHRASE_BUFFER};
use tresor::reference::{self, Sha256};
use tresor::user::probe::{Function as Entry, Probe};
use tresor::user::{self, Direction, Unlock};

const S: [u8; 32] = *b"a register secret of tests only!";
const MARKER: u64 = 0x6d61_726b_6d61_726b;
const STACK_FILL: u8 = 0xee;
/// Bytes at the top of the stack: two words of the trampoline, a return address to it, and one of a
/// window to the engine.
const STACK_USED: usize = 4 * 8;
/// rbx, rbp, r12 to r15: the callee's to keep.
const PRESERVED: [usize; 6] = [3, 5, 12, 13, 14, 15];

/// One test at a time: the controls change the engines' code.
static ENGINES: Mutex<()> = Mutex::new(());

/// A call of an engine and the secrets that it must not leave behind.
struct Call {
    symbol: String,
    entry: Entry,
    arguments: [u64; 6],
    secrets: Vec<Vec<u8>>,
    status: u64,
    s: [u8; 32],
    /// What the arguments point at.
    _memory: [Vec<u8>; 3],
}

/// Runs a call and returns what is left behind against the rules, one text for each.
fn left_behind(call: &Call) -> Vec<String> {
    let mut stack = vec![STACK_FILL; 2 * PAGE];
    user::set_secret(&call.s);
    // SAFETY: an engine that this CPU can run, with pointers to what it asks for; a control's
    // change keeps its calling convention.
    let probe = unsafe { Probe::run(call.entry, call.arguments, MARKER, &mut stack) };
    user::clear_secret();
    assert_eq!(probe.general[0] & 0xff, call.status, "{}", call.symbol);

    let mut left = Vec::new();
    for (number, vector) in probe.vectors.iter().enumerate() {
        if *vector != [0; 16] {
            left.push(format!("xmm{number} is not zero"));
        }
    }
    let pieces: HashSet<[u8; 4]> = call
        .secrets
        .iter()
        .flat_map(|secret| secret.array_windows_of_4())
        .collect();
    for (number, general) in probe.general.iter().enumerate() {
        if general
            .to_ne_bytes()
            .array_windows_of_4()
            .iter()
            .any(|piece| pieces.contains(piece))
        {
            left.push(format!(
                "general register {number} holds a piece of a secret"
            ));
        }
    }
    for number in PRESERVED {
        if probe.general[number] != MARKER {
            left.push(format!("general register {number} was not preserved"));
        }
    }
    // The trampoline begins at a multiple of 16.
    let top = stack.as_ptr_range().end.addr();
    let untouched = stack.len() - top % 16 - STACK_USED;
    if stack[..untouched].iter().any(|&byte| byte != STACK_FILL) {
        left.push("the stack was written".to_owned());
    }
    left
}

/// Every four bytes in a row.
trait Windows {
    fn array_windows_of_4(&self) -> Vec<[u8; 4]>;
}

impl Windows for [u8] {
    fn array_windows_of_4(&self) -> Vec<[u8; 4]> {
        self.windows(4)
            .map(|window| window.try_into().unwrap())
            .collect()
    }
}

fn xts_calls() -> Vec<Call> {
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

fn unlock_calls() -> Vec<Call> {
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
        for (slot, change, status) in [(&slot, 0, 0), (&slot, 1, 1), (&zero, 0, 2)] {
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

/// Changes an instruction of a running engine until it is dropped.
struct Change {
    at: usize,
    original: Vec<u8>,
}

impl Change {
    fn new(entry: Entry, instruction: &Instruction, code: &[u8]) -> Self {
        let at = entry.address() + usize::try_from(instruction.ip()).unwrap();
        let mut bytes = vec![0x90; instruction.len()];
        bytes[..code.len()].copy_from_slice(code);
        // SAFETY: the address is of this instruction, in the engine that is linked into this
        // program; nothing runs it now.
        let original = unsafe { std::slice::from_raw_parts(at as *const u8, bytes.len()) }.to_vec();
        assert_eq!(
            zeroed(&Decoder::new(64, &original, 0).decode()),
            zeroed(instruction),
            "not the same code"
        );
        write_code(at, &bytes);
        Self { at, original }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        write_code(self.at, &self.original);
    }
}

fn write_code(at: usize, bytes: &[u8]) {
    let start = at & !(PAGE - 1);
    let len = (at + bytes.len()).next_multiple_of(PAGE) - start;
    let all = MprotectFlags::READ | MprotectFlags::WRITE | MprotectFlags::EXEC;
    // SAFETY: these pages are the program's own code. They stay executable, and no other test runs
    // an engine now.
    unsafe {
        mprotect(start as *mut _, len, all).unwrap();
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len());
        mprotect(
            start as *mut _,
            len,
            MprotectFlags::READ | MprotectFlags::EXEC,
        )
        .unwrap();
    }
}

/// The sixteen wipes before the return that a call with this status takes: both come in the same
/// order.
fn wipes(function: &Function, status: u64) -> Vec<Instruction> {
    let instructions = function.instructions();
    let is_return = |(at, instruction): (usize, &Instruction)| {
        (instruction.mnemonic() == Mnemonic::Ret).then_some(at)
    };
    let ret = instructions
        .iter()
        .enumerate()
        .filter_map(is_return)
        .nth(usize::try_from(status).unwrap())
        .unwrap();
    let wipes: Vec<_> = instructions[..ret]
        .iter()
        .rev()
        .take_while(|instruction| zeroed(instruction).is_some())
        .copied()
        .collect();
    assert_eq!(wipes.len(), 16);
    wipes
}

#[test]
fn nothing_is_left_behind() {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    for call in xts_calls().iter().chain(&unlock_calls()) {
        assert_eq!(
            left_behind(call),
            Vec::<String>::new(),
            "{} status {}",
            call.symbol,
            call.status
        );
    }
}

#[test]
fn control_what_is_left_behind_is_noticed() {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    let functions = functions(env!("TRESOR_USER_OBJECTS"));
    let mut missed = Vec::new();
    // 511 bytes of XTS fill every register, and so does a wrong pass phrase; after the right one
    // three are zero anyway.
    let calls: Vec<_> = xts_calls().into_iter().chain(unlock_calls()).collect();
    for call in calls.iter().filter(|call| {
        call.arguments[3] == 511 || call.symbol.contains("unlock") && call.status == 1
    }) {
        let function = functions
            .iter()
            .find(|function| function.name == call.symbol)
            .unwrap();
        for wipe in wipes(function, call.status) {
            let _change = Change::new(call.entry, &wipe, &[]);
            let register = zeroed(&wipe).unwrap().number();
            let expected = format!("xmm{register} is not zero");
            if left_behind(call) != [expected] {
                missed.push(format!("{}: xmm{register}", call.symbol));
            }
        }
        let wipe = wipes(function, call.status)
            .into_iter()
            .find(|wipe| wipe.len() == 5)
            .unwrap();
        let spill = Change::new(call.entry, &wipe, &[0x0f, 0x11, 0x44, 0x24, 0xc0]); // movups %xmm0, -64(%rsp)
        assert!(
            left_behind(call).contains(&"the stack was written".to_owned()),
            "{}",
            call.symbol
        );
        drop(spill);
        let preserved = Change::new(call.entry, &wipe, &[0x48, 0x31, 0xdb]); // xor %rbx, %rbx
        assert!(
            left_behind(call).contains(&"general register 3 was not preserved".to_owned()),
            "{}",
            call.symbol
        );
        drop(preserved);
        assert_eq!(
            left_behind(call),
            Vec::<String>::new(),
            "the change was not taken back"
        );
    }
    assert_eq!(missed, Vec::<String>::new());
}

#[test]
fn control_secret_in_a_general_register_is_noticed() {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    let functions = functions(env!("TRESOR_USER_OBJECTS"));
    // xmm13 is START_B in asm/xts-aesni.S: at the end of an encryption it still holds the second
    // half of K1.
    let calls = xts_calls();
    let call = calls
        .iter()
        .find(|call| call.symbol == "tresor_xts_aesni_enc_256" && call.arguments[3] == 16)
        .unwrap();
    let function = functions
        .iter()
        .find(|function| function.name == call.symbol)
        .unwrap();
    let wipe = wipes(function, call.status)
        .into_iter()
        .find(|wipe| zeroed(wipe) == Some(Register::XMM8))
        .unwrap();
    let _change = Change::new(call.entry, &wipe, &[0x66, 0x4c, 0x0f, 0x7e, 0xe9]); // movq %xmm13, %rcx
    let left = left_behind(call);
    assert!(
        left.contains(&"general register 1 holds a piece of a secret".to_owned()),
        "{left:?}"
    );
}
