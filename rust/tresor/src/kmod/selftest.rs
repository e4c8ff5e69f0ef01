// SPDX-License-Identifier: GPL-2.0

//! A public S for the crypto API's self tests.
//!
//! crypto/testmgr.c tests each of our ciphers with vectors that hold for [`PUBLIC_S`], between
//! [`tresor_selftest_begin`] and [`tresor_selftest_end`], before any pass phrase was taken: an
//! unlock waits for the end of all of them.

use kernel::{
    bindings,
    ffi::c_int,
    fpu,
    prelude::*,
    sync::atomic::{ordering, Atomic},
};

use super::{
    asm,
    cipher::DRIVER_NAMES,
    each_cpu,
    state::{self, Phase},
};
use crate::public_secret::PUBLIC_S;

/// Whether an engine call is to be taken as one on a CPU without S: every other one while a test
/// runs. The tests cut their data into pieces, so requests are continued by another CPU in their
/// midst, which otherwise takes a CPU that loses S at the right moment.
///
/// Context: any.
pub(crate) fn wants_retry() -> bool {
    static CALLS: Atomic<u32> = Atomic::new(0);
    state::phase() == Phase::SelfTest && CALLS.fetch_add(1, ordering::Relaxed) % 2 == 0
}

/// Waits until the crypto API has tested all ciphers: a test that comes after S is there would
/// fail, and its cipher could not be used.
///
/// Context: process context, may sleep.
pub(crate) fn wait() {
    for name in DRIVER_NAMES {
        // SAFETY: A C string. To look for a cipher is to wait for its test; there is no module to
        // load for one that was not registered.
        unsafe { bindings::crypto_has_skcipher(name.as_char_ptr(), 0, bindings::CRYPTO_NOLOAD) };
    }
}

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
            pr_err!("a public key may still be in the registers: {:?}\n", error);
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
                asm::clear_s();
            }
            state::note_this_cpu(present);
        });
        if let Err(error) = done {
            pr_err!("self test: {:?}\n", error);
        }
    })
}
