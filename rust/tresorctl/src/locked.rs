// SPDX-License-Identifier: GPL-2.0
//! A buffer for a pass phrase: never swapped out, not in core dumps, wiped when dropped.

use std::{io, ptr, slice};

use anyhow::{ensure, Context};
use rustix::mm::{self, Advice, MapFlags, MlockAllFlags, ProtFlags};
use zeroize::Zeroize;

/// A page-aligned multiple of any page size, far more than a pass phrase has.
const SIZE: usize = 1 << 16;

/// Keeps every secret of this program out of swap, those too that pass through ordinary memory.
///
/// Where the program may not lock all of its memory, this is an error only if there is swap.
pub(crate) fn keep_all_in_memory() -> anyhow::Result<()> {
    // Without the privilege a limit would make later allocations fail.
    if rustix::process::geteuid().is_root()
        && mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE).is_ok()
    {
        return Ok(());
    }
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    // The first line is a title.
    ensure!(
        swaps.lines().count() <= 1,
        "this command has keys in memory, which could be swapped to the disk: run it as root, or turn \
         swap off meanwhile (swapoff -a)"
    );
    Ok(())
}

/// Locked memory, all zero at first. It has no `Debug`, so that nothing prints it by accident.
pub(crate) struct Locked {
    start: *mut u8,
}

impl Locked {
    /// Maps and locks the memory.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping touches no memory of anyone.
        let start =
            unsafe { mm::mmap_anonymous(ptr::null_mut(), SIZE, protection, MapFlags::PRIVATE) };
        let buffer = Self {
            start: start
                .context("cannot get memory for the pass phrase")?
                .cast(),
        };
        // SAFETY: locking or advising on one's own mapping changes nothing that is in it.
        unsafe {
            mm::mlock(buffer.start.cast(), SIZE)
                .map_err(io::Error::from)
                .context("cannot lock memory for the pass phrase; raise the limit (ulimit -l) to 64 KiB or more")?;
            mm::madvise(buffer.start.cast(), SIZE, Advice::LinuxDontDump)
                .context("cannot keep the pass phrase out of core dumps")?;
        }
        Ok(buffer)
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has this size and lives as long as `self`; nothing writes to it
        // during a shared borrow.
        unsafe { slice::from_raw_parts(self.start, SIZE) }
    }

    /// The bytes, to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { slice::from_raw_parts_mut(self.start, SIZE) }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        // SAFETY: the mapping is this object's, and no borrow of it is left. Unmapping unlocks it.
        // An error would only leave zeros mapped.
        let _ = unsafe { mm::munmap(self.start.cast(), SIZE) };
    }
}
