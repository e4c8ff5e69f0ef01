// SPDX-License-Identifier: GPL-2.0

//! Boots the real kernel under QEMU and watches it from outside.
//!
//! From the bottom up: [`machine`] starts QEMU and owns its process; [`qmp`], [`console`] and [`guest`] are the three ways to talk to it;
//! [`initramfs`] packs what runs inside; [`volume`] is the sequence of steps on an encrypted disk. Upon these stand [`demo`], which a
//! person watches, and [`scenarios`], which `cargo xtask test` runs.

pub mod console;
pub mod demo;
mod emulator_bug;
pub mod enrollment;
pub mod guest;
pub mod initramfs;
pub mod keyfind;
pub mod machine;
pub mod qmp;
pub mod registers;
pub mod report;
pub mod scan;
pub mod scenarios;
pub mod secrets;
pub mod volume;
pub mod watch;
