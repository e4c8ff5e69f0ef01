// SPDX-License-Identifier: GPL-2.0

//! Loading and starting another kernel: kexec_file_load(2) and reboot(2).

use std::ffi::CString;
use std::io::Error;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use fs_err as fs;
use guest_init::protocol::Reply;
use rustix::system::RebootCommand;

/// Flags of kexec_file_load(2), from linux/kexec.h.
const ON_CRASH: u64 = 2;
const NO_INITRAMFS: u64 = 4;

pub(crate) fn load(
    path: &str,
    initramfs: Option<&str>,
    cmdline: String,
    on_crash: bool,
) -> Result<()> {
    let image = fs::File::open(path)?;
    let initramfs = initramfs.map(fs::File::open).transpose()?;
    let when = if on_crash { ON_CRASH } else { 0 };
    let alone = if initramfs.is_none() { NO_INITRAMFS } else { 0 };
    let flags = when | alone;
    let cmdline = CString::new(cmdline)?;
    // SAFETY: the descriptors are open, the command line is a C string of the given length with its end, and all are only read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            image.as_raw_fd(),
            initramfs.as_ref().map_or(-1, AsRawFd::as_raw_fd),
            cmdline.to_bytes_with_nul().len(),
            cmdline.as_ptr(),
            flags,
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(Error::last_os_error()).with_context(|| format!("loading {path} for kexec"))
}

pub(crate) fn start() -> Result<Reply> {
    rustix::system::reboot(RebootCommand::Kexec).context("starting the loaded kernel")?;
    Ok(Reply::Done)
}
