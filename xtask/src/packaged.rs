// SPDX-License-Identifier: GPL-2.0
//! Tests of the packages: what is in them, and what they do to a Debian system that they are installed on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};

use crate::deb::{self, Profile};
use crate::debian::{self, inside};
use crate::fetch;
use crate::kernel::{self, Kernel};
use crate::kernel_deb;
use crate::paths::Workspace;
use crate::process;
use crate::runner::{Filter, Outcome, Tally};
use crate::setup::{self, Need};

const CONTENT: &str = "package::tools::content";
const INSTALLED: &str = "package::tools::asks_in_the_initramfs";

/// Name of the test of the kernel's packages.
pub(crate) const KERNEL_PACKAGE: &str = "package::kernel::content";

/// The initramfs is made for a kernel without modules.
const KERNEL: &str = "0.0-test";

/// Runs the wanted ones.
pub(crate) fn run(workspace: &Workspace, filter: Filter<'_>, no_install: bool, tally: &mut Tally) {
    let wanted: Vec<&str> = [CONTENT, INSTALLED]
        .into_iter()
        .filter(|name| filter.takes(name))
        .collect();
    if wanted.is_empty() {
        return;
    }
    tally.stage("packages for users");
    let package = match deb::tools(workspace, Profile::Dev) {
        Ok(package) => package,
        Err(error) => {
            for name in wanted {
                tally.record(name, Outcome::Failed(format!("{error:#}")), None);
            }
            return;
        }
    };
    if wanted.contains(&CONTENT) {
        tally.run(CONTENT, || content(&package));
    }
    if wanted.contains(&INSTALLED) {
        if rustix::process::geteuid().is_root() {
            tally.run(INSTALLED, || installed(workspace, &package, no_install));
        } else {
            let why = "only root can make a system to install it on";
            tally.record(INSTALLED, Outcome::Skipped(why.to_owned()), None);
        }
    }
}

/// Builds the packages of a kernel like a distribution's and returns that of the kernel itself. Their configuration is the one of
/// the kernel with what distributions turn on, without anything of the driver.
///
/// The build begins as a copy of that kernel's: what differs is compiled.
pub(crate) fn kernel(workspace: &Workspace, kernel: &Kernel, no_install: bool) -> Result<PathBuf> {
    setup::ensure(workspace, Need::Packages, no_install)?;
    kernel.build_distribution(workspace)?;
    let like = kernel.source.distribution();
    let dir = kernel.source.packages();
    let build = dir.join(kernel_deb::BUILD);
    if !build.exists() {
        kernel::copy_build(workspace, &like, &build)?;
    }
    let config = fs_err::read_to_string(like.join(".config"))?;
    let without: Vec<&str> = config
        .lines()
        .filter(|line| !line.contains("CRYPTO_TRESOR"))
        .collect();
    let file = dir.join("test.config");
    fs_err::write(&file, without.join("\n"))?;
    kernel_deb::build(workspace, kernel, &dir, &file)?
        .into_iter()
        .find(|package| kernel_deb::is_image(package))
        .context("there is no package of the kernel")
}

