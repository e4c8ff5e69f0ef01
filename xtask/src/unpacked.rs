// SPDX-License-Identifier: GPL-2.0
//! Programs of Debian for machines under test, each kind in a directory of its own below target/: nothing is installed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use qemu_tests::cryptsetups::Release;
use qemu_tests::unpacked::Programs;

use crate::apt::Apt;
use crate::fetch;
use crate::paths::Workspace;
use crate::process;

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

/// A TPM2 in software, and the tools for it.
pub(crate) const TPM: Packages = Packages {
    dir: "tpm",
    suites: &["trixie"],
    names: &["swtpm", "tpm2-tools", "libtss2-tcti-device0t64"],
    what: "swtpm and tpm2-tools with their libraries (28 MB)",
};

/// The release whose cryptsetup is tested by its own tests.
const SUITE_RELEASE: &str = "trixie";

/// What cryptsetup's own tests run, and what compiles the part of them that is in C.
pub(crate) const SUITE: Packages = Packages {
    dir: "cryptsetup-suite",
    suites: &[SUITE_RELEASE],
    names: &[
        "base-files",
        "bash",
        "bsdextrautils",
        "coreutils",
        "cryptsetup-bin",
        "diffutils",
        "dmsetup",
        "e2fsprogs",
        "expect",
        "findutils",
        "gawk",
        "grep",
        "jq",
        "keyutils",
        "libcryptsetup-dev",
        "libdevmapper-dev",
        "mount",
        "procps",
        "sed",
        "sharutils",
        "tar",
        "util-linux",
        "xxd",
        "xz-utils",
    ],
    what: "cryptsetup 2.7 and what its own tests run (40 MB)",
};

/// The source of that cryptsetup, fetched and unpacked unless it is there.
pub(crate) fn suite_source(workspace: &Workspace) -> Result<PathBuf> {
    let dir = workspace.target.join("cryptsetup-source");
    if !dir.exists() {
        eprintln!(
            "fetching the source of Debian's cryptsetup into {} (once, 12 MB)",
            workspace.show(&dir)
        );
        let apt = Apt::for_source(workspace, "cryptsetup-source", SUITE_RELEASE)?;
        apt.update()?;
        let archive = apt.download_source("cryptsetup")?;
        let partial = fetch::beside(&dir, "partial");
        fetch::remove_dir(&partial)?;
        fs_err::create_dir_all(&partial)?;
        process::output(
            Command::new("tar")
                .args(["--strip-components=1", "-C"])
                .arg(&partial)
                .arg("-xf")
                .arg(&archive),
        )?;
        fs_err::rename(partial, &dir)?;
    }
    Ok(dir)
}

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
