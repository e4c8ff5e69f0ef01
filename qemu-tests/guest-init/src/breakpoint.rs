// SPDX-License-Identifier: GPL-2.0

//! Each way to a hardware breakpoint: tries to set one, and if nobody refuses, whether it fires.

use std::io::{Error, ErrorKind};
use std::mem::{offset_of, size_of};
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{bail, ensure, Context, Result};
use guest_init::protocol::{Breakpoint, Reply};

use crate::kvm;

pub(crate) fn try_to_set(how: Breakpoint) -> Result<Reply> {
    let fired = match how {
        Breakpoint::Perf => perf(),
        Breakpoint::Ptrace => ptrace_often(),
        Breakpoint::GuestDebug => kvm::debug_from_outside(),
        Breakpoint::InsideGuest => kvm::debug_from_inside(),
    };
    let (errno, fired) = match fired {
        Ok(fired) => (None, fired),
        Err(error) => match error.downcast_ref::<Refused>() {
            Some(Refused(errno)) => (Some(*errno), false),
            None => return Err(error),
        },
    };
    Ok(Reply::Tried { errno, fired })
}

/// The kernel's answer to the attempt to set the breakpoint; every other error is one of the test.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) i32);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "refused with error {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// `type` of a breakpoint in perf_event_attr.
const PERF_TYPE_BREAKPOINT: u64 = 5;
/// `exclude_kernel` and `exclude_hv`: bits 5 and 6 of the flags.
const EXCLUDE_KERNEL: u64 = 3 << 5;
/// Stop on writes.
const HW_BREAKPOINT_W: u64 = 2;

/// A perf event that counts the writes to a variable.
fn perf() -> Result<bool> {
    let mut watched = 0_u64;
    let address = std::ptr::from_mut(&mut watched);
    let event = watch(address.addr() as u64, THIS_TASK)?;
    // SAFETY: the address is that of a live local variable.
    unsafe { address.write_volatile(1) };
    let mut count = [0; 8];
    ensure!(rustix::io::read(&event, &mut count)? == 8, "a short count");
    Ok(u64::from_ne_bytes(count) > 0)
}

/// Task and CPU of a perf event: this task on any CPU.
const THIS_TASK: (i32, i32) = (0, -1);

/// Opens a perf event that counts writes to 8 bytes at `address` by user space.
fn watch(address: u64, (task, cpu): (i32, i32)) -> Result<OwnedFd> {
    // struct perf_event_attr of 72 bytes (PERF_ATTR_SIZE_VER1), in words.
    let mut attr = [0_u64; 9];
    attr[0] = PERF_TYPE_BREAKPOINT | (size_of::<[u64; 9]>() as u64) << 32;
    attr[5] = EXCLUDE_KERNEL;
    attr[6] = HW_BREAKPOINT_W << 32;
    attr[7] = address;
    attr[8] = size_of::<u64>() as u64;
    // SAFETY: the attribute is as long as it says and is only read; the other arguments are numbers: no group, no flags.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), task, cpu, -1, 0) };
    if fd < 0 {
        bail!(refusal()?);
    }
    // SAFETY: the system call has just returned this descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd.try_into()?) })
}

/// Addresses that no program has, one for each debug register.
const NOWHERE: [u64; 4] = [0x1000, 0x2000, 0x3000, 0x4000];

/// Occupies all four debug registers of every CPU, until the machine ends.
pub(crate) fn occupy_all() -> Result<Reply> {
    for cpu in 0..std::thread::available_parallelism()?.get() {
        for address in NOWHERE {
            let event = watch(address, (-1, i32::try_from(cpu)?))?;
            // Never closed.
            let _: i32 = event.into_raw_fd();
        }
    }
    Ok(Reply::Done)
}

/// DR7: breakpoint 0 on, on execution.
const EXECUTE_0: i64 = 1;
/// On how many programs a breakpoint is tried until one fires.
const PROGRAMS: usize = 5;

/// A program's first instruction can pass its breakpoint in QEMU: that saves RFLAGS.RF as 1 for an
/// interrupt too, where a CPU keeps it as it is (SDM Vol. 3, "Instruction-Breakpoint Exception
/// Condition"), and an interrupt that waited for the return to user space comes right before that
/// instruction.
fn ptrace_often() -> Result<bool> {
    for _ in 0..PROGRAMS {
        if ptrace()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A debugger's breakpoint on the first instruction of a program.
fn ptrace() -> Result<bool> {
    let mut command = Command::new("/usr/bin/busybox");
    command.arg("true").stdin(Stdio::null());
    // SAFETY: between fork and exec only ptrace(2) is called, which is async-signal-safe and allocates nothing.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(Error::last_os_error()),
        });
    }
    let mut child = command.spawn().context("starting a program to debug")?;
    let fired = debug(&child);
    // Both fail only if it has ended already.
    drop(child.kill());
    drop(child.wait());
    fired
}

fn debug(child: &Child) -> Result<bool> {
    let pid = i32::try_from(child.id())?;
    ensure!(wait(pid)?, "the program did not stop at its start");
    let rip = offset_of!(libc::user, regs) + offset_of!(libc::user_regs_struct, rip);
    // SAFETY: the request reads a word of the stopped child's registers and returns it; no memory of ours is touched.
    let rip = unsafe { libc::ptrace(libc::PTRACE_PEEKUSER, pid, rip, 0) };
    let registers = offset_of!(libc::user, u_debugreg);
    for (register, value) in [(0, rip), (7, EXECUTE_0)] {
        let offset = registers + register * size_of::<u64>();
        // SAFETY: the request writes a debug register of the stopped child; no memory of ours is touched.
        if unsafe { libc::ptrace(libc::PTRACE_POKEUSER, pid, offset, value) } != 0 {
            bail!(refusal()?);
        }
    }
    // SAFETY: lets the child go on; no memory of ours is touched.
    if unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, 0) } != 0 {
        return Err(Error::last_os_error()).context("letting the program go on");
    }
    wait(pid)
}

/// Waits for the child's next change: true if it was stopped by a trap, false if it has ended.
fn wait(pid: i32) -> Result<bool> {
    let mut status = 0;
    // SAFETY: the status is a valid place for an int.
    if unsafe { libc::waitpid(pid, &mut status, 0) } != pid {
        return Err(Error::last_os_error()).context("waiting for the program");
    }
    Ok(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTRAP)
}

fn refusal() -> Result<Refused> {
    let error = Error::last_os_error();
    if error.kind() == ErrorKind::Unsupported {
        bail!("this kernel cannot set breakpoints at all: {error}");
    }
    error
        .raw_os_error()
        .map(Refused)
        .context("an error without a number")
}
