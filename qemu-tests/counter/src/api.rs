// SPDX-License-Identifier: GPL-2.0

//! The part of QEMU's TCG plugin interface, version 4, that is used here (`include/qemu/qemu-plugin.h` of QEMU 10.0).
//!
//! No Debian package ships that header.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// Names this plugin to QEMU.
pub(crate) type Id = u64;

/// Memory with one element for each virtual CPU.
#[repr(C)]
pub(crate) struct Scoreboard {
    _opaque: [u8; 0],
}

/// A 64-bit number in each element of a scoreboard.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Number {
    pub(crate) scoreboard: *mut Scoreboard,
    pub(crate) offset: usize,
}

/// A block of guest instructions that is being translated: straight on, entered only at its start.
#[repr(C)]
pub(crate) struct Block {
    _opaque: [u8; 0],
}

/// One instruction of such a block.
#[repr(C)]
pub(crate) struct Instruction {
    _opaque: [u8; 0],
}

/// `enum qemu_plugin_op`: add to the number.
pub(crate) const ADD: c_int = 0;
/// `enum qemu_plugin_cb_flags`: the callback looks at no register.
pub(crate) const NO_REGISTERS: c_int = 0;

pub(crate) type TranslationCallback = extern "C" fn(Id, *mut Block);
pub(crate) type ExecutionCallback = extern "C" fn(c_uint, *mut c_void);

extern "C" {
    pub(crate) fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: TranslationCallback);
    pub(crate) fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut Block,
        callback: ExecutionCallback,
        flags: c_int,
        user_data: *mut c_void,
    );
    pub(crate) fn qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
        block: *mut Block,
        operation: c_int,
        number: Number,
        operand: u64,
    );
    pub(crate) fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub(crate) fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    pub(crate) fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    pub(crate) fn qemu_plugin_insn_size(instruction: *const Instruction) -> usize;
    pub(crate) fn qemu_plugin_scoreboard_new(element_size: usize) -> *mut Scoreboard;
    pub(crate) fn qemu_plugin_u64_get(number: Number, cpu: c_uint) -> u64;
    pub(crate) fn qemu_plugin_outs(text: *const c_char);
}
