// SPDX-License-Identifier: GPL-2.0

//! What encryption costs in the kernel, in instructions: for a request to the cipher, and for a page through dm-crypt.
//!
//! Time means nothing in an emulated machine, but the instructions that it executes are those of a real one, and the same each time. A
//! plugin of QEMU (`counter/`) counts them by what they are spent on; [`plan`] tells it by the symbols of the kernel.

mod measure;
mod plan;
mod record;
mod symbols;
mod table;

pub use measure::{measure, Case, Direction, Figures, Stretches, UNBATCHED};
pub use plan::Kind;
pub use record::Count;
pub use table::text;
