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
mod controls;
mod modes;
mod secrets;
mod wrap;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use calls::{unlock_calls, xts_calls, Call};
use common::{for_each_class, PAGE};
use controls::{
    control_any_bit_is_noticed, control_any_piece_of_a_secret_is_noticed,
    control_every_wipe_counts, control_secret_in_a_general_register_is_noticed,
    control_what_is_left_behind_is_noticed,
};
use tresor::user;
use tresor::user::probe::Probe;
use tresor::user::Xts;

const MARKER: u64 = 0x6d61_726b_6d61_726b;
const STACK_FILL: u8 = 0xee;
/// Bytes at the top of the stack: three words of the trampoline, the seventh argument, a return
/// address to the trampoline, and one of a window to the engine.
const STACK_USED: usize = 6 * 8;
/// rbx, rbp, r12 to r15: the callee's to keep.
const PRESERVED: [usize; 6] = [3, 5, 12, 13, 14, 15];

/// One test at a time: the controls change the engines' code.
static ENGINES: Mutex<()> = Mutex::new(());

for_each_class!(
    nothing_is_left_behind,
    control_any_bit_is_noticed,
    control_any_piece_of_a_secret_is_noticed,
    control_every_wipe_counts,
    control_what_is_left_behind_is_noticed,
    control_secret_in_a_general_register_is_noticed,
);

/// Runs a call and returns what is left behind against the rules, one text for each.
fn left_behind(call: &Call) -> Vec<String> {
    let (probe, stack) = run(call);
    assert_eq!(probe.general[0], call.status, "{}", call.symbol);

    let mut left = unwiped(call, &probe);
    // The marks must not matter: nobody promises zero upper halves to an engine.
    if !call.is_right() {
        left.push("the result is wrong".to_owned());
    }
    left.extend(in_general_registers(call, &probe));
    // The trampoline begins at a multiple of 16.
    let top = stack.as_ptr_range().end.addr();
    let untouched = stack.len() - top % 16 - STACK_USED;
    if stack[..untouched].iter().any(|&byte| byte != STACK_FILL) {
        left.push("the stack was written".to_owned());
    }
    left
}

/// Runs a call; returns the registers and the stack after it.
fn run(call: &Call) -> (Probe, Vec<u8>) {
    let mut stack = vec![STACK_FILL; 2 * PAGE];
    call.reset();
    user::set_secret(&call.s);
    user::set_read_only(call.status == 3);
    // SAFETY: an engine that this CPU can run, with pointers to what it asks for; what a control
    // changes spoils registers that the trampoline restores and stack below the pointer.
    let probe = unsafe { Probe::run(call.entry, call.arguments, MARKER, &mut stack) };
    user::set_read_only(false);
    user::clear_secret();
    (probe, stack)
}

/// General registers with a piece of a secret, or not preserved.
fn in_general_registers(call: &Call, probe: &Probe) -> Vec<String> {
    let mut left = Vec::new();
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
    left
}

/// The vector and mask registers that are neither zero nor, if they need not be, as before.
fn unwiped(call: &Call, probe: &Probe) -> Vec<String> {
    let width = usize::try_from(probe.width).unwrap();
    let mut left = Vec::new();
    for (number, vector) in probe.vectors.iter().enumerate() {
        let must_be_zero = if number < call.wiped.registers {
            call.wiped.bytes
        } else {
            0
        };
        let (zero, other) = vector.split_at(must_be_zero);
        // What this CPU does not have was recorded as zero.
        let has = if number < 16 || width == 64 { width } else { 0 };
        let other = &other[..has.saturating_sub(must_be_zero)];
        let marks = MARKER.to_ne_bytes();
        let as_before = other.chunks(8).all(|word| word == marks || word == [0; 8]);
        if zero.iter().any(|&byte| byte != 0) || !as_before {
            left.push(format!("vector register {number} is not wiped"));
        }
    }
    for (number, &mask) in probe.masks.iter().enumerate() {
        if mask != 0 && mask != MARKER {
            left.push(format!("mask register {number} is not wiped"));
        }
    }
    left
}

/// Every four bytes in a row.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.windows(4)
}

fn assert_nothing_left(calls: &[Call]) {
    for call in calls {
        assert_eq!(
            left_behind(call),
            Vec::<String>::new(),
            "{} status {} arguments {:?}",
            call.symbol,
            call.status,
            call.arguments
        );
    }
}

fn nothing_is_left_behind(engine: Xts) {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    assert_nothing_left(&xts_calls(engine));
}

#[test]
fn nothing_is_left_behind_by_unlocking() {
    let _one = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    assert_nothing_left(&unlock_calls());
}
