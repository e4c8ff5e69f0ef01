// SPDX-License-Identifier: GPL-2.0

//! CPUs that go offline and come online.
//!
//! One that goes takes nothing with it: S is wiped while it still runs, as it may keep its
//! registers for as long as it is off. One that comes has no S until the next unlock, which reaches
//! all; what is submitted there is done by the others. CPU 0 is always online, so S cannot be lost
//! by this.

use kernel::{
    bindings,
    error::to_result,
    ffi::{c_int, c_uint},
    prelude::*, //
};

#[cfg(CONFIG_CRYPTO_TRESOR_LEAKS)]
use kernel::sync::atomic::{ordering, Atomic};

use super::{asm, state};

/// Has the driver told of each CPU that goes offline. To be called once.
///
/// Context: process context, may sleep.
pub(crate) fn prepare() -> Result {
    // SAFETY: The name is a C string that stays; the callback is one for a single instance.
    let state = unsafe {
        bindings::__cpuhp_setup_state(
            bindings::cpuhp_state_CPUHP_AP_ONLINE_DYN,
            c"crypto/tresor:online".as_char_ptr(),
            false,
            None,
            Some(offline),
            false,
        )
    };
    // The number of the state, if it is not an error.
    to_result(state.min(0))
}

/// Takes S from a CPU that goes offline. Called on that CPU, by a thread bound to it.
///
/// It still serves requests for a while; their engine finds no S.
///
/// # Safety
///
/// To be called by the CPU hotplug core only, on a thread that cannot leave its CPU.
unsafe extern "C" fn offline(_cpu: c_uint) -> c_int {
    #[cfg(CONFIG_CRYPTO_TRESOR_LEAKS)]
    if KEEP.load(ordering::Relaxed) != 0 {
        return 0;
    }
    asm::clear_s();
    state::note_this_cpu(false);
    0
}

/// Not zero if CPUs keep S when they go offline.
#[cfg(CONFIG_CRYPTO_TRESOR_LEAKS)]
static KEEP: Atomic<u32> = Atomic::new(0);

/// From now on a CPU that goes offline keeps S, for a test that must notice. Context: any.
#[cfg(CONFIG_CRYPTO_TRESOR_LEAKS)]
pub(crate) fn keep_offline() {
    KEEP.store(1, ordering::Relaxed);
}
