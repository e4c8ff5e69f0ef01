// SPDX-License-Identifier: GPL-2.0

//! The XTS engine of this machine: the fastest of those that its CPUs can run. Those of the other
//! modes are in [`modes`].
//!
//! Which one is decided once, before the cipher is registered, and then written into the code that
//! calls it (see [`static_calls`]): there is no pointer to an engine that a call would follow.

use kernel::{
    bindings,
    ffi::c_int,
    fpu::FpuSection,
    prelude::*,
    sync::atomic::{ordering, Atomic},
};

use super::{cpu_has, parameter};
use crate::{
    class::{xts_engines, Class},
    handle::{Handle, Variant},
};

pub(crate) mod modes;
mod static_calls;

use static_calls::{no_endbr, update};

/// Command line parameter: classes that are not to be used, comma-separated. For tests.
const DISABLE_PARAMETER: &[u8] = b"tresor.disable";

/// The class in use, by its number: for what depends on it beside the calls.
static CLASS: Atomic<u32> = Atomic::new(Class::Aesni as u32);

/// What to do with the data.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Encrypt,
    Decrypt,
}

/// Data in memory that need not be Rust's: pages of a request.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// From here,
    pub(crate) src: *const u8,
    /// to here: the same, or not overlapping.
    pub(crate) dst: *mut u8,
    /// Bytes of a data unit, or of a run of its blocks, at least 16.
    pub(crate) len: usize,
    /// Number of the first data unit, as XTS takes it.
    pub(crate) iv: [u8; 16],
    /// Index of the first block in its data unit; 0 if there are several data units.
    pub(crate) first_block: u64,
    /// How many data units follow each other. If several, `len` is a multiple of 16.
    pub(crate) units: u64,
}

/// A routine of an engine; see asm/xts-aesni.S.
type Routine = unsafe extern "C" fn(
    handle: *const u8,
    src: *const u8,
    dst: *mut u8,
    len: usize,
    iv: *const u8,
    first_block: u64,
    units: u64,
) -> c_int;

/// Declares routines, or trampolines of static calls to them.
macro_rules! declare {
    ($($name:ident)*) => {
        extern "C" {
            $(
                fn $name(
                    handle: *const u8,
                    src: *const u8,
                    dst: *mut u8,
                    len: usize,
                    iv: *const u8,
                    first_block: u64,
                    units: u64,
                ) -> c_int;
            )*
        }
    };
}

declare! {
    __SCT__tresor_xts_enc_128
    __SCT__tresor_xts_dec_128
    __SCT__tresor_xts_enc_256
    __SCT__tresor_xts_dec_256
}

/// Declares the routines of all engines, and one function that tells those of a class.
macro_rules! routines {
    ($($class:ident:
        $encrypt128:ident, $decrypt128:ident, $encrypt256:ident, $decrypt256:ident;)*) => {
        declare! { $($encrypt128 $decrypt128 $encrypt256 $decrypt256)* }
        no_endbr! { $($encrypt128 $decrypt128 $encrypt256 $decrypt256)* }

        /// The routines of a class: encrypt 128, decrypt 128, encrypt 256, decrypt 256.
        fn routines(class: Class) -> [Routine; 4] {
            match class {
                $(
                    Class::$class => [$encrypt128, $decrypt128, $encrypt256, $decrypt256],
                )*
            }
        }
    };
}

xts_engines!(routines);

/// Lets all calls go to the engine of a class. May sleep.
///
/// # Safety
///
/// All CPUs must be of the class.
unsafe fn call_from_now_on(class: Class) {
    let [encrypt128, decrypt128, encrypt256, decrypt256] = routines(class);
    // SAFETY: The calls are only made by `crypt()`, which demands of its callers what the routines
    // do; that CPUs can run them is required here.
    unsafe {
        update!(Routine: tresor_xts_enc_128, encrypt128);
        update!(Routine: tresor_xts_dec_128, decrypt128);
        update!(Routine: tresor_xts_enc_256, encrypt256);
        update!(Routine: tresor_xts_dec_256, decrypt256);
    }
}

/// Which ciphers have an engine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Available {
    /// XTS alone, because classes are disabled.
    Xts,
    /// All modes.
    AllModes,
}

/// Chooses the engines. Fails with `ENODEV`, and says why, if there is none for this machine.
///
/// Context: before the ciphers are registered; may sleep.
pub(crate) fn choose() -> Result<Available> {
    let disabled = parameter::value(DISABLE_PARAMETER).unwrap_or(b"");
    let class = Class::ALL
        .into_iter()
        .find(|&class| !class.is_in(disabled) && cpu_can_run(class));
    let Some(class) = class else {
        pr_err!("this CPU has no SSSE3: xts(tresor) is not available\n");
        return Err(ENODEV);
    };
    // SAFETY: `cpu_can_run()` says so.
    unsafe { call_from_now_on(class) };
    CLASS.store(class as u32, ordering::Release);
    pr_info!("engine: {}\n", class.name());
    Ok(match modes::choose(disabled) {
        Ok(()) => Available::AllModes,
        Err(_) => Available::Xts,
    })
}

