// SPDX-License-Identifier: GPL-2.0

//! QEMU's plugin interface: the declarations that this crate uses.
//!
//! Source: `docs/devel/tcg-plugins.rst` and `include/qemu/qemu-plugin.h` of QEMU. No Debian package ships the header, and QEMU refuses
//! a plugin whose version is not in its range: 10.0 speaks version 4, 11.1 starts at 7 (feature `v7`), which passes other arguments to
//! callbacks, and tells when a CPU takes an interrupt or exception.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// The version that this build speaks; QEMU reads it before anything else.
pub(crate) const VERSION: c_int = if cfg!(feature = "v7") { 7 } else { 4 };

/// Identifies a loaded plugin (`qemu_plugin_id_t`).
pub(crate) type Id = u64;

/// What a callback may do with registers (`enum qemu_plugin_cb_flags`).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) enum Registers {
    /// Nothing.
    No = 0,
    /// Read them.
    Read = 1,
    /// Read and write them.
    ReadWrite = 2,
}

/// Which memory accesses a callback is for (`enum qemu_plugin_mem_rw`).
pub(crate) const STORES: c_int = 2;

/// A block is translated.
#[cfg(not(feature = "v7"))]
pub(crate) type TranslationCallback = extern "C" fn(Id, *mut c_void);
/// A virtual CPU was made; its number comes last.
#[cfg(not(feature = "v7"))]
pub(crate) type CpuCallback = extern "C" fn(Id, c_uint);
/// A block is translated; the pointer given at the registration comes last.
#[cfg(feature = "v7")]
pub(crate) type TranslationCallback = extern "C" fn(*mut c_void, *mut c_void);
/// A virtual CPU was made; the pointer given at the registration comes last.
#[cfg(feature = "v7")]
pub(crate) type CpuCallback = extern "C" fn(c_uint, *mut c_void);
/// A CPU has taken an interrupt or exception: the CPU, which kind, the interrupted address, that of the handler, and the pointer given at
/// the registration.
#[cfg(feature = "v7")]
pub(crate) type EventCallback = extern "C" fn(c_uint, c_int, u64, u64, *mut c_void);

/// Interrupts and exceptions (`enum qemu_plugin_discon_type`: bits 0 and 1).
#[cfg(feature = "v7")]
pub(crate) const EVENTS: c_int = 3;
/// A store was done: the CPU, what kind (opaque), its virtual address, and the pointer given at the registration.
pub(crate) type StoreCallback = extern "C" fn(c_uint, u32, u64, *mut c_void);

/// An instruction is about to run on a CPU.
pub(crate) type InstructionCallback = extern "C" fn(c_uint, *mut c_void);

/// glib's array of bytes, as far as its users may look into it.
#[repr(C)]
pub(crate) struct GByteArray {
    pub(crate) data: *mut u8,
    pub(crate) len: c_uint,
}

/// glib's array of anything; here of [`RegisterDescriptor`].
pub(crate) type GArray = GByteArray;

/// One register of a CPU (`qemu_plugin_reg_descriptor`).
#[repr(C)]
pub(crate) struct RegisterDescriptor {
    pub(crate) handle: *mut c_void,
    pub(crate) name: *const c_char,
    pub(crate) feature: *const c_char,
    #[cfg(feature = "v7")]
    pub(crate) is_readonly: bool,
}

