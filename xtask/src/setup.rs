// SPDX-License-Identifier: GPL-2.0
//! What this machine must have installed, what is missing, and installing it.

use std::process::Command;

use anyhow::{bail, Context, Result};

use crate::apt::Apt;
use crate::paths::Workspace;
use crate::process;
use crate::tools::{debian_upstream, libclang_dir, qemu_version, LIBCLANG_MIN};

/// Packages for building the kernel.
const BUILD: &[&str] = &[
    "bc",
    "bison",
    "cpio",
    "flex",
    "gcc",
    "git",
    "kmod",
    "libc6-dev",
    "libelf-dev",
    "libssl-dev",
    "make",
    "patch",
    "perl",
    "rsync",
    "xz-utils",
    "zstd",
];

/// Packages for running and watching it. QEMU is looked at apart, because its version counts.
const RUN: &[&str] = &[
    "aeskeyfind",
    "busybox-static",
    "cryptsetup-bin",
    "dmsetup",
    "e2fsprogs",
];

/// Packages of test vectors that the unit tests read.
const VECTORS: &[&str] = &["python3-cryptography-vectors"];

/// Packages whose programs the unit tests of tresorctl run beside it.
const TRESORCTL: &[&str] = &["cryptsetup-bin"];

/// Packages whose programs the unit tests of the harness run.
const HARNESS: &[&str] = &["aeskeyfind"];

/// Packages that make packages of a kernel, and a Debian system to install ours on.
const PACKAGES: &[&str] = &[
    "debhelper",
    "dpkg-dev",
    "libdw-dev",
    "mmdebstrap",
    "python3",
];

/// Packages that make up QEMU: all of them must come from the same suite.
const QEMU: &[&str] = &[
    "qemu-system-x86",
    "qemu-system-common",
    "qemu-system-data",
    "seabios",
];

/// The first QEMU with everything the tests use.
const QEMU_MIN: (u32, u32) = (10, 0);

/// libclang for bindgen: the version tried, else the newest there is.
const LIBCLANG_TRIED: u32 = 19;

/// What a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Building the kernel.
    Build,
    /// Building the kernel and running it in QEMU.
    BuildAndRun,
    /// Testing the engines with published vectors.
    Vectors,
    /// Testing tresorctl.
    Tresorctl,
    /// Testing the harness itself.
    Harness,
    /// Making packages of a kernel, and testing ours on a new Debian system.
    Packages,
}

impl Need {
    /// Everything that any command needs.
    pub(crate) const ALL: [Self; 5] = [
        Self::BuildAndRun,
        Self::Vectors,
        Self::Tresorctl,
        Self::Harness,
        Self::Packages,
    ];

    /// The packages of which any version will do.
    fn packages(self) -> impl Iterator<Item = &'static str> {
        let lists: &[&[&str]] = match self {
            Self::Build => &[BUILD],
            Self::BuildAndRun => &[BUILD, RUN],
            Self::Vectors => &[VECTORS],
            Self::Tresorctl => &[TRESORCTL],
            Self::Harness => &[HARNESS],
            Self::Packages => &[PACKAGES],
        };
        lists.iter().copied().flatten().copied()
    }
}

/// What this machine has.
struct Found {
    /// Names of the installed packages.
    packages: Vec<String>,
    libclang: bool,
    qemu: Option<(u32, u32)>,
}

impl Found {
    fn look() -> Result<Self> {
        Ok(Self {
            packages: installed_packages()?,
            libclang: libclang_dir().is_some(),
            qemu: qemu_version(),
        })
    }

    fn libclang_is_missing(&self, need: Need) -> bool {
        matches!(need, Need::Build | Need::BuildAndRun) && !self.libclang
    }

    fn qemu_is_missing(&self, need: Need) -> bool {
        need == Need::BuildAndRun && self.qemu.is_none_or(|version| version < QEMU_MIN)
    }

    /// Packages to install, in the order of the lists above.
    fn missing(&self, need: Need) -> Vec<String> {
        let mut missing: Vec<String> = need
            .packages()
            .filter(|package| !self.packages.iter().any(|name| name == package))
            .map(str::to_owned)
            .collect();
        if self.libclang_is_missing(need) {
            missing.push(format!("libclang-{LIBCLANG_TRIED}-dev"));
        }
        if self.qemu_is_missing(need) {
            missing.extend(QEMU.iter().map(|&package| package.to_owned()));
        }
        missing
    }
}

