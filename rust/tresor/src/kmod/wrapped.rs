// SPDX-License-Identifier: GPL-2.0

//! Wrapped handles: made and verified in registers, on a CPU that has S.
//!
//! What is in memory here is public: ids, digests, MACs, masks. The one exception is a volume key
//! that was in RAM before and is to be wrapped: [`wrap`] reads it and leaves wiping to its caller.

use core::{ffi::c_void, ptr};
use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_int,
        c_long, //
    },
    fpu::{
        self,
        FpuSection, //
    },
    prelude::*,
    static_lock_class,
};

use super::{
    cpu_has,
    sha256::KernelSha256,
    state::{self, Phase},
};
use crate::{
    amnesia::wrapped::{
        Kind,
        Wrapped,
        WrappedError,
        ID, //
    },
    uapi,
};

/// Declares a function of asm/wrap.inc for both classes, and one that calls the right one.
macro_rules! routine {
    ($(#[$doc:meta])* $name:ident, $aesni:ident, $ssse3:ident) => {
        extern "C" {
            fn $aesni(first: *const u8, second: *const u8, to: *mut u8) -> c_int;
            fn $ssse3(first: *const u8, second: *const u8, to: *mut u8) -> c_int;
        }

        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// Each argument must be valid for as many bytes as the head of the routine says.
        unsafe fn $name(_: &FpuSection, first: *const u8, second: *const u8, to: *mut u8) -> c_int {
            let aes =
                cpu_has(bindings::X86_FEATURE_AES) && cpu_has(bindings::X86_FEATURE_XMM4_1);
            // SAFETY: By the safety requirement. The driver is not there without SSSE3, and vector
            // registers may be used.
            unsafe {
                if aes {
                    $aesni(first, second, to)
                } else {
                    $ssse3(first, second, to)
                }
            }
        }
    };
}

routine! {
    /// 16 bytes at `to`: the id of S, then zeros.
    asm_id, tresor_wrap_id_aesni, tresor_wrap_id_ssse3
}
routine! {
    /// 64 bytes at `to`: the key at `first` XOR key stream; `second` is iv and selection.
    asm_mask, tresor_wrap_mask_aesni, tresor_wrap_mask_ssse3
}
routine! {
    /// 16 bytes at `to`: the MAC of the digest at `first`.
    asm_mac, tresor_wrap_mac_aesni, tresor_wrap_mac_ssse3
}
routine! {
    /// 2 unless the 48 bytes at `first` are a digest and its MAC.
    asm_verify, tresor_wrap_verify_aesni, tresor_wrap_verify_ssse3
}

/// What the routines return on a CPU without S, and then they have written nothing.
const NO_S: c_int = 1;

/// Moves that are tried to a CPU with S: one that is said to have it may lose it meanwhile.
const MOVES: u32 = 8;

/// Runs a routine on this CPU or, if it has no S, on one that has. Returns what the routine does,
/// but [`NO_S`]: fails with `ENOKEY` if there is no S anywhere.
///
/// Context: process context, sleeps.
fn with_s<F: Fn(&FpuSection) -> c_int>(routine: &F) -> Result<c_int> {
    let mut status = here(routine)?;
    for _ in 0..MOVES {
        if status != NO_S {
            return Ok(status);
        }
        let cpu = state::holder().ok_or(ENOKEY)?;
        // SAFETY: `on_cpu::<F>` gets `routine`, of the type `F`, which outlives the call: that
        // returns when the work is done.
        let result = unsafe {
            bindings::work_on_cpu_key(
                cpu.as_u32() as c_int,
                Some(on_cpu::<F>),
                ptr::from_ref(routine).cast_mut().cast::<c_void>(),
                static_lock_class!().as_ptr(),
            )
        };
        status = c_int::try_from(result).map_err(|_| EIO)?;
        if status < 0 {
            return Err(Error::from_errno(status));
        }
    }
    Err(ENOKEY)
}

/// Runs a routine on this CPU.
fn here<F: Fn(&FpuSection) -> c_int>(routine: &F) -> Result<c_int> {
    fpu::section(|fpu| {
        let status = routine(fpu);
        state::note_this_cpu(status != NO_S);
        status
    })
}

/// Runs the routine at `routine` on the CPU it is called on. Returns an error number or what the
/// routine does.
///
/// # Safety
///
/// `routine` must point to an `F`.
unsafe extern "C" fn on_cpu<F: Fn(&FpuSection) -> c_int>(routine: *mut c_void) -> c_long {
    // SAFETY: By the safety requirement.
    let routine = unsafe { &*routine.cast_const().cast::<F>() };
    let status = here(routine).unwrap_or_else(|error| error.to_errno());
    status as c_long
}

/// Runs a routine that writes `N` bytes, and returns them.
fn bytes_of<const N: usize>(routine: impl Fn(&FpuSection, *mut u8) -> c_int) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let to = ptr::from_mut(&mut bytes).cast::<u8>();
    with_s(&|fpu: &FpuSection| routine(fpu, to))?;
    Ok(bytes)
}

