// SPDX-License-Identifier: GPL-2.0

//! Opens a perf event and says what the kernel answers.

use std::io::Error;
use std::mem::size_of;
use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::{Context, Result};
use guest_init::protocol::Reply;

/// `sample_period` of the event.
const PERIOD: u64 = 1_000_000;

/// Cycles (type and number 0) of this task on any CPU, with the given flags of `struct perf_event_attr`; closed at once.
pub(crate) fn open(flags: u64) -> Result<Reply> {
    // struct perf_event_attr of 64 bytes (PERF_ATTR_SIZE_VER0), in words.
    let mut attr = [0_u64; 8];
    attr[0] = (size_of::<[u64; 8]>() as u64) << 32;
    attr[2] = PERIOD;
    attr[5] = flags;
    // SAFETY: the attribute is as long as it says and is only read; the other arguments are numbers: no group, no flags.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), 0, -1, -1, 0) };
    let errno = if fd < 0 {
        Error::last_os_error()
            .raw_os_error()
            .context("an error without a number")?
    } else {
        // SAFETY: the system call has just returned this descriptor, which nobody else has.
        drop(unsafe { OwnedFd::from_raw_fd(fd.try_into()?) });
        0
    };
    Ok(Reply::PerfEvent { errno })
}