extern "C" {
    #[cfg(not(feature = "v7"))]
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: TranslationCallback);
    #[cfg(not(feature = "v7"))]
    fn qemu_plugin_register_vcpu_init_cb(id: Id, callback: CpuCallback);
    #[cfg(feature = "v7")]
    fn qemu_plugin_register_vcpu_tb_trans_cb(
        id: Id,
        callback: TranslationCallback,
        user: *mut c_void,
    );
    #[cfg(feature = "v7")]
    fn qemu_plugin_register_vcpu_init_cb(id: Id, callback: CpuCallback, user: *mut c_void);
    #[cfg(feature = "v7")]
    fn qemu_plugin_register_vcpu_discon_cb(
        id: Id,
        events: c_int,
        callback: EventCallback,
        user: *mut c_void,
    );

    pub(crate) fn qemu_plugin_tb_n_insns(block: *const c_void) -> usize;
    pub(crate) fn qemu_plugin_tb_get_insn(block: *const c_void, index: usize) -> *mut c_void;
    pub(crate) fn qemu_plugin_insn_vaddr(instruction: *const c_void) -> u64;
    pub(crate) fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut c_void,
        callback: StoreCallback,
        registers: Registers,
        accesses: c_int,
        user: *mut c_void,
    );
    pub(crate) fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut c_void,
        callback: InstructionCallback,
        registers: Registers,
        user: *mut c_void,
    );
    /// Binary logarithm of the store's length in bytes.
    pub(crate) fn qemu_plugin_mem_size_shift(info: u32) -> c_uint;
    /// Where the store went; null if unknown. Valid until the callback returns.
    pub(crate) fn qemu_plugin_get_hwaddr(info: u32, virt: u64) -> *mut c_void;
    pub(crate) fn qemu_plugin_hwaddr_is_io(place: *const c_void) -> bool;
    pub(crate) fn qemu_plugin_hwaddr_phys_addr(place: *const c_void) -> u64;
    pub(crate) fn qemu_plugin_get_registers() -> *mut GArray;
    /// Appends the register's bytes. Only in a callback that was registered with the right to read.
    #[cfg(not(feature = "v7"))]
    pub(crate) fn qemu_plugin_read_register(handle: *mut c_void, out: *mut GByteArray) -> c_int;
    /// Appends the register's bytes. Only in a callback that was registered with the right to read, or for an event.
    #[cfg(feature = "v7")]
    pub(crate) fn qemu_plugin_read_register(handle: *mut c_void, out: *mut GByteArray) -> bool;
    /// Replaces the array's content by memory at a virtual address of the calling CPU.
    pub(crate) fn qemu_plugin_read_memory_vaddr(
        virt: u64,
        out: *mut GByteArray,
        len: usize,
    ) -> bool;

    pub(crate) fn g_byte_array_new() -> *mut GByteArray;
    pub(crate) fn g_byte_array_set_size(array: *mut GByteArray, len: c_uint) -> *mut GByteArray;
    pub(crate) fn g_array_free(array: *mut GArray, free_segment: c_int) -> *mut c_char;

    pub(crate) fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Asks for a call whenever QEMU translates a block of guest code.
///
/// # Safety
///
/// Only while QEMU calls `qemu_plugin_install` with this `id`.
pub(crate) unsafe fn on_translation(id: Id, callback: TranslationCallback) {
    // SAFETY: By this function's own requirement.
    unsafe {
        #[cfg(not(feature = "v7"))]
        qemu_plugin_register_vcpu_tb_trans_cb(id, callback);
        #[cfg(feature = "v7")]
        qemu_plugin_register_vcpu_tb_trans_cb(id, callback, std::ptr::null_mut());
    }
}

/// Asks for a call, on its own thread, for each virtual CPU that is made.
///
/// # Safety
///
/// Only while QEMU calls `qemu_plugin_install` with this `id`.
pub(crate) unsafe fn on_cpu(id: Id, callback: CpuCallback) {
    // SAFETY: By this function's own requirement.
    unsafe {
        #[cfg(not(feature = "v7"))]
        qemu_plugin_register_vcpu_init_cb(id, callback);
        #[cfg(feature = "v7")]
        qemu_plugin_register_vcpu_init_cb(id, callback, std::ptr::null_mut());
    }
}

/// Asks for a call whenever a CPU has taken an interrupt or exception, before the first instruction of the handler.
///
/// # Safety
///
/// Only while QEMU calls `qemu_plugin_install` with this `id`.
#[cfg(feature = "v7")]
pub(crate) unsafe fn on_event(id: Id, callback: EventCallback) {
    // SAFETY: By this function's own requirement.
    unsafe {
        qemu_plugin_register_vcpu_discon_cb(id, EVENTS, callback, std::ptr::null_mut());
    }
}