/// The id of S on this CPU; none if there is no S.
///
/// Context: any in which vector registers may be used.
pub(crate) fn id_here(fpu: &FpuSection) -> Option<u64> {
    let mut block = [0; 16];
    // SAFETY: The routine writes 16 bytes and reads none.
    let status = unsafe { asm_id(fpu, ptr::null(), ptr::null(), block.as_mut_ptr()) };
    let (id, _) = block.split_first_chunk::<ID>()?;
    (status != NO_S).then_some(u64::from_le_bytes(*id))
}

/// The id of S. Fails with `ENOKEY` if there is none.
///
/// Context: process context, sleeps.
pub(crate) fn id() -> Result<[u8; ID]> {
    // SAFETY: The routine writes 16 bytes and reads none.
    let block: [u8; 16] = bytes_of(|fpu, to| unsafe { asm_id(fpu, ptr::null(), ptr::null(), to) })?;
    block.first_chunk().copied().ok_or(EIO)
}

/// Whether a handle was made under S. Fails with `EKEYREJECTED` if not, with `ENOKEY` if there is
/// no S.
///
/// Context: process context, sleeps.
pub(crate) fn verify(wrapped: &Wrapped) -> Result {
    if *wrapped.id() != id()? {
        return Err(EKEYREJECTED);
    }
    let block = wrapped.verify_block::<KernelSha256>();
    let block = block.as_ptr();
    // SAFETY: The routine reads 48 bytes and writes none.
    let status = with_s(&|fpu: &FpuSection| unsafe {
        asm_verify(fpu, block, ptr::null(), ptr::null_mut())
    })?;
    match status {
        0 => Ok(()),
        _ => Err(EKEYREJECTED),
    }
}

/// A handle with a fresh key: iv and mask are random, and so the key, which nobody has ever seen.
///
/// Fails with `ENOKEY` unless there is S, with `EINTR` for a signal before there is randomness.
///
/// Context: process context, sleeps.
pub(crate) fn fresh(kind: Kind) -> Result<Wrapped> {
    check_unlocked()?;
    with_mac(Wrapped::new(kind, id()?, random()?, &random()?, [0; 16]))
}

/// A handle of a key, whose bytes are the first ones of `key`. The key stays where it is. As
/// [`fresh`] otherwise.
pub(crate) fn wrap(kind: Kind, key: &[u8; uapi::wrap::KEY]) -> Result<Wrapped> {
    check_unlocked()?;
    // Never one that a user chooses: that would tell the key stream of other handles.
    let iv: [u8; 16] = random()?;
    let place = kind.mask_block(&iv);
    let (key, place) = (key.as_ptr(), place.as_ptr());
    // SAFETY: The routine reads a key of 64 bytes and a place of 80, and writes 64.
    let mask = bytes_of(|fpu, to| unsafe { asm_mask(fpu, key, place, to) })?;
    with_mac(Wrapped::new(kind, id()?, iv, &mask, [0; 16]))
}

fn with_mac(wrapped: Wrapped) -> Result<Wrapped> {
    let digest = wrapped.digest::<KernelSha256>();
    let digest = digest.as_ptr();
    // SAFETY: The routine reads 32 bytes and writes 16.
    let mac = bytes_of(|fpu, to| unsafe { asm_mac(fpu, digest, ptr::null(), to) })?;
    Ok(wrapped.with_mac(mac))
}

/// Fails with `ENOKEY` unless S is there, and not the public one of the self tests.
fn check_unlocked() -> Result {
    state::wait_at_rest()?;
    match state::phase() {
        Phase::Unlocked => Ok(()),
        _ => Err(ENOKEY),
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0u8; N];
    // SAFETY: The bytes are valid for writes. The first call waits for the generator to be ready.
    unsafe {
        to_result(bindings::wait_for_random_bytes())?;
        bindings::get_random_bytes(bytes.as_mut_ptr().cast(), N);
    }
    Ok(bytes)
}

impl From<WrappedError> for Error {
    fn from(_: WrappedError) -> Self {
        EINVAL
    }
}