/// Whether all CPUs have what the engine of a class uses, and the kernel saves its registers.
fn cpu_can_run(class: Class) -> bool {
    let features: &[u32] = match class {
        Class::Avx512 => &[
            bindings::X86_FEATURE_AVX512F,
            bindings::X86_FEATURE_AVX512BW,
            bindings::X86_FEATURE_AVX512DQ,
            bindings::X86_FEATURE_AVX512VL,
            bindings::X86_FEATURE_VAES,
            bindings::X86_FEATURE_VPCLMULQDQ,
        ],
        Class::Avx512vl => &[
            bindings::X86_FEATURE_AVX512F,
            bindings::X86_FEATURE_AVX512BW,
            bindings::X86_FEATURE_AVX512DQ,
            bindings::X86_FEATURE_AVX512VL,
            bindings::X86_FEATURE_PCLMULQDQ,
        ],
        Class::Vaes => &[
            bindings::X86_FEATURE_AVX2,
            bindings::X86_FEATURE_VAES,
            bindings::X86_FEATURE_VPCLMULQDQ,
        ],
        Class::Avx => &[bindings::X86_FEATURE_AVX],
        Class::Aesni => &[],
        Class::Ssse3 => return cpu_has(bindings::X86_FEATURE_SSSE3),
    };
    let registers = match class {
        Class::Avx512 | Class::Avx512vl => SSE | YMM | AVX512,
        Class::Vaes | Class::Avx => SSE | YMM,
        Class::Aesni | Class::Ssse3 => 0,
    };
    // Every other engine uses AES-NI and, to see whether there is an S, ptest.
    cpu_has(bindings::X86_FEATURE_AES)
        && cpu_has(bindings::X86_FEATURE_XMM4_1)
        && features.iter().all(|&feature| cpu_has(feature))
        && saves(registers)
}

/// XCR0 bits (SDM Vol. 1, 13.1): xmm registers,
const SSE: u64 = 1 << 1;
/// upper halves of ymm0-15,
const YMM: u64 = 1 << 2;
/// k0-7, upper halves of zmm0-15, zmm16-31.
const AVX512: u64 = 7 << 5;

/// Whether the kernel saves these registers of tasks.
fn saves(registers: u64) -> bool {
    // SAFETY: Reads what was found at boot; a null pointer means that no name is wanted.
    registers == 0 || unsafe { bindings::cpu_has_xfeatures(registers, core::ptr::null_mut()) } != 0
}

/// How many data units one call should have at most.
///
/// The engines without AVX load S anew for each data unit. Should S vanish in the middle of a call,
/// the first ones would be done, and the caller would not know.
pub(crate) fn max_units() -> usize {
    match class() {
        Class::Aesni | Class::Ssse3 => 1,
        _ => usize::MAX,
    }
}

/// The class in use.
fn class() -> Class {
    let number = CLASS.load(ordering::Relaxed) as usize;
    Class::ALL.get(number).copied().unwrap_or(Class::Aesni)
}

/// The name of the class in use. Context: any.
pub(crate) fn name() -> &'static str {
    class().name()
}

/// Encrypts or decrypts with a key derived from `handle` and S. False if this CPU has no S: then
/// nothing was written.
///
/// # Safety
///
/// `run.src` must be valid for reads and `run.dst` for writes of `run.len * run.units` bytes, and
/// `run` as its fields say.
pub(crate) unsafe fn crypt(
    _fpu: &FpuSection,
    direction: Direction,
    variant: Variant,
    handle: &Handle,
    run: &Run,
) -> bool {
    let Run {
        src,
        dst,
        len,
        iv,
        first_block: first,
        units,
    } = *run;
    let (handle, iv) = (handle.as_ptr(), iv.as_ptr());
    // SAFETY: The calls go to routines that this machine can run, or, before `choose()`, to one
    // that does nothing. The handle has 80 bytes and `iv` 16; the rest is guaranteed by the caller,
    // and `_fpu` shows that vector registers may be used.
    let without_s = unsafe {
        // Each arm has a call of its own: a target can be written into a call, not into a pointer.
        match (direction, variant) {
            (Direction::Encrypt, Variant::Aes128) => {
                __SCT__tresor_xts_enc_128(handle, src, dst, len, iv, first, units)
            }
            (Direction::Decrypt, Variant::Aes128) => {
                __SCT__tresor_xts_dec_128(handle, src, dst, len, iv, first, units)
            }
            (Direction::Encrypt, Variant::Aes256) => {
                __SCT__tresor_xts_enc_256(handle, src, dst, len, iv, first, units)
            }
            (Direction::Decrypt, Variant::Aes256) => {
                __SCT__tresor_xts_dec_256(handle, src, dst, len, iv, first, units)
            }
        }
    };
    without_s == 0
}
