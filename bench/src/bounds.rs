// SPDX-License-Identifier: GPL-2.0
//! How fast the engines can be at best, calculated from their machine code: `cargo xtask bench --bounds`.
//!
//! * [`walk`], with its [`flags`], follows a request through [`binary`] code, so a CPU need not have the instructions.
//! * [`core`] has what each [`class`] of instructions costs on a core, and [`schedule`] the fewest cycles that the request takes there.
//! * [`request`] says which requests, [`floor`] what no engine can do without whose key is in registers, [`recorded`] what was measured.
//! * [`table`] sets all of it beside the bars.

pub mod binary;
pub mod class;
pub mod core;
pub mod flags;
pub mod floor;
pub mod recorded;
pub mod request;
pub mod schedule;
pub mod table;
pub mod walk;

#[cfg(test)]
mod tests;
