// SPDX-License-Identifier: GPL-2.0

//! What the guest's PID 1 and the harness on the host share: the words of their conversation and the test content.

pub mod pattern;
pub mod protocol;
