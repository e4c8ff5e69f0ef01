// SPDX-License-Identifier: GPL-2.0

//! Requests and replies: one JSON object per line on the virtio port [`PORT`].
//!
//! The guest speaks first ([`Reply::Ready`]); then every request gets exactly one reply. Nothing secret travels here: keys reach the
//! guest on a disk of their own, pass phrases through its consoles.

use serde::{Deserialize, Serialize};

/// Name of the virtio-serial port.
pub const PORT: &str = "tresor.agent";

/// On the kernel's command line, before the name of the serial line that is used instead of the port.
pub const LINE_PARAMETER: &str = "tresor.agent=";

/// What the host asks the guest to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Runs a program to its end. Reply: [`Reply::Ran`].
    Run {
        /// Program and arguments; the program is looked up in PATH.
        argv: Vec<String>,
        /// After so many seconds it is killed and the request fails.
        timeout_s: u64,
    },
    /// Writes a whole file (created or truncated). Reply: [`Reply::Done`].
    WriteFile {
        /// Absolute path in the guest.
        path: String,
        /// Content in hex.
        data: String,
    },
    /// Reads a whole file, also from procfs and sysfs. Reply: [`Reply::File`].
    ReadFile {
        /// Absolute path in the guest.
        path: String,
    },
    /// Writes test content over a file or block device and syncs it. Reply: [`Reply::Done`].
    FillPattern {
        /// Absolute path in the guest.
        path: String,
        /// Stream of [`crate::pattern`].
        seed: u64,
        /// Bytes to write from the start.
        len: u64,
    },
    /// Compares a file or block device with test content, past the page cache. Reply: [`Reply::Checked`].
    CheckPattern {
        /// Absolute path in the guest.
        path: String,
        /// Stream of [`crate::pattern`].
        seed: u64,
        /// Bytes to compare; a shorter file is a difference.
        len: u64,
    },
    /// Starts a thread that writes and verifies a part of a block device with O_DIRECT until [`Request::StopLoad`]. Reply: [`Reply::Done`].
    StartLoad {
        /// Block device.
        path: String,
        /// CPU that the thread is bound to, if any.
        cpu: Option<usize>,
        /// First byte of its part (a multiple of 4096).
        start: u64,
        /// Bytes of its part (a multiple of 64 KiB).
        len: u64,
    },
    /// Starts a thread that runs a virtual machine inside this one, which writes and reads back its debug registers until
    /// [`Request::StopLoad`]. Reply: [`Reply::Done`].
    StartGuest {
        /// It starts a virtual machine in turn, which does that.
        nested: bool,
        /// CPU that the thread is bound to.
        cpu: usize,
    },
    /// Tries to set a hardware breakpoint. Reply: [`Reply::Tried`].
    TryBreakpoint {
        /// In which way.
        how: Breakpoint,
    },
    /// Puts addresses in DR0-DR3 of every CPU by perf breakpoints that stay until the machine ends. Reply: [`Reply::Done`].
    OccupyDebugRegisters,
    /// What the load threads have done so far. Reply: [`Reply::Load`].
    LoadStatus,
    /// Ends all load threads. Reply: [`Reply::Load`] with their sum.
    StopLoad,
    /// Computes for a while in user space with a stack pointer that points nowhere, for timer interrupts to push. Reply: [`Reply::Done`].
    SpinOnStack {
        /// The stack pointer.
        pointer: u64,
    },
    /// Loads a kernel for kexec. Reply: [`Reply::Done`].
    LoadKernel {
        /// Image, a file in the guest.
        path: String,
        /// Its initramfs, another file, if it gets one.
        initramfs: Option<String>,
        /// Its command line.
        cmdline: String,
        /// It is started by a crash and not by [`Request::Kexec`].
        on_crash: bool,
    },
    /// The same by the older call, kexec_load(2), for an image that needs no initramfs, no command line and nothing else. Reply:
    /// [`Reply::Done`].
    LoadKernelOlder {
        /// Image, a file in the guest.
        path: String,
        /// As above.
        on_crash: bool,
    },
    /// Starts the kernel that was loaded. No reply.
    Kexec,
    /// Opens a perf event of the CPU's cycles for a moment. Reply: [`Reply::PerfEvent`].
    OpenPerfEvent {
        /// The flags of `struct perf_event_attr`.
        flags: u64,
    },
    /// Reads or writes a model-specific register through `/dev/cpu/*/msr`. Reply: [`Reply::Msr`].
    AccessMsr {
        /// Number of the CPU.
        cpu: u32,
        /// Number of the register.
        msr: u32,
        /// In which way.
        how: MsrAccess,
    },
    /// One call of the driver's device. Reply: [`Reply::Called`].
    CallDevice {
        /// Its number.
        number: u32,
        /// The structure that it is given, in hex.
        data: String,
    },
    /// Calls the driver's device at random. Reply: [`Reply::Hammered`].
    Hammer {
        /// Start of the random numbers.
        seed: u64,
        /// How many threads call.
        threads: u64,
        /// Calls of each.
        calls: u64,
    },
    /// Keeps the kernel's uevents from now on. Reply: [`Reply::Done`].
    ListenUevents,
    /// Those that came since the last time. Reply: [`Reply::Uevents`].
    TakeUevents,
    /// Syncs and resets the machine. No reply.
    Reboot,
}