/// Finds what is missing and installs it, or, with `no_install`, refuses with the list.
pub(crate) fn ensure(workspace: &Workspace, need: Need, no_install: bool) -> Result<()> {
    if Command::new("dpkg-query")
        .arg("--version")
        .output()
        .is_err()
    {
        bail!("this machine has no dpkg: packages are installed on Debian 12 or newer only");
    }
    let found = Found::look()?;
    let mut missing = found.missing(need);
    let qemu_missing = found.qemu_is_missing(need);
    if missing.is_empty() {
        return Ok(());
    }

    let mut why = format!("missing Debian packages: {}", missing.join(" "));
    if let (true, Some((major, minor))) = (qemu_missing, found.qemu) {
        why.push_str(&format!(
            "\nQEMU {major}.{minor} is too old: {}.{} or newer is needed",
            QEMU_MIN.0, QEMU_MIN.1
        ));
    }
    if no_install {
        bail!("{why}\nrun `cargo xtask setup` to install them");
    }
    let as_root = rustix::process::geteuid().is_root();
    if !as_root && Command::new("sudo").arg("--version").output().is_err() {
        bail!("{why}\nonly root can install them, and there is no sudo: run `cargo xtask setup` as root");
    }
    eprintln!(
        "{why}\ninstalling them with apt (its source list is below {})",
        workspace.show(&workspace.target)
    );

    let apt = Apt::for_install(workspace)?;
    apt.update()?;
    if found.libclang_is_missing(need)
        && apt
            .versions(&format!("libclang-{LIBCLANG_TRIED}-dev"))?
            .is_empty()
    {
        let newest = newest_libclang(&apt)?;
        missing.retain(|package| !package.starts_with("libclang-"));
        missing.push(format!("libclang-{newest}-dev"));
    }
    if qemu_missing {
        check_qemu_offered(&apt)?;
        for package in missing
            .iter_mut()
            .filter(|package| QEMU.contains(&package.as_str()))
        {
            // A backport, which says so in its version, is never chosen by itself.
            if apt
                .versions(package)?
                .first()
                .is_some_and(|version| version.contains("~bpo"))
            {
                package.push_str(&format!("/{}-backports", apt.codename));
            }
        }
    }
    apt.install(&missing, as_root)?;
    if qemu_missing && qemu_version().is_none_or(|version| version < QEMU_MIN) {
        bail!("apt installed QEMU, but qemu-system-x86_64 is still missing or too old: is another one first in PATH?");
    }
    Ok(())
}

/// Names of all installed packages, without their architecture.
fn installed_packages() -> Result<Vec<String>> {
    let text = process::output(Command::new("dpkg-query").args([
        "-W",
        "-f",
        "${db:Status-Abbrev} ${Package}\\n",
    ]))?;
    Ok(text
        .lines()
        .filter_map(|line| line.strip_prefix("ii"))
        .map(|name| name.trim().to_owned())
        .collect())
}

/// Does the release or its backports have a QEMU that is new enough?
fn check_qemu_offered(apt: &Apt) -> Result<()> {
    let versions = apt.versions("qemu-system-x86")?;
    let newest = versions
        .first()
        .context("the Debian mirror has no qemu-system-x86: check this machine's apt sources")?;
    if debian_upstream(newest).is_none_or(|version| version < QEMU_MIN) {
        bail!(
            "QEMU {}.{} or newer is needed, {} has {newest} at most: use a newer Debian or install QEMU by hand",
            QEMU_MIN.0,
            QEMU_MIN.1,
            apt.codename
        );
    }
    Ok(())
}

/// The newest libclang-N-dev that is new enough.
fn newest_libclang(apt: &Apt) -> Result<u32> {
    for version in (LIBCLANG_MIN..LIBCLANG_TRIED + 10).rev() {
        if !apt.versions(&format!("libclang-{version}-dev"))?.is_empty() {
            return Ok(version);
        }
    }
    bail!(
        "the Debian mirror has no libclang of version {LIBCLANG_MIN} or newer, which bindgen needs"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Found {
        Found {
            packages: BUILD
                .iter()
                .chain(RUN)
                .chain(VECTORS)
                .chain(PACKAGES)
                .map(|&name| name.to_owned())
                .collect(),
            libclang: true,
            qemu: Some((10, 0)),
        }
    }

    #[test]
    fn a_complete_machine_misses_nothing() {
        for need in Need::ALL {
            assert!(complete().missing(need).is_empty());
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut found = complete();
        found
            .packages
            .retain(|name| name != "flex" && name != "aeskeyfind");
        found.libclang = false;
        assert_eq!(
            found.missing(Need::BuildAndRun),
            ["flex", "aeskeyfind", "libclang-19-dev"]
        );
        assert_eq!(found.missing(Need::Build), ["flex", "libclang-19-dev"]);
        assert_eq!(found.missing(Need::Harness), HARNESS);
    }

    #[test]
    fn vectors_are_apart_from_kernel_and_qemu() {
        let mut found = Found {
            packages: Vec::new(),
            libclang: false,
            qemu: None,
        };
        assert_eq!(found.missing(Need::Vectors), VECTORS);
        found = complete();
        found
            .packages
            .retain(|name| !VECTORS.contains(&name.as_str()));
        assert!(found.missing(Need::BuildAndRun).is_empty());
        assert!(found.missing(Need::Tresorctl).is_empty());
        found.packages.retain(|name| name != "cryptsetup-bin");
        assert_eq!(found.missing(Need::Tresorctl), TRESORCTL);
    }

    #[test]
    fn an_old_qemu_is_missing_for_running_only() {
        for qemu in [None, Some((7, 2))] {
            let found = Found { qemu, ..complete() };
            assert_eq!(found.missing(Need::BuildAndRun), QEMU);
            assert!(found.missing(Need::Build).is_empty());
        }
    }
}
