// SPDX-License-Identifier: GPL-2.0

//! Follows secrets through every path of the engines' machine code.
//!
//! An abstract interpretation: for each register it is known whether it may depend on a secret ([`Content`]), what one instruction does to
//! that is in `step`, and `flow` follows every jump and every call of a window, until nothing new comes. Secrets come from the debug
//! registers, from model-specific registers, and from the memory that a function declares to hold a pass phrase. [`Rule`] lists where they
//! must not go. What leaves all the same, finished blocks and a few decisions, is declared in the source (`asm/declare.inc`) and listed.
//!
//! The code is read as it was linked ([`kernel`]) or assembled ([`object_file`]); nothing of it is run.

mod content;
pub mod controls;
mod debug_registers;
mod flow;
mod function;
pub mod kernel;
pub mod mutants;
pub mod object_file;
mod rule;
mod static_calls;
mod step;
mod table;
mod zero;

pub use content::Content;
pub use debug_registers::{debug_register_uses, DebugRegisterUse};
pub use flow::{check, Outcome, Program};
pub use function::{Function, Mark, WINDOWS};
pub use rule::{Finding, Rule};
pub use static_calls::static_calls;
pub use step::{reads, writes};
pub use zero::{is_wipe, zeroed, zeroed_register, Zeroed};
