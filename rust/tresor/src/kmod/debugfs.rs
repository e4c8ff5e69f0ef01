// SPDX-License-Identifier: GPL-2.0

//! The directory `tresor` of debugfs. Nothing in it is secret.

use kernel::{
    debugfs::Scope,
    prelude::*, //
};

#[cfg(CONFIG_CRYPTO_TRESOR_LEAKS)]
use super::leak;
use super::window_hits;

/// The directory; its files are there as long as this lives.
pub(crate) type Files = Pin<KBox<Scope<()>>>;

/// Makes the directory and its files. Without debugfs it is empty. Context: may sleep.
pub(crate) fn create() -> Result<Files> {
    KBox::pin_init(
        Scope::dir((), c"tresor", |(), dir| {
            window_hits::files(dir);
            #[cfg(CONFIG_CRYPTO_TRESOR_LEAKS)]
            leak::files(dir);
        }),
        GFP_KERNEL,
    )
}
