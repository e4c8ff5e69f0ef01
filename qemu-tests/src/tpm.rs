// SPDX-License-Identifier: GPL-2.0

//! A TPM2 in software (swtpm) for a machine, with a state that outlives both.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use fs_err as fs;
use tempfile::TempDir;

use crate::guest_programs;
use crate::initramfs::install;
use crate::unpacked::Programs;

/// The program that makes and opens what the TPM keeps.
const TOOL: &str = "tpm2";
/// How that reaches `/dev/tpmrm0`: a library that no header names.
const TO_DEVICE: &str = "libtss2-tcti-device.so.0";
/// swtpm opens its socket at once.
const LIMIT: Duration = Duration::from_secs(20);

/// A running swtpm. It ends with this value.
#[derive(Debug)]
pub struct Tpm {
    child: Child,
    sockets: TempDir,
}

impl Tpm {
    /// Starts one with the state in `state`, a directory.
    pub fn start(programs: &Programs, state: &Path) -> Result<Self> {
        fs::create_dir_all(state)?;
        // The path of a socket has at most 107 bytes.
        let sockets = tempfile::Builder::new().prefix("tpm-").tempdir()?;
        let libraries = programs.libraries();
        let child = Command::new(programs.loader())
            .arg("--library-path")
            // It has libraries of its own in a directory below the others.
            .arg(format!("{0}:{0}/swtpm", libraries.display()))
            .arg(programs.program("swtpm"))
            .args(["socket", "--tpm2", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .arg("--ctrl")
            .arg(format!(
                "type=unixio,path={}",
                sockets.path().join("control").display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("starting swtpm")?;
        let mut tpm = Self { child, sockets };
        let begin = Instant::now();
        while !tpm.socket().exists() {
            ensure!(tpm.child.try_wait()?.is_none(), "swtpm has ended at once");
            ensure!(begin.elapsed() < LIMIT, "swtpm has opened no socket");
            sleep(Duration::from_millis(20));
        }
        Ok(tpm)
    }

    /// What QEMU connects to.
    pub fn socket(&self) -> PathBuf {
        self.sockets.path().join("control")
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        // It may have ended with its machine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a root file system with `tpm2` in `dir`.
pub fn add_tool_to(initramfs: &Path, programs: &Programs, dir: &Path) -> Result<PathBuf> {
    let root = tempfile::Builder::new().prefix("tpm-").tempdir_in(dir)?;
    guest_programs::add(programs, TOOL, root.path())?;
    let [_, _, libraries, _] = guest_programs::argv(TOOL);
    let to_device = programs.libraries().join(TO_DEVICE);
    install(
        &to_device,
        root.path(),
        &Path::new(&libraries).join(TO_DEVICE),
    )?;
    guest_programs::put_in_path(TOOL, root.path())?;
    guest_programs::append(initramfs, root.path(), &dir.join("initramfs-tpm.img"))
}
