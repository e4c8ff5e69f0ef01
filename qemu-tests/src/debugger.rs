// SPDX-License-Identifier: GPL-2.0

//! Debian's gdb for a guest, and a program to debug: in an archive of their own, which Linux unpacks over the root file system.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};
use fs_err as fs;

use crate::guest::{Ended, Guest};
use crate::guest_programs;
use crate::initramfs::install;
use crate::unpacked::Programs;

/// The program: waits for nothing, and writes its variable once.
const SOURCE: &str = include_str!("debugger/watched.c");
/// The variable that is watched, and what becomes of it.
pub(crate) const WATCHED: (&str, &str) = ("watched", "4711");
const PROGRAM: &str = "/opt/watched";
const GDB: &str = "gdb";

/// Makes a root file system with gdb from one without, in `dir`.
pub(crate) fn add_to(initramfs: &Path, programs: &Programs, dir: &Path) -> Result<PathBuf> {
    let root = tempfile::Builder::new().prefix("gdb-").tempdir_in(dir)?;
    let root = root.path();
    guest_programs::add(programs, GDB, root)?;
    let program = compile(root)?;
    install(&program, root, Path::new(PROGRAM))?;
    fs::remove_file(program)?;
    guest_programs::append(initramfs, root, &dir.join("initramfs-gdb.img"))
}

/// Compiles the program with the host's compiler, for any C library.
fn compile(dir: &Path) -> Result<PathBuf> {
    let source = dir.join("watched.c");
    fs::write(&source, SOURCE)?;
    let program = dir.join("watched");
    let output = Command::new("gcc")
        .args(["-g", "-O0", "-static", "-o"])
        .args([&program, &source])
        .output()
        .context("starting gcc: `cargo xtask setup` installs it")?;
    ensure!(
        output.status.success(),
        "compiling the program to debug failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::remove_file(source)?;
    Ok(program)
}

/// Starts the program in gdb up to its main(), and gives gdb these commands. It goes on after those that fail.
pub(crate) fn session(guest: &mut Guest, commands: &[&str]) -> Result<Ended> {
    let gdb = guest_programs::argv(GDB);
    let mut argv: Vec<&str> = gdb.iter().map(String::as_str).collect();
    argv.extend(["-nx", "-batch"]);
    let begin = ["set startup-with-shell off", "break main", "run"];
    for command in begin.iter().chain(commands) {
        argv.extend(["-ex", command]);
    }
    argv.push(PROGRAM);
    guest.run(&argv)
}
