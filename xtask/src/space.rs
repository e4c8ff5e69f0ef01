// SPDX-License-Identifier: GPL-2.0
//! Free space: asked for before a long step begins, and recognised when it ran out all the same.

use std::path::Path;

use anyhow::{bail, Context, Result};

const MIB: u64 = 1 << 20;

/// Package, unpacked tree and a full build (measured: 1.8 GiB tree, 0.6 GiB build, 0.2 GiB package), with some room.
pub(crate) const TREE: u64 = 4096 * MIB;

/// A full build beside a tree that is there.
pub(crate) const BUILD: u64 = 1536 * MIB;

/// A build of one's own configuration, which may be that of a distribution, and its packages.
pub(crate) const PACKAGES: u64 = 20 * 1024 * MIB;

/// An incremental build.
pub(crate) const REBUILD: u64 = 256 * MIB;

/// Refuses when the file system has less than `bytes` free.
pub(crate) fn require(dir: &Path, bytes: u64) -> Result<()> {
    let stat = rustix::fs::statvfs(dir)
        .with_context(|| format!("cannot ask for the free space of {}", dir.display()))?;
    check(stat.f_bavail.saturating_mul(stat.f_frsize), bytes, dir)
}

fn check(free: u64, wanted: u64, dir: &Path) -> Result<()> {
    if free < wanted {
        bail!(
            "{} has {} MiB free, this step needs {} MiB: free some space, or set CARGO_TARGET_DIR to a larger file system",
            dir.display(),
            free / MIB,
            wanted / MIB
        );
    }
    Ok(())
}

/// What programs say when the file system is full.
pub(crate) fn ran_out(text: &str) -> bool {
    text.contains("No space left on device") || text.contains("Disk quota exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_space_is_refused_with_the_figures() {
        let error = check(100 * MIB, TREE, Path::new("/t"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("100 MiB") && error.contains("4096 MiB"),
            "{error}"
        );
        assert!(check(TREE, TREE, Path::new("/t")).is_ok());
    }

    #[test]
    fn a_full_disk_is_recognised() {
        assert!(ran_out(
            "/tmp/ccX.s: fatal error: error writing to -: No space left on device"
        ));
        assert!(!ran_out("error: expected `;`"));
    }
}
