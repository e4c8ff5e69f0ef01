// SPDX-License-Identifier: GPL-2.0
//! Measures the register-only XTS engines against the kernel's own and against other AES-XTS, in one process, interleaved.
//!
//! * [`competitor`]: who is measured, each behind one trait. Engines of `tresor::user` appear by themselves.
//! * [`workload`]: what is asked of them, and with which fences.
//! * [`check`]: all of them must agree on every workload before anything is timed.
//! * [`measure`] with [`clock`] and [`machine`]: the timing.
//! * [`bounds`]: how fast the engines could be at best.
//! * [`results`], [`bars`], [`report`]: ratios, the figures that were asked for, and the table, JSON and SVG.

pub mod bars;
pub mod bounds;
pub mod check;
pub mod clock;
pub mod competitor;
pub mod machine;
pub mod measure;
pub mod report;
pub mod results;
pub mod workload;
