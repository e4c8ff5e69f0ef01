// SPDX-License-Identifier: GPL-2.0

//! Reads and writes a model-specific register through `/dev/cpu/*/msr`, in each way that it offers.

use std::io::Error;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use fs_err as fs;
use guest_init::protocol::{MsrAccess, Reply};

/// `X86_IOC_RDMSR_REGS` and `X86_IOC_WRMSR_REGS`: eight registers of 32 bits, in the order of their numbers.
const READ_CALL: libc::Ioctl = 0xc020_63a0_u32 as libc::Ioctl;
const WRITE_CALL: libc::Ioctl = 0xc020_63a1_u32 as libc::Ioctl;

pub(crate) fn access(cpu: u32, msr: u32, how: MsrAccess) -> Result<Reply> {
    let path = format!("/dev/cpu/{cpu}/msr");
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    let mut value = [0; 8];
    let result = match how {
        MsrAccess::Read => file.file().read_exact_at(&mut value, msr.into()),
        MsrAccess::Write(new) => file.file().write_all_at(&new.to_le_bytes(), msr.into()),
        MsrAccess::ReadByCall => call(file.file(), READ_CALL, msr, 0).map(|read| value = read),
        MsrAccess::WriteByCall(new) => call(file.file(), WRITE_CALL, msr, new).map(drop),
    };
    let errno = match result {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().context("an error without a number")?,
    };
    Ok(Reply::Msr {
        errno,
        value: u64::from_le_bytes(value),
    })
}

/// One of the calls; returns what EDX:EAX are after it.
fn call(
    file: &std::fs::File,
    number: libc::Ioctl,
    msr: u32,
    value: u64,
) -> std::io::Result<[u8; 8]> {
    // EAX, ECX, EDX and others.
    let mut registers = [value as u32, msr, (value >> 32) as u32, 0, 0, 0, 0, 0];
    // SAFETY: the call reads and writes eight registers, which outlive it.
    if unsafe { libc::ioctl(file.as_raw_fd(), number, registers.as_mut_ptr()) } != 0 {
        return Err(Error::last_os_error());
    }
    Ok((u64::from(registers[2]) << 32 | u64::from(registers[0])).to_le_bytes())
}
