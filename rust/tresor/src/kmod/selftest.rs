// SPDX-License-Identifier: GPL-2.0

//! A public S for the crypto API's self tests.
//!
//! crypto/testmgr.c tests `xts(tresor)` with vectors that hold for [`PUBLIC_S`], between
//! [`tresor_selftest_begin`] and [`tresor_selftest_end`], before any pass phrase was taken: an
//! unlock waits for the end.

use kernel::{
    ffi::c_int,
    fpu,
    prelude::*, //
};

use super::{
    asm, each_cpu,
    state::{self, Phase},
};
use crate::public_secret::PUBLIC_S;

/// Gives every CPU the public S. Fails with `EBUSY` when there is a real one, and with what
/// [`each_cpu::run`] says.
///
/// Context: process context, may sleep.
#[no_mangle]
extern "C" fn tresor_selftest_begin() -> c_int {
    if !state::change(Phase::Locked, Phase::SelfTest) {
        return EBUSY.to_errno();
    }
    match on_each_cpu(true) {
        Ok(()) => 0,
        Err(error) => {
            tresor_selftest_end();
            error.to_errno()
        }
    }
}

/// Takes it away again. Fails with what [`each_cpu::run`] says: then the public S may still be
/// there, the cipher must not pass its test, and no pass phrase is taken.
///
/// Context: process context, may sleep.
#[no_mangle]
extern "C" fn tresor_selftest_end() -> c_int {
    match on_each_cpu(false) {
        Ok(()) => {
            state::change(Phase::SelfTest, Phase::Locked);
            0
        }
        Err(error) => {
            pr_err!(
                "a public key may still be in the debug registers: {:?}\n",
                error
            );
            error.to_errno()
        }
    }
}

fn on_each_cpu(present: bool) -> Result {
    each_cpu::run(&|| {
        let done = fpu::section(|fpu| {
            if present {
                asm::set_public_s(fpu, &PUBLIC_S);
            } else {
                asm::clear_s(fpu);
            }
            state::note_this_cpu(present);
        });
        if let Err(error) = done {
            pr_err!("self test: {:?}\n", error);
        }
    })
}
