// SPDX-License-Identifier: GPL-2.0

//! Wrapped handles and the choice of the store in the kernel, where this is a module of the driver;
//! `lib.rs` is the root in user space.

// Where the shared files find the formats of `tresor`.
use crate::{
    handle,
    kdf, //
};

pub(crate) mod store;
pub(crate) mod wrapped;
