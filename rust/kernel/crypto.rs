// SPDX-License-Identifier: GPL-2.0

//! Cryptographic API.
//!
//! Reference: <https://docs.kernel.org/crypto/index.html>

pub mod skcipher;
