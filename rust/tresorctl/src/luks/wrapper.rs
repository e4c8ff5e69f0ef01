// SPDX-License-Identifier: GPL-2.0
//! Who wraps a key: the driver, in registers, or this program, with S computed from a slot.

use amnesia::reference as wrapped;
use amnesia::wrapped::{Kind, Wrapped};
use anyhow::{ensure, Context};
use tresor::phase::Phase;
use tresor::reference::{Secret, Sha256};
use tresor::uapi::wrap::{HANDLE, KEY};
use zeroize::Zeroizing;

use crate::device::Device;
use crate::failure::Failure;
use crate::luks::key;
use crate::new::random;
use crate::register_secret::FromSlot;

/// Makes wrapped handles.
pub(crate) enum Wrapper<'a> {
    /// The unlocked driver: S stays in its registers.
    Driver(Device),
    /// This program.
    Here(&'a FromSlot),
}

impl<'a> Wrapper<'a> {
    /// Finds out who can: the driver, unless the person names a slot or there is no driver.
    ///
    /// # Errors
    ///
    /// If the driver is locked, or there is neither driver nor slot.
    pub(crate) fn find(from: &'a FromSlot) -> anyhow::Result<Self> {
        if !from.is_given() {
            match Device::open() {
                Ok(device) => {
                    ensure!(
                        device.status()?.phase == Phase::Unlocked as u32,
                        "the machine has no key to wrap with: `tresorctl unlock` first, or give --slot to \
                         compute it in RAM"
                    );
                    return Ok(Self::Driver(device));
                }
                Err(error) if error.downcast_ref() == Some(&Failure::NoDriver) => (),
                Err(error) => return Err(error),
            }
        }
        // Better now than after all questions.
        from.slots(&[])?;
        Ok(Self::Here(from))
    }

    /// What a person should know before agreeing.
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Self::Driver(_) => "The driver does it: the register secret stays in registers.\n",
            Self::Here(_) => {
                "The register secret will be in this program's memory (RAM) for a moment.\n"
            }
        }
    }

    /// A handle of an existing XTS key.
    pub(crate) fn wrap(&self, volume_key: &[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        match self {
            Self::Driver(device) => {
                let kind = key::xts_kind(volume_key.len())?;
                let mut key = Zeroizing::new([0; KEY]);
                key[..volume_key.len()].copy_from_slice(volume_key);
                made(device, kind, device.wrap_key(kind as u8, &key)?)
            }
            Self::Here(from) => wrap(&*from.secret(&[])?, volume_key),
        }
    }

    /// A handle of a new key for XTS-AES-256, which nobody computes here.
    pub(crate) fn fresh(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let kind = Kind::XtsAes256;
        match self {
            Self::Driver(device) => made(device, kind, device.wrap_fresh(kind as u8)?),
            Self::Here(from) => {
                let s: Secret = from.secret(&[])?;
                let handle = wrapped::fresh(&s, kind, random()?, &random()?);
                Ok(Zeroizing::new(handle.encode::<Sha256>().to_vec()))
            }
        }
    }
}

/// A handle that the driver has made, when it has verified it, too.
fn made(device: &Device, kind: Kind, handle: [u8; HANDLE]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let parsed = Wrapped::parse::<Sha256>(&handle).context("the driver made no good handle")?;
    ensure!(
        parsed.kind() == kind,
        "the driver made a handle of another kind"
    );
    device.verify(&handle)?;
    Ok(Zeroizing::new(handle.to_vec()))
}

/// The handle of an XTS key under S.
pub(crate) fn wrap(s: &[u8; 32], volume_key: &[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let kind = key::xts_kind(volume_key.len())?;
    let handle = wrapped::wrap(s, kind, volume_key, random()?)
        .context("the volume's key cannot be wrapped")?;
    Ok(Zeroizing::new(handle.encode::<Sha256>().to_vec()))
}
