// SPDX-License-Identifier: GPL-2.0

//! The kernel side of the driver.

use kernel::{
    bindings,
    crypto::skcipher::Registration,
    prelude::*, //
};

mod asm;
mod boot;
mod cipher;
mod console;
mod each_cpu;
mod engine;
mod parameter;
mod prompt;
#[cfg(CONFIG_CRYPTO_SELFTESTS)]
mod selftest;
mod sha256;
mod state;
mod unlock;

/// The driver; lives as long as the kernel.
pub(crate) struct Tresor {
    _xts: Registration<cipher::XtsTresor>,
}

impl kernel::Module for Tresor {
    fn init(module: &'static ThisModule) -> Result<Self> {
        engine::choose()?;
        let xts = Registration::new(module)?;
        boot::set_ready();
        Ok(Self { _xts: xts })
    }
}

/// Whether the boot CPU has a feature, one of `X86_FEATURE_*`. Context: any.
fn cpu_has(feature: u32) -> bool {
    // SAFETY: Reads the features found at boot.
    unsafe { bindings::boot_cpu_has(feature) }
}
