// SPDX-License-Identifier: GPL-2.0

//! Boots the real kernel under QEMU and watches it from outside.
//!
//! From the bottom up: [`machine`] starts QEMU and owns its process; [`qmp`], [`console`] and [`guest`] are the three ways to talk to it;
//! [`initramfs`] packs what runs inside; [`volume`] is the sequence of steps on an encrypted disk. Upon these stand [`demo`], which a
//! person watches, and [`scenarios`], which `cargo xtask test` runs.

pub mod bochs;
pub mod console;
pub mod cost;
pub mod cryptsetup_suite;
pub mod cryptsetups;
pub mod debian;
mod debugger;
pub mod demo;
mod emulator_bug;
pub mod enrollment;
pub mod gdbstub;
pub mod guest;
mod guest_programs;
pub mod home;
mod host;
pub mod initramfs;
pub mod keyfind;
mod late;
pub mod machine;
pub mod next_kernel;
mod plugin_build;
pub mod proof;
pub mod qmp;
pub mod registers;
pub mod report;
pub mod scenarios;
pub mod sleep;
pub mod tpm;
pub mod unpacked;
pub mod volume;
pub mod watch;
pub mod watcher;

pub use late::{is_late, late};
pub use ramscan::{scan, secrets};
