// SPDX-License-Identifier: GPL-2.0

//! Looks for secrets in the RAM of a machine: [`secrets`] are the bytes that must not be there, [`scan`] finds them.
//!
//! A package of its own because it is compiled with optimisation even in builds for tests: half a gigabyte takes half a second, and a
//! minute without.

pub mod scan;
pub mod secrets;