/// Looks that the kernel in the package has the driver.
pub(crate) fn kernel_content(kernel: &Kernel, image: &Path) -> Result<()> {
    let unpacked = kernel.source.packages().join("unpacked");
    fetch::remove_dir(&unpacked)?;
    fetch::unpack_deb(image, &unpacked)?;
    let boot: Vec<PathBuf> = fs_err::read_dir(unpacked.join("boot"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    let find = |name: &str| {
        boot.iter()
            .find(|path| {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                file.starts_with(name) && file.ends_with(kernel_deb::SUFFIX)
            })
            .with_context(|| format!("there is no {name}*{}: {boot:?}", kernel_deb::SUFFIX))
    };
    find("vmlinuz-")?;
    ensure!(
        fs_err::read_to_string(find("config-")?)?.contains("\nCONFIG_CRYPTO_TRESOR=y\n"),
        "the kernel in the package has no driver"
    );
    fetch::remove_dir(&unpacked)
}

/// Files belong to root, nobody else can write them, and every page and hook is there.
fn content(package: &Path) -> Result<()> {
    let list = process::output(Command::new("dpkg-deb").arg("-c").arg(package))?;
    for line in list.lines() {
        let mut fields = line.split_whitespace();
        let (mode, owner) = (fields.next(), fields.next());
        ensure!(
            owner == Some("root/root"),
            "does not belong to root: {line}"
        );
        let mode = mode.unwrap_or_default().as_bytes();
        ensure!(
            mode.get(5) == Some(&b'-') && mode.get(8) == Some(&b'-'),
            "others can write it: {line}"
        );
    }
    for name in [
        deb::PROGRAM,
        "usr/share/initramfs-tools/hooks/tresor",
        "usr/lib/tresor/ask",
        "usr/lib/dracut/modules.d/90tresor/module-setup.sh",
        "usr/share/man/man1/tresorctl.1.gz",
        "usr/share/man/man1/tresorctl-unlock.1.gz",
        "usr/share/bash-completion/completions/tresorctl",
    ] {
        ensure!(
            list.lines()
                .any(|line| line.ends_with(&format!("./{name}"))),
            "there is no {name}:\n{list}"
        );
    }
    Ok(())
}

/// Installs it on a new Debian system, has that make an initramfs, and runs what is in it: the program with its libraries, and the
/// script before cryptroot's. The control takes the package away again: then neither is there.
fn installed(workspace: &Workspace, package: &Path, no_install: bool) -> Result<()> {
    setup::ensure(workspace, Need::Packages, no_install)?;
    let system = debian::base(workspace)?;
    fs_err::create_dir_all(system.join("lib/modules").join(KERNEL))?;
    let config = system.join(format!("boot/config-{KERNEL}"));
    fs_err::write(config, "CONFIG_RD_GZIP=y\n")?;
    fs_err::copy(package, system.join("package.deb"))?;
    let purge = || inside(&system, &["dpkg", "--purge", deb::NAME]);
    // An earlier run may have been interrupted.
    purge()?;
    inside(&system, &["dpkg", "-i", "/package.deb"])?;
    let image = initramfs(&system)?;
    let version = process::output(
        Command::new("chroot")
            .arg(&image)
            .args(["/sbin/tresorctl", "--version"]),
    )?;
    ensure!(
        version.trim() == format!("tresorctl {}", deb::version()),
        "tresorctl in the initramfs says `{version}`"
    );
    let order = order(&image)?;
    let place = |script: &str| order.lines().position(|line| line.contains(script));
    let ours = place(&format!("/{}", deb::ASKING_SCRIPT)).context("the script is not started")?;
    let cryptroot = place("/scripts/local-top/cryptroot ").context("cryptroot is not started")?;
    ensure!(
        ours < cryptroot,
        "the volumes are opened before anybody is asked:\n{order}"
    );

    purge()?;
    let image = initramfs(&system)?;
    if image.join("sbin/tresorctl").exists() || image.join(deb::ASKING_SCRIPT).exists() {
        bail!("the control: without the package the initramfs has its files all the same");
    }
    fetch::remove_dir(&image)
}

/// The order in which the scripts that open disks are started.
fn order(image: &Path) -> Result<String> {
    Ok(fs_err::read_to_string(
        image.join("scripts/local-top/ORDER"),
    )?)
}

/// Makes an initramfs in the system, unpacks it, and returns the directory.
fn initramfs(system: &Path) -> Result<PathBuf> {
    let unpacked = system.join("unpacked");
    fetch::remove_dir(&unpacked)?;
    inside(system, &["depmod", KERNEL])?;
    inside(system, &["mkinitramfs", "-o", "/image", KERNEL])?;
    inside(system, &["unmkinitramfs", "/image", "/unpacked"])?;
    Ok(unpacked)
}