/// The bit that every value has which a virtual machine writes to its DR0-DR3.
pub const GUEST_VALUE: u64 = 1 << 62;

/// A way to a hardware breakpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breakpoint {
    /// perf_event_open(2), a watchpoint on a variable.
    Perf,
    /// ptrace(2), a breakpoint in another program.
    Ptrace,
    /// KVM_SET_GUEST_DEBUG, a breakpoint in a virtual machine, set from outside.
    GuestDebug,
    /// A breakpoint that the software in a virtual machine sets for itself.
    InsideGuest,
}

/// A way to a model-specific register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MsrAccess {
    /// pread(2).
    Read,
    /// pwrite(2) of this value.
    Write(u64),
    /// The ioctl X86_IOC_RDMSR_REGS.
    ReadByCall,
    /// The ioctl X86_IOC_WRMSR_REGS with this value.
    WriteByCall(u64),
}

/// What the guest answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// PID 1 runs and waits for requests.
    Ready {
        /// `uname -r`.
        kernel: String,
        /// CPUs online.
        cpus: usize,
    },
    /// The program ended.
    Ran {
        /// Exit status, or 128 + signal number.
        status: i32,
        /// Its standard output (invalid UTF-8 replaced).
        stdout: String,
        /// Its standard error (invalid UTF-8 replaced).
        stderr: String,
    },
    /// Done, nothing to tell.
    Done,
    /// Content of a file in hex.
    File {
        /// The bytes in hex.
        data: String,
    },
    /// Result of a comparison.
    Checked {
        /// First byte that differs, none if all are equal.
        difference: Option<u64>,
    },
    /// Result of an attempt to set a breakpoint.
    Tried {
        /// The kernel's error number if it refused.
        errno: Option<i32>,
        /// Whether the breakpoint fired.
        fired: bool,
    },
    /// What the kernel said to a perf event.
    PerfEvent {
        /// The error's number, 0 if it was opened.
        errno: i32,
    },
    /// What became of an access to a model-specific register.
    Msr {
        /// The error's number, 0 if there is none.
        errno: i32,
        /// What was read.
        value: u64,
    },
    /// What became of a call of the device.
    Called {
        /// The error's number, 0 if it succeeded.
        errno: i32,
        /// The structure after it, in hex.
        data: String,
    },
    /// What became of calls at random.
    Hammered(HammerReport),
    /// What the kernel told udev.
    Uevents {
        /// Each event: `action@path`, then its variables `NAME=value`.
        events: Vec<Vec<String>>,
    },
    /// State of the load threads.
    Load(LoadReport),
    /// The request could not be carried out.
    Failed {
        /// What happened.
        message: String,
    },
}

/// What became of calls at random.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HammerReport {
    /// Calls that succeeded.
    pub done: u64,
    /// Calls that failed, with whatever error.
    pub refused: u64,
    /// Calls among those that succeeded that have locked the machine.
    pub locks: u64,
}

/// Sum of what all load threads did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Threads that run now.
    pub threads: usize,
    /// Bytes written, read back and found equal.
    pub verified: u64,
    /// Times that a virtual machine wrote all its debug registers and found in them what it wrote.
    pub guest_rounds: u64,
    /// The same of virtual machines in virtual machines.
    pub nested_rounds: u64,
    /// Reads and writes that failed, and blocks and registers that came back different.
    pub errors: u64,
    /// The first of these errors.
    pub first_error: Option<String>,
}
