// SPDX-License-Identifier: GPL-2.0

//! TRESOR: disk encryption whose key exists only in CPU registers.
//!
//! The root of the driver in the kernel. The modules beside `kmod` are the core that the user-space
//! tools share; `lib.rs` is its root there.

use kernel::prelude::*;

mod cmdline;
mod handle;
mod kdf;
mod kmod;
mod line;
mod slot;

module! {
    type: kmod::Tresor,
    name: "tresor",
    authors: ["The tresor authors"],
    description: "AES-XTS with a key that exists only in CPU registers",
    license: "GPL",
}
