// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask tools deb`: a Debian package of tresorctl with its man pages, completions and the hooks that unlock in an initramfs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::fetch;
use crate::layer::write_atomically;
use crate::paths::Workspace;
use crate::process;

/// Name of the package.
pub(crate) const NAME: &str = "tresor-tools";
/// The program in it.
pub(crate) const PROGRAM: &str = "usr/sbin/tresorctl";
/// The script of an initramfs of initramfs-tools that asks.
pub(crate) const ASKING_SCRIPT: &str = "scripts/local-top/tresor";

const EXECUTABLE: u32 = 0o755;
const PLAIN: u32 = 0o644;

/// Files of the repository, where they go, and their permissions.
const FILES: &[(&str, &str, u32)] = &[
    (
        "rust/tresorctl/initramfs-tools/hooks/tresor",
        "usr/share/initramfs-tools/hooks/tresor",
        EXECUTABLE,
    ),
    (
        "rust/tresorctl/initramfs-tools/scripts/local-top/tresor",
        "usr/share/initramfs-tools/scripts/local-top/tresor",
        EXECUTABLE,
    ),
    (
        "rust/tresorctl/initramfs/ask",
        "usr/lib/tresor/ask",
        EXECUTABLE,
    ),
    (
        "rust/tresorctl/dracut/90tresor/module-setup.sh",
        "usr/lib/dracut/modules.d/90tresor/module-setup.sh",
        EXECUTABLE,
    ),
    (
        "rust/tresorctl/dracut/90tresor/tresor-unlock.sh",
        "usr/lib/dracut/modules.d/90tresor/tresor-unlock.sh",
        EXECUTABLE,
    ),
    (
        "Documentation/admin-guide/tresor.rst",
        "usr/share/doc/tresor-tools/tresor.rst",
        PLAIN,
    ),
];

/// The completions, and where they go.
const COMPLETIONS: &[(&str, &str)] = &[
    (
        "tresorctl.bash",
        "usr/share/bash-completion/completions/tresorctl",
    ),
    ("_tresorctl", "usr/share/zsh/vendor-completions/_tresorctl"),
    (
        "tresorctl.fish",
        "usr/share/fish/vendor_completions.d/tresorctl.fish",
    ),
];

/// How the program is compiled.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// For people.
    Release,
    /// For tests, which have compiled it already.
    Dev,
}

/// Builds the package and returns its path.
pub(crate) fn tools(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    let dir = workspace.target.join("deb");
    let root = dir.join(NAME);
    fetch::remove_dir(&root)?;
    // First, because its program has the same path as the one that is packed.
    generated(workspace, &dir, &root)?;
    let program = compile(workspace, profile)?;
    copy(&program, &root.join(PROGRAM), EXECUTABLE)?;
    for &(from, to, mode) in FILES {
        copy(&workspace.root.join(from), &root.join(to), mode)?;
    }
    write(
        &root.join("usr/share/doc").join(NAME).join("copyright"),
        COPYRIGHT,
    )?;
    write(&root.join("DEBIAN/control"), &control(&glibc()?))?;
    // dpkg has initramfs-tools rebuild the images, if it is installed.
    write(
        &root.join("DEBIAN/triggers"),
        "activate-noawait update-initramfs\n",
    )?;
    let package = dir.join(format!("{NAME}_{}_amd64.deb", version()));
    process::output(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .args([&root, &package]),
    )?;
    Ok(package)
}

fn compile(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    let (arguments, dir): (&[&str], _) = match profile {
        Profile::Release => (&["--release"], "release"),
        Profile::Dev => (&[], "debug"),
    };
    process::shown(
        Command::new("cargo")
            .args(["build", "--quiet", "--package", "tresorctl"])
            .args(arguments)
            .current_dir(&workspace.root),
    )?;
    Ok(workspace.target.join(dir).join("tresorctl"))
}

/// Man pages and completions.
fn generated(workspace: &Workspace, dir: &Path, root: &Path) -> Result<()> {
    let docs = dir.join("docs");
    fetch::remove_dir(&docs)?;
    fs_err::create_dir_all(&docs)?;
    process::shown(
        Command::new("cargo")
            .args(["run", "--quiet", "--package", "tresorctl"])
            .args(["--features", "docs", "--"])
            .arg(&docs)
            .current_dir(&workspace.root),
    )?;
    for &(from, to) in COMPLETIONS {
        copy(&docs.join(from), &root.join(to), PLAIN)?;
    }
    for entry in fs_err::read_dir(&docs)? {
        let page = entry?.path();
        if page.extension().is_some_and(|extension| extension == "1") {
            let name = page.file_name().unwrap_or_default();
            let to = root.join("usr/share/man/man1").join(name);
            copy(&page, &to, PLAIN)?;
            process::output(Command::new("gzip").args(["-9", "-n"]).arg(&to))?;
        }
    }
    Ok(())
}

/// The version of the workspace.
pub(crate) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The C library that the program was linked with: an older one may lack what it uses.
fn glibc() -> Result<String> {
    let version = process::output(Command::new("dpkg-query").args([
        "-W",
        "-f",
        "${source:Upstream-Version}",
        "libc6",
    ]))?;
    Ok(version.trim().to_owned())
}

fn control(glibc: &str) -> String {
    format!(
        "Package: {NAME}\n\
         Version: {}\n\
         Architecture: amd64\n\
         Maintainer: The tresor project <root@localhost>\n\
         Section: admin\n\
         Priority: optional\n\
         Depends: libc6 (>= {glibc})\n\
         Recommends: cryptsetup-bin\n\
         Description: disk encryption keys that never touch RAM: tools\n\
         \x20tresorctl makes and checks slots, locks and unlocks a machine whose kernel has\n\
         \x20the driver tresor, and tells what the machine lacks to be safe. With hooks for\n\
         \x20initramfs-tools and dracut that ask for the pass phrase before the volumes are\n\
         \x20opened.\n",
        version()
    )
}

const COPYRIGHT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: the authors of the tresor project
License: GPL-2
 The text of the license is in /usr/share/common-licenses/GPL-2 on Debian systems. No later version applies.
";

fn write(path: &Path, text: &str) -> Result<()> {
    make_parent(path)?;
    write_atomically(path, text.as_bytes())?;
    set_mode(path, PLAIN)
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    make_parent(to)?;
    fs_err::copy(from, to)?;
    set_mode(to, mode)
}

/// Its directories can be entered by everybody, whatever umask we have.
fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().context("a file in no directory")?;
    if !parent.exists() {
        make_parent(parent)?;
        fs_err::create_dir(parent)?;
        set_mode(parent, EXECUTABLE)?;
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    Ok(fs_err::set_permissions(
        path,
        std::fs::Permissions::from_mode(mode),
    )?)
}
