// SPDX-License-Identifier: GPL-2.0
//! Programs of Debian for machines under test, each kind in a directory of its own below target/: nothing is installed.

use anyhow::Result;
use qemu_tests::cryptsetups::Release;
use qemu_tests::unpacked::Programs;

use crate::apt::Apt;
use crate::fetch;
use crate::paths::Workspace;

/// Packages that serve one purpose.
pub(crate) struct Packages {
    /// Their directory below target/.
    dir: &'static str,
    /// The suites of Debian that apt is shown.
    suites: &'static [&'static str],
    names: &'static [&'static str],
    /// For the person who waits.
    what: &'static str,
}

/// The emulator for machines whose CPU has AVX-512, with its BIOS, and what makes a disk bootable.
pub(crate) const BOCHS: Packages = Packages {
    dir: "bochs",
    suites: &["trixie"],
    names: &[
        "bochs",
        "bochs-term",
        "bochsbios",
        "vgabios",
        "grub-common",
        "grub-pc-bin",
    ],
    what: "Bochs and GRUB with their libraries (65 MB)",
};

/// An emulator whose plugins are told when a CPU takes an interrupt, with its firmware.
pub(crate) const NEWER_QEMU: Packages = Packages {
    dir: "newer-qemu",
    suites: &["trixie", "trixie-backports"],
    names: &[
        "qemu-system-x86/trixie-backports",
        "qemu-system-common/trixie-backports",
        "qemu-system-data/trixie-backports",
        "seabios/trixie-backports",
    ],
    what: "QEMU 11.1 with its libraries",
};

/// Other releases of cryptsetup than the host's, for machines.
pub(crate) const fn cryptsetup(release: Release) -> Packages {
    match release {
        Release::V2_7 => Packages {
            dir: "cryptsetup-2.7",
            suites: &["trixie"],
            names: &["cryptsetup-bin"],
            what: "cryptsetup 2.7 with its libraries",
        },
        Release::V2_8 => Packages {
            dir: "cryptsetup-2.8",
            suites: &["forky"],
            // What it needs of systemd comes without the rest.
            names: &["cryptsetup-bin", "systemd-standalone-tmpfiles"],
            what: "cryptsetup 2.8 or later with its libraries",
        },
    }
}

/// The debugger that runs inside a machine.
pub(crate) const GDB: Packages = Packages {
    dir: "gdb",
    suites: &["trixie"],
    names: &["gdb-minimal"],
    what: "gdb with its libraries (32 MB)",
};

/// Fetches and unpacks the packages unless they are there.
pub(crate) fn programs(workspace: &Workspace, packages: &Packages) -> Result<Programs> {
    let dir = workspace.target.join(packages.dir);
    if !dir.exists() {
        eprintln!(
            "fetching Debian's {} into {} (once; nothing is installed)",
            packages.what,
            workspace.show(&dir)
        );
        let apt = Apt::for_unpacking(workspace, packages.dir, packages.suites)?;
        apt.update()?;
        fetch::unpack_debs(&apt.download_with_dependencies(packages.names)?, &dir)?;
    }
    Ok(Programs::new(&dir))
}
