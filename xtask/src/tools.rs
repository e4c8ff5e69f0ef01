// SPDX-License-Identifier: GPL-2.0
//! Looking for the programs and libraries whose version counts.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest libclang that the kernel's bindgen invocation works with.
pub(crate) const LIBCLANG_MIN: u32 = 15;

/// Directory of the newest usable libclang.so.
pub(crate) fn libclang_dir() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs_err::read_dir("/usr/lib")
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version: u32 = name.to_str()?.strip_prefix("llvm-")?.parse().ok()?;
            let lib = entry.path().join("lib");
            (version >= LIBCLANG_MIN && has_libclang(&lib)).then_some((version, lib))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, lib)| lib)
}

fn has_libclang(lib: &Path) -> bool {
    // bindgen loads libclang.so; the plain runtime package holds only libclang.so.N.
    lib.join("libclang.so").exists()
}

/// Version of the QEMU in PATH.
pub(crate) fn qemu_version() -> Option<(u32, u32)> {
    let out = Command::new("qemu-system-x86_64")
        .arg("--version")
        .output()
        .ok()?;
    parse_qemu(&String::from_utf8_lossy(&out.stdout))
}

fn parse_qemu(text: &str) -> Option<(u32, u32)> {
    debian_upstream(text.split("version ").nth(1)?.split_whitespace().next()?)
}

/// Major and minor number of a (Debian) version, without its epoch.
pub(crate) fn debian_upstream(version: &str) -> Option<(u32, u32)> {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_versions() {
        let version = parse_qemu(
            "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright",
        );
        assert_eq!(version, Some((10, 0)));
        assert_eq!(
            parse_qemu("QEMU emulator version 7.2.15 (built 10:20)"),
            Some((7, 2))
        );
        assert_eq!(parse_qemu("no such thing"), None);
        assert!(version > parse_qemu("QEMU emulator version 9.2.0"));
    }

    #[test]
    fn debian_versions() {
        assert_eq!(
            debian_upstream("1:10.0.2+ds-2+deb13u1~bpo12+1"),
            Some((10, 0))
        );
        assert_eq!(debian_upstream("11.1~rc1"), Some((11, 1)));
        assert_eq!(debian_upstream("sid"), None);
    }
}
