// SPDX-License-Identifier: GPL-2.0
//! The kernel's engines in user space: the same assembly files, with S in a buffer of each thread
//! instead of the debug registers.
//!
//! Meant for tests and for measuring; a program that keeps S in that buffer protects nothing. The
//! buffer starts all zero, which stands for "no S". It belongs to the calling thread, so tests may
//! run side by side.

use core::{ptr, slice};
use zeroize::{Zeroize, Zeroizing};

use crate::class;

mod cpu;
mod modes;
pub mod probe;
mod unlock;
mod wrap;
mod xts;

pub use crate::class::Class;
pub use crate::handle::KeySize;
pub use cpu::DISABLE;
pub use modes::{Mode, ModeError, Modes};
pub use unlock::{Unlock, UnlockError};
pub use wrap::{Wrap, WrapError, Wrapping};
pub use xts::{Direction, Position, Units, Xts, XtsError};

extern "C" {
    fn tresor_user_secret_of_thread() -> *mut u8;
    fn tresor_user_read_only_of_thread() -> *mut u8;
}

/// Sets the calling thread's S; all zero stands for "no S".
pub fn set_secret(s: &[u8; 32]) {
    // SAFETY: the buffer has 32 bytes, lives as long as the thread, and only this thread has its
    // address, for this call.
    unsafe { ptr::copy_nonoverlapping(s.as_ptr(), tresor_user_secret_of_thread(), s.len()) }
}

/// Returns the calling thread's S.
pub fn secret() -> Zeroizing<[u8; 32]> {
    // SAFETY: as in `set_secret`; any bytes are valid.
    Zeroizing::new(unsafe { tresor_user_secret_of_thread().cast::<[u8; 32]>().read() })
}

/// Wipes the calling thread's S.
pub fn clear_secret() {
    // SAFETY: as in `set_secret`; the reference ends before any engine runs on this thread.
    unsafe { slice::from_raw_parts_mut(tresor_user_secret_of_thread(), 32) }.zeroize();
}

/// Makes the calling thread lose what is stored to its S, like a CPU whose debug registers are not
/// writable; or ends that.
pub fn set_read_only(read_only: bool) {
    // SAFETY: the byte lives as long as the thread, and only this thread has its address, for this
    // call.
    unsafe { tresor_user_read_only_of_thread().write(u8::from(read_only)) }
}
