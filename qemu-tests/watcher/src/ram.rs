// SPDX-License-Identifier: GPL-2.0

//! The guest's RAM as this process sees it, while the guest writes it.

use std::path::Path;

use anyhow::{ensure, Context, Result};
use memmap2::{MmapOptions, MmapRaw};

use crate::table::{Bytes, WINDOW};

/// The mapped file.
pub(crate) struct Ram {
    map: MmapRaw,
}

impl Ram {
    /// Maps the first `bytes` of the file that QEMU has made.
    pub(crate) fn map(path: &Path, bytes: u64) -> Result<Self> {
        let file = fs_err::File::options().read(true).write(true).open(path)?;
        let len = file.metadata()?.len();
        ensure!(
            len >= bytes,
            "{} has {len} bytes, but the guest's RAM {bytes}",
            path.display()
        );
        let map = MmapOptions::new()
            .len(usize::try_from(bytes)?)
            .map_raw(file.file())
            .context("cannot map the guest's RAM")?;
        Ok(Self { map })
    }

    /// Its length in bytes, the end of physical addresses.
    pub(crate) fn len(&self) -> u64 {
        self.map.len() as u64
    }
}

impl Bytes for Ram {
    #[inline]
    fn byte(&self, at: u64) -> Option<u8> {
        if at >= self.len() {
            return None;
        }
        // SAFETY: `at` is inside the mapping, which lives as long as `self`. The guest may write it at the same time, so the read is
        // volatile: it gives the old byte or the new one.
        Some(unsafe { self.map.as_ptr().add(at as usize).read_volatile() })
    }

    #[inline]
    fn word(&self, at: u64) -> Option<u32> {
        if at + WINDOW as u64 > self.len() {
            return None;
        }
        // SAFETY: The word is inside the mapping, which begins at a page; callers give multiples of 4, and an unaligned one would only
        // be slower. The guest may write it at the same time: see `byte()`.
        let word = unsafe {
            self.map
                .as_ptr()
                .add(at as usize)
                .cast::<[u8; WINDOW]>()
                .read_volatile()
        };
        Some(u32::from_le_bytes(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_words_up_to_the_end() {
        let path = std::env::temp_dir().join(format!("watcher-ram-{}", std::process::id()));
        std::fs::write(&path, [1, 2, 3, 4, 5, 6, 7, 8]).expect("write");
        let ram = Ram::map(&path, 8).expect("map");
        assert_eq!(ram.byte(7), Some(8));
        assert_eq!(ram.byte(8), None);
        assert_eq!(ram.word(4), Some(0x0807_0605));
        assert_eq!(ram.word(8), None);
        assert!(Ram::map(&path, 9).is_err());
        std::fs::remove_file(&path).expect("remove");
    }
}
