// SPDX-License-Identifier: GPL-2.0

//! Programs of another Debian release, unpacked in a directory of their own with all their libraries: nothing is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory with the programs.
#[derive(Debug, Clone)]
pub struct Programs {
    root: PathBuf,
}

impl Programs {
    /// Takes the directory into which the packages were unpacked.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn libraries(&self) -> PathBuf {
        self.root.join("usr/lib/x86_64-linux-gnu")
    }

    /// What starts programs with these libraries.
    pub(crate) fn loader(&self) -> PathBuf {
        self.libraries().join("ld-linux-x86-64.so.2")
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let place = |dir: &str| self.root.join(dir).join(name);
        match place("usr/sbin") {
            administration if administration.exists() => administration,
            _ => place("usr/bin"),
        }
    }

    /// A program, by its own loader: the host's C library may be older.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.run_by_loader(&[], program)
    }

    /// The same, with more options for the loader.
    pub(crate) fn run_by_loader(&self, options: &[&str], program: &str) -> Command {
        let mut command = Command::new(self.loader());
        command.arg("--library-path").arg(self.libraries());
        command.args(options).arg(self.program(program));
        command
    }

    /// QEMU with its firmware and modules.
    pub(crate) fn qemu(&self) -> Command {
        let mut command = self.command(crate::machine::command::QEMU);
        for firmware in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(self.root.join(firmware));
        }
        command.env("QEMU_MODULE_DIR", self.libraries().join("qemu"));
        command
    }
}
