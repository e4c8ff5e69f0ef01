// SPDX-License-Identifier: GPL-2.0

//! A pass phrase, a fresh slot for it, and every secret that follows from them, computed here, independently of the kernel.

use anyhow::{anyhow, Context, Result};
use rustix::rand::{getrandom, GetRandomFlags};
use tresor::handle::{Handle, KeySize, Variant};
use tresor::reference::{self, Secret, Sha256};
use tresor::slot::Slot;
use zeroize::Zeroizing;

use crate::secrets::{Secrets, VolumeKey};

/// Iterations of a test slot: a machine under TCG takes about a second for them. Far too few for a real one.
pub const TEST_ITERATIONS: u32 = 2000;

/// What the harness knows of one test machine's pass phrase.
pub struct Enrollment {
    slot: Slot,
    pass_phrase: Zeroizing<Vec<u8>>,
    p: Secret,
    s: Secret,
}

impl Enrollment {
    /// Makes a random slot for `pass_phrase`.
    pub fn new(pass_phrase: &[u8], iterations: u32) -> Result<Self> {
        let slot = reference::new_slot(pass_phrase, iterations, random()?, random()?, random()?)
            .context("too few iterations")?;
        Self::of_slot(&slot.to_string(), pass_phrase)
    }

    /// A slot that was made elsewhere, by its text.
    pub fn of_slot(text: &str, pass_phrase: &[u8]) -> Result<Self> {
        let slot = Slot::parse::<Sha256>(text.as_bytes()).map_err(|error| anyhow!("{error}"))?;
        let p = reference::pass_phrase_key(pass_phrase, slot.salt(), slot.iterations());
        Ok(Self {
            s: reference::register_secret(&slot, &p),
            p,
            slot,
            pass_phrase: Zeroizing::new(pass_phrase.to_vec()),
        })
    }

    /// The text of another slot of the same S, with a pass phrase of its own.
    pub fn another_slot(&self, pass_phrase: &[u8]) -> Result<String> {
        let slot = reference::slot_of(&self.s, pass_phrase, TEST_ITERATIONS, random()?, random()?);
        Ok(slot.context("too few iterations")?.to_string())
    }

    /// The slot's text.
    pub fn slot_text(&self) -> String {
        self.slot.to_string()
    }

    /// What the kernel command line needs.
    pub fn cmdline(&self) -> String {
        format!("tresor.slot={}", self.slot)
    }

    /// What to type at the prompt.
    pub fn pass_phrase(&self) -> &[u8] {
        &self.pass_phrase
    }

    /// The register secret that must be in DR0..DR3 after the prompt.
    pub fn s(&self) -> &[u8; 32] {
        &self.s
    }

    /// `K1 || K2` of the volume whose key, for setkey, is `handle` (32 or 64 bytes).
    pub fn volume_key(&self, handle: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let variant = Variant::from_key_len(handle.len()).map_err(|error| anyhow!("{error}"))?;
        let handle = Handle::derived::<Sha256>(handle).map_err(|error| anyhow!("{error}"))?;
        Ok(reference::volume_key(&self.s, &handle, variant))
    }

    /// The key of the volume of another mode than XTS whose key, for setkey, is `handle` (16, 24 or 32 bytes).
    pub fn aes_key(&self, handle: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let size = KeySize::from_key_len(handle.len()).map_err(|error| anyhow!("{error}"))?;
        let handle = Handle::derived_aes::<Sha256>(handle).map_err(|error| anyhow!("{error}"))?;
        Ok(reference::aes_key(&self.s, &handle, size))
    }

    /// The key by which ESSIV encrypts the sector numbers of that volume.
    pub fn essiv_key(&self, handle: &[u8]) -> Zeroizing<Vec<u8>> {
        let handle = Handle::derived_essiv::<Sha256>(handle);
        reference::aes_key(&self.s, &handle, KeySize::Aes256)
    }

    /// Everything that must not be in the RAM of a machine on which the volumes of these handles are open.
    pub fn secrets(&self, handles: &[&[u8]]) -> Result<Secrets> {
        let keys = handles.iter().map(|handle| self.volume_key(handle));
        self.secrets_and(&keys.collect::<Result<Vec<_>>>()?)
    }

    /// As [`Self::secrets`], with the XTS keys of the volumes.
    pub fn secrets_and(&self, keys: &[Zeroizing<Vec<u8>>]) -> Result<Secrets> {
        let volume_keys = keys
            .iter()
            .map(|key| VolumeKey::from_xts_key(key))
            .collect::<Result<_>>()?;
        Ok(Secrets {
            pass_phrase: self.pass_phrase.clone(),
            salt: *self.slot.salt(),
            p: self.p.clone(),
            s: self.s.clone(),
            m: reference::mac_key(&self.slot, &self.p),
            volume_keys,
        })
    }
}

/// Random bytes from the host's kernel.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    // Up to 256 bytes are never cut short.
    getrandom(&mut bytes, GetRandomFlags::empty()).context("reading random bytes")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_unlocks_to_the_same_secret_and_only_by_its_pass_phrase() {
        let enrollment = Enrollment::new(b"correct horse", 1000).expect("slot");
        let slot =
            Slot::parse::<Sha256>(enrollment.slot_text().as_bytes()).expect("canonical text");
        let s = reference::unlock(&slot, b"correct horse").expect("right");
        assert_eq!(*s, *enrollment.s());
        assert!(reference::unlock(&slot, b"correct horsf").is_err());
        let again = Enrollment::new(b"correct horse", 1000).expect("slot");
        assert_ne!(again.s(), enrollment.s());
    }
}
