// SPDX-License-Identifier: GPL-2.0

//! SHA-256 of public bytes, by the kernel's library.

use kernel::bindings;

use crate::kdf::Sha256;

/// The kernel's SHA-256. For public data only: it works in memory.
pub(crate) struct KernelSha256;

impl Sha256 for KernelSha256 {
    fn digest(data: &[u8]) -> [u8; 32] {
        let mut digest = [0; 32];
        // SAFETY: `data` is valid for reads of its length and `digest` for writes of 32 bytes.
        unsafe { bindings::sha256(data.as_ptr(), data.len(), digest.as_mut_ptr()) };
        digest
    }
}
