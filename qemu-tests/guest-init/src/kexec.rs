// SPDX-License-Identifier: GPL-2.0

//! Loading and starting another kernel: kexec_file_load(2), kexec_load(2) and reboot(2).

use std::ffi::CString;
use std::io::Error;
use std::os::fd::AsRawFd;

use anyhow::{ensure, Context, Result};
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

/// Flags of kexec_load(2): started by a crash, and for x86-64.
const OLDER_ON_CRASH: u64 = 1;
const X86_64: u64 = 62 << 16;
const PAGE: usize = 4096;
/// Where a kernel goes that is not for a crash: RAM of every machine.
const PLACE: usize = 64 << 20;
/// The field of a bzImage with the number of its sectors of setup after the first, which stay behind; and where, in what is loaded, it is
/// entered in 64-bit mode (Documentation/arch/x86/boot.rst).
const SETUP_SECTORS: usize = 0x1f1;
const SECTOR: usize = 512;
const ENTRY: usize = 0x200;

/// `struct kexec_segment` of linux/kexec.h.
#[repr(C)]
struct Segment {
    buffer: *const u8,
    bytes: usize,
    place: usize,
    bytes_there: usize,
}

pub(crate) fn load_older(path: &str, on_crash: bool) -> Result<()> {
    let image = fs::read(path)?;
    let sectors = *image.get(SETUP_SECTORS).context("no kernel image")?;
    let kernel = image
        .get((usize::from(sectors) + 1) * SECTOR..)
        .context("the image ends before its kernel")?;
    let place = if on_crash { crash_memory()? } else { PLACE };
    let segment = Segment {
        buffer: kernel.as_ptr(),
        bytes: kernel.len(),
        place,
        bytes_there: kernel.len().next_multiple_of(PAGE),
    };
    let flags = X86_64 | if on_crash { OLDER_ON_CRASH } else { 0 };
    // SAFETY: one segment, whose buffer has the given length and is only read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_load,
            place + ENTRY,
            1,
            &raw const segment,
            flags,
        )
    };
    ensure!(
        result == 0,
        "loading {path} by kexec_load: {}",
        Error::last_os_error()
    );
    Ok(())
}

/// Where the memory begins that is kept for a kernel that a crash starts.
fn crash_memory() -> Result<usize> {
    let map = fs::read_to_string("/proc/iomem")?;
    let line = map
        .lines()
        .find(|line| line.ends_with(": Crash kernel"))
        .context("no memory is kept for a crash")?;
    let start = line.trim().split('-').next().unwrap_or_default();
    usize::from_str_radix(start, 16).with_context(|| format!("no address: {line}"))
}

pub(crate) fn start() -> Result<Reply> {
    rustix::system::reboot(RebootCommand::Kexec).context("starting the loaded kernel")?;
    Ok(Reply::Done)
}
