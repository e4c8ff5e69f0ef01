// SPDX-License-Identifier: GPL-2.0

//! TRESOR: disk encryption whose key exists only in CPU registers.
//!
//! The root of the driver in the kernel. The modules beside `kmod` are the core that the user-space
//! tools share; `lib.rs` is its root there.

use kernel::prelude::*;

mod kmod;

/// Declares the modules of the core, which is a library with more users in user space.
macro_rules! core_modules {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        $($(#[$attribute])* #[allow(unreachable_pub, dead_code)] mod $name;)*
    };
}

core_modules! {
    /// Wrapped handles: a library of its own in user space.
    amnesia,
    class,
    cmdline,
    handle,
    kdf,
    line,
    machine,
    phase,
    #[cfg(CONFIG_CRYPTO_SELFTESTS)]
    public_secret,
    slot,
    uapi,
}

module! {
    type: kmod::Tresor,
    name: "tresor",
    authors: ["The tresor authors"],
    description: "AES with a key that exists only in CPU registers",
    license: "GPL",
}
