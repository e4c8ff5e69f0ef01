// SPDX-License-Identifier: GPL-2.0

//! The buffers of what comes from user space and is secret: a pass phrase, a volume key.

use core::ptr;
use kernel::prelude::*;

use crate::{
    kdf,
    uapi, //
};

/// Room for a pass phrase of the greatest length with its SHA-256 padding.
const BUFFER: usize = kdf::PASS_PHRASE_BUFFER;

/// A buffer for a pass phrase; wiped when dropped.
pub(crate) struct PassPhrase(KBox<[u8; BUFFER]>);

impl PassPhrase {
    /// An empty buffer. Context: may sleep.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(KBox::new([0; BUFFER], GFP_KERNEL)?))
    }

    /// The bytes, to read a line into.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0[..]
    }

    /// Zeros all of it.
    pub(crate) fn wipe(&mut self) {
        wipe(self.bytes());
    }
}

/// A buffer for a volume key that is to be wrapped; wiped when dropped.
pub(crate) struct VolumeKey(pub(crate) KBox<[u8; uapi::wrap::KEY]>);

impl VolumeKey {
    /// An empty buffer. Context: may sleep.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(KBox::new([0; uapi::wrap::KEY], GFP_KERNEL)?))
    }
}

impl Drop for VolumeKey {
    fn drop(&mut self) {
        wipe(&mut self.0[..]);
    }
}

fn wipe(bytes: &mut [u8]) {
    for byte in bytes {
        // SAFETY: A reference is valid for writes. Volatile, so that it is not left out.
        unsafe { ptr::from_mut(byte).write_volatile(0) };
    }
}

impl Drop for PassPhrase {
    fn drop(&mut self) {
        self.wipe();
    }
}
