// SPDX-License-Identifier: GPL-2.0
//! Runs the engines with every register and the whole stack filled, and looks at what is left in
//! them.
//!
//! The controls change single instructions of the running engine and expect the same look to
//! notice.

mod calls;
mod change;
#[path = "../common/mod.rs"]
mod common;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use calls::{unlock_calls, xts_calls, Call};
use change::{wipes, Change};
use common::audit::zeroed;
use common::object::functions;
use common::PAGE;
use iced_x86::Register;
use tresor::user;
use tresor::user::probe::Probe;

const MARKER: u64 = 0x6d61_726b_6d61_726b;
const STACK_FILL: u8 = 0xee;
/// Bytes at the top of the stack: two words of the trampoline, a return address to it, and one of a
/// window to the engine.
const STACK_USED: usize = 4 * 8;
/// rbx, rbp, r12 to r15: the callee's to keep.
const PRESERVED: [usize; 6] = [3, 5, 12, 13, 14, 15];

/// One test at a time: the controls change the engines' code.
static ENGINES: Mutex<()> = Mutex::new(());

/// Runs a call and returns what is left behind against the rules, one text for each.
fn left_behind(call: &Call) -> Vec<String> {
    let mut stack = vec![STACK_FILL; 2 * PAGE];
    user::set_secret(&call.s);
    user::set_read_only(call.status == 3);
    // SAFETY: an engine that this CPU can run, with pointers to what it asks for; what a control
    // changes spoils registers that the trampoline restores and stack below the pointer.
    let probe = unsafe { Probe::run(call.entry, call.arguments, MARKER, &mut stack) };
    user::set_read_only(false);
    user::clear_secret();
    assert_eq!(probe.general[0], call.status, "{}", call.symbol);

    let mut left = Vec::new();
    for (number, vector) in probe.vectors.iter().enumerate() {
        if *vector != [0; 16] {
            left.push(format!("xmm{number} is not zero"));
        }
    }
    let secret: HashSet<_> = call
        .secrets
        .iter()
        .flat_map(|secret| pieces(secret))
        .collect();
    for (number, general) in probe.general.iter().enumerate() {
        if pieces(&general.to_ne_bytes()).any(|piece| secret.contains(piece)) {
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
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.windows(4)
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
