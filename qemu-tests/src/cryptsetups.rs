// SPDX-License-Identifier: GPL-2.0

//! Other releases of cryptsetup than the host's, as Debian packages them: the same scenarios run with each.

use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use crate::guest_programs;
use crate::unpacked::Programs;

const CRYPTSETUP: &str = "cryptsetup";

/// A release of cryptsetup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 2.7.
    V2_7,
    /// 2.8, or a later 2.x when Debian has that.
    V2_8,
}

impl Release {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::V2_7, Self::V2_8];

    /// Part of the names of the scenarios that run with it.
    pub fn mark(self) -> &'static str {
        match self {
            Self::V2_7 => "_cryptsetup_2_7_",
            Self::V2_8 => "_cryptsetup_2_8_",
        }
    }

    /// Whether this is what it answers to `--version`: `cryptsetup 2.8.1 flags: ...`.
    fn is(self, version: &str) -> bool {
        let minor = version
            .strip_prefix("cryptsetup 2.")
            .and_then(|rest| rest.split('.').next())
            .and_then(|minor| minor.parse::<u32>().ok());
        match self {
            Self::V2_7 => minor == Some(7),
            Self::V2_8 => minor >= Some(8),
        }
    }

    /// Makes a root file system with this release, which `programs` has, in place of the host's, in `dir`.
    pub fn add_to(self, initramfs: &Path, programs: &Programs, dir: &Path) -> Result<PathBuf> {
        let said = programs
            .command(CRYPTSETUP)
            .arg("--version")
            .output()
            .context("starting cryptsetup")?;
        let said = String::from_utf8_lossy(&said.stdout);
        ensure!(
            self.is(&said),
            "Debian's package is another release than {self:?}: {said}"
        );
        let root = tempfile::Builder::new()
            .prefix("cryptsetup-")
            .tempdir_in(dir)?;
        guest_programs::add(programs, CRYPTSETUP, root.path())?;
        guest_programs::put_in_path(CRYPTSETUP, root.path())?;
        let name = format!("initramfs{}.img", self.mark().trim_end_matches('_'));
        guest_programs::append(initramfs, root.path(), &dir.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[test]
    fn each_release_is_known_by_its_version() {
        for (version, seven, eight) in [
            ("cryptsetup 2.6.1 flags: UDEV\n", false, false),
            ("cryptsetup 2.7.5 flags: UDEV\n", true, false),
            ("cryptsetup 2.8.8 flags: UDEV\n", false, true),
            ("cryptsetup 2.10.0\n", false, true),
            ("ld.so: no such file\n", false, false),
        ] {
            assert_eq!(Release::V2_7.is(version), seven, "{version}");
            assert_eq!(Release::V2_8.is(version), eight, "{version}");
        }
    }
}
