// SPDX-License-Identifier: GPL-2.0

//! A plugin for QEMU's TCG that watches every store of a machine for secrets, from the first instruction on.
//!
//! The guest's RAM is a file that QEMU maps shared. The plugin maps it as well, and after each store looks at the words in RAM that the
//! store touched. RAM is its own shadow: it does not matter by how many stores, of what size and in which order a secret gets there.
//! What it knows of secrets it has from the harness ([`config`]), which computed them independently of the guest; counters and switches
//! are in a file that both map ([`shared`]).
//!
//! Seen: every store instruction, whatever its kind and privilege, including those of system management mode; and what the CPU pushes
//! when it takes an interrupt or exception whose handler the harness names ([`frame`]).
//! Not seen: DMA of devices, SMM's save area, port I/O. Those need a look at the whole RAM and at the devices' logs.
//!
//! It also interrupts the guest at chosen instructions ([`storm`]).
//!
//! Bottom up: [`table`] knows the secrets, [`probe`] looks at one store, [`plugin`] is what QEMU calls, [`api`] what it calls in QEMU.

mod api;
pub mod config;
mod frame;
pub mod plugin;
pub mod probe;
mod ram;
pub mod report;
pub mod shared;
mod storm;
pub mod table;
