// SPDX-License-Identifier: GPL-2.0

//! The kernel side of the driver.

use kernel::{
    bindings,
    crypto::skcipher::Registration,
    prelude::*, //
};

// A machine that does not sleep has nobody to ask.
#[cfg_attr(not(CONFIG_PM_SLEEP), allow(dead_code))]
mod agent;
mod asm;
mod boot;
mod cipher;
mod console;
mod debugfs;
mod device;
mod each_cpu;
mod engine;
#[cfg(CONFIG_HIBERNATION)]
mod hibernation;
mod hotplug;
#[cfg(CONFIG_CRYPTO_TRESOR_LEAKS)]
mod leak;
mod lock;
mod machine;
mod owner;
mod parameter;
mod pass_phrase;
#[cfg(CONFIG_PM_SLEEP)]
mod power;
mod prompt;
#[cfg(CONFIG_CRYPTO_SELFTESTS)]
mod selftest;
mod sha256;
mod state;
mod store;
#[cfg(CONFIG_MAGIC_SYSRQ)]
mod sysrq;
mod uevent;
mod unlock;
mod window_hits;
mod wrapped;

use cipher::Cipher;

/// Command line parameter: with 0, requests fail with `ENOKEY` while there is no S instead of
/// waiting for it.
const WAIT_PARAMETER: &[u8] = b"tresor.wait";

/// The driver; lives as long as the kernel.
pub(crate) struct Tresor {
    _xts: Registration<Cipher<cipher::Xts>>,
    _wrapped_xts: Wrapped<cipher::WrappedXts<cipher::Amnesia>, cipher::WrappedXts<cipher::Paes>>,
    _modes: Option<Modes>,
    _debugfs: debugfs::Files,
    _device: Option<device::Registration>,
}

impl kernel::Module for Tresor {
    fn init(module: &'static ThisModule) -> Result<Self> {
        owner::check()?;
        Self::start(module).inspect_err(|_| {
            store::give_back();
            owner::give_back();
        })
    }
}

impl Tresor {
    fn start(module: &'static ThisModule) -> Result<Self> {
        let available = engine::choose()?;
        each_cpu::prepare()?;
        store::prepare()?;
        lock::prepare()?;
        if parameter::value(WAIT_PARAMETER) == Some(b"0") {
            pr_info!("tresor.wait=0: requests fail while there is no key\n");
            state::fail_by_default(true);
        }
        hotplug::prepare()?;
        #[cfg(CONFIG_PM_SLEEP)]
        power::prepare()?;
        #[cfg(CONFIG_HIBERNATION)]
        hibernation::prepare()?;
        let xts = Registration::new(module)?;
        let wrapped_xts = Wrapped::new(module)?;
        let modes = match available {
            engine::Available::Xts => None,
            engine::Available::AllModes => Some(Modes::new(module)?),
        };
        #[cfg(CONFIG_MAGIC_SYSRQ)]
        if let Err(error) = sysrq::register() {
            pr_warn!("SysRq-x does not wipe the key: {:?}\n", error);
        }
        let device = device::register()
            .inspect_err(|error| pr_err!("there is no /dev/tresor: {:?}\n", error))
            .ok();
        let debugfs = debugfs::create()?;
        // Nothing fails after this.
        boot::set_ready();
        Ok(Self {
            _xts: xts,
            _wrapped_xts: wrapped_xts,
            _modes: modes,
            _debugfs: debugfs,
            _device: device,
        })
    }
}

/// The two names of a cipher whose key is a wrapped handle.
struct Wrapped<A: cipher::Mode, P: cipher::Mode> {
    _amnesia: Registration<Cipher<A>>,
    _paes: Registration<Cipher<P>>,
}

impl<A: cipher::Mode, P: cipher::Mode> Wrapped<A, P> {
    fn new(module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _amnesia: Registration::new(module)?,
            _paes: Registration::new(module)?,
        })
    }
}

/// The ciphers of modes other than XTS.
struct Modes {
    _ecb: Registration<Cipher<cipher::Ecb>>,
    _cbc: Registration<Cipher<cipher::Cbc>>,
    _essiv_cbc: Registration<Cipher<cipher::EssivCbc>>,
    _ctr: Registration<Cipher<cipher::Ctr>>,
    _wrapped_cbc: Wrapped<cipher::WrappedCbc<cipher::Amnesia>, cipher::WrappedCbc<cipher::Paes>>,
}

impl Modes {
    fn new(module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _ecb: Registration::new(module)?,
            _cbc: Registration::new(module)?,
            _essiv_cbc: Registration::new(module)?,
            _ctr: Registration::new(module)?,
            _wrapped_cbc: Wrapped::new(module)?,
        })
    }
}

/// Whether the boot CPU has a feature, one of `X86_FEATURE_*`. Context: any.
fn cpu_has(feature: u32) -> bool {
    // SAFETY: Reads the features found at boot.
    unsafe { bindings::boot_cpu_has(feature) }
}
