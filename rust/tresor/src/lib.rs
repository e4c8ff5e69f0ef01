// SPDX-License-Identifier: GPL-2.0
//! Formats and engines of `tresor`, a disk-encryption driver whose keys exist only in registers.
//!
//! The kernel driver and the user-space tools share this source. The core ([`slot`], [`handle`],
//! [`class`], [`kdf`], [`cmdline`], [`mod@line`], [`machine`], [`phase`], [`uapi`]) is plain `core`,
//! without allocation or panics; the kernel compiles the same files as modules of its driver.
//! Everything else is for user space:
//!
//! * feature `reference`: module `reference`, what the engines compute, in ordinary memory with
//!   RustCrypto. The oracle of every test.
//! * feature `engines`: module `user`, the kernel's own assembly files assembled for user space
//!   (x86-64).

#![no_std]

#[cfg(any(test, feature = "reference", feature = "engines"))]
extern crate std;

pub mod class;
pub mod cmdline;
pub mod handle;
pub mod kdf;
pub mod line;
pub mod machine;
pub mod phase;
pub mod public_secret;
#[cfg(feature = "reference")]
pub mod reference;
pub mod slot;
pub mod uapi;
#[cfg(all(feature = "engines", target_arch = "x86_64"))]
pub mod user;
