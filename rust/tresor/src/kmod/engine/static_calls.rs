// SPDX-License-Identifier: GPL-2.0

//! Static calls: the kernel writes their targets into the code that makes them.
//!
//! static_calls.c defines a trampoline `__SCT__NAME` and a key `__SCK__NAME` for each. Calling the
//! trampoline, from whatever language, is a static call: objtool finds it by that name and lists it
//! for the kernel, which then writes the target in the place of the trampoline. Only calls are
//! found: through a pointer to a trampoline, a call would go the longer way. `prove::taint` fails
//! for a call that is not listed.

/// Lets a static call go to a routine from now on. That both are of type `$type` is checked, as
/// static_call_update() does in C. May sleep.
///
/// For unsafe blocks: whoever makes the call must do what the routine demands.
macro_rules! update {
    ($type:ty: $name:ident, $routine:expr) => {
        ::kernel::macros::paste! {{
            #[allow(improper_ctypes)] // Rust only takes its address.
            extern "C" {
                static mut [<__SCK__ $name>]: ::kernel::bindings::static_call_key;
            }
            let (trampoline, routine): ($type, $type) = ([<__SCT__ $name>], $routine);
            ::kernel::bindings::__static_call_update(
                &raw mut [<__SCK__ $name>],
                trampoline as *mut ::kernel::ffi::c_void,
                routine as *mut ::kernel::ffi::c_void,
            )
        }}
    };
}
pub(super) use update;

/// Tells objtool that these routines need no endbr64, although their addresses are taken: no call
/// goes there through a pointer. As ANNOTATE_NOENDBR_SYM() does in C.
///
/// Without endbr64 in the kernel nobody asks, and objtool would look for them in this file alone.
macro_rules! no_endbr {
    ($($routine:ident)*) => {
        $(
            #[cfg(CONFIG_X86_KERNEL_IBT)]
            ::core::arch::global_asm!(
                ".pushsection .discard.annotate_insn, \"M\", @progbits, 8",
                ".long {routine} - ., {kind}",
                ".popsection",
                routine = sym $routine,
                kind = const ::kernel::bindings::ANNOTYPE_NOENDBR,
                options(att_syntax)
            );
        )*
    };
}
pub(super) use no_endbr;
