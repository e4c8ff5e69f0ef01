// SPDX-License-Identifier: GPL-2.0

//! The two disks that Bochs boots from: GRUB alone on the first, kernel and initramfs in a tar archive on the second.
//!
//! GRUB's boot sector loads the sectors that follow it unless an installer tells it otherwise, and its core image is told at its making
//! what to do; so no installer, partition or file system is needed. GRUB reads tar archives.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Result};
use fs_err as fs;

use super::argument;
use crate::host::run;
use crate::machine::Config;
use crate::unpacked::Programs;

/// Bochs takes disks of whole cylinders: 16 heads, 63 sectors of 512 bytes.
const CYLINDER: u64 = 16 * 63 * 512;

/// Makes both in `dir`: the one to boot from, and the one with the files.
pub(super) fn make(
    programs: &Programs,
    config: &Config,
    cmdline: &str,
    dir: &Path,
) -> Result<(PathBuf, PathBuf)> {
    let modules = programs.root().join("usr/lib/grub/i386-pc");
    let (script, core) = (dir.join("grub.cfg"), dir.join("core.img"));
    fs::write(
        &script,
        format!("linux (hd1)/kernel {cmdline}\ninitrd (hd1)/initramfs\nboot\n"),
    )?;
    run(programs
        .command("grub-mkimage")
        .args(["-O", "i386-pc", "-p", "(hd1)/", "-d"])
        .arg(&modules)
        .arg("-c")
        .arg(&script)
        .arg("-o")
        .arg(&core)
        .args(["biosdisk", "tar", "linux"]))?;
    let boot = dir.join("boot.img");
    let mut bytes = fs::read(modules.join("boot.img"))?;
    ensure!(
        bytes.len() == 512,
        "GRUB's boot sector is {} bytes long",
        bytes.len()
    );
    bytes.extend(fs::read(core)?);
    fs::write(&boot, bytes)?;
    whole_cylinders(&boot)?;

    let content = dir.join("files");
    fs::create_dir_all(&content)?;
    fs::copy(&config.kernel, content.join("kernel"))?;
    fs::copy(&config.initramfs, content.join("initramfs"))?;
    let files = dir.join("files.img");
    run(Command::new("tar")
        .args(["--create", "--format=ustar"])
        .arg(argument("--file=", &files))
        .arg(argument("--directory=", &content))
        .args(["kernel", "initramfs"]))?;
    fs::remove_dir_all(content)?;
    whole_cylinders(&files)?;
    Ok((boot, files))
}

fn whole_cylinders(disk: &Path) -> Result<()> {
    let bytes = fs::metadata(disk)?.len().next_multiple_of(CYLINDER);
    Ok(fs::OpenOptions::new()
        .write(true)
        .open(disk)?
        .set_len(bytes)?)
}
