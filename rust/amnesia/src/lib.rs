// SPDX-License-Identifier: GPL-2.0
//! Wrapped handles: volume keys that RAM and disk hold only encrypted under the register secret S; and
//! a home for S in model-specific registers.
//!
//! A derived handle of `tresor` has no key of its own: the volume key is what S makes of the bytes
//! given to setkey. A wrapped handle carries a volume key, one that existed before or a fresh one,
//! encrypted and authenticated under S, so that a LUKS volume of stock `aes-xts` can be opened
//! without being written anew, and given back.
//!
//! The kernel driver and the user-space tools share [`wrapped`], the format, and [`store`], the choice of
//! the home, which are plain `core` without allocation or panics. The assembly beside them, `asm/`, is
//! in the kernel only. Feature `reference` adds module `reference`, which wraps and
//! unwraps in ordinary memory: the oracle of the tests, and what recovery on a stock machine uses.

#![no_std]

#[cfg(any(test, feature = "reference"))]
extern crate std;

// Where the shared files find the formats of `tresor`: in the kernel they are modules of its driver.
use tresor::{handle, kdf};

#[cfg(feature = "reference")]
pub mod reference;
pub mod store;
pub mod wrapped;
