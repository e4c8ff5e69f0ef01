// SPDX-License-Identifier: GPL-2.0

//! The host's side of the conversation with the guest's PID 1.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use guest_init::protocol::{Breakpoint, HammerReport, LoadReport, MsrAccess, Reply, Request};

/// Time for a request that does little; TCG with every store watched, beside another machine and a compiler, is slow.
const PATIENCE: Duration = Duration::from_secs(300);
/// Time that a program may take if the caller sets none.
const RUN_LIMIT_S: u64 = 60;

/// A connection to the guest's PID 1.
#[derive(Debug)]
pub struct Guest {
    stream: BufReader<UnixStream>,
    kernel: String,
    cpus: usize,
}

/// How a program in the guest ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit status, or 128 + signal number.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Guest {
    /// Waits until PID 1 says that it is ready.
    pub fn wait_ready(stream: UnixStream, limit: Duration) -> Result<Self> {
        let mut guest = Self {
            stream: BufReader::new(stream),
            kernel: String::new(),
            cpus: 0,
        };
        match guest.receive(limit)? {
            Reply::Ready { kernel, cpus } => Ok(Self {
                kernel,
                cpus,
                ..guest
            }),
            other => bail!("the guest began with {other:?} instead of its readiness"),
        }
    }

    /// Release of the running kernel.
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// CPUs that were online when PID 1 started.
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    /// Runs a program; any exit status is fine.
    pub fn run(&mut self, argv: &[&str]) -> Result<Ended> {
        self.run_within(argv, RUN_LIMIT_S)
    }

    /// The same for a program that may take this many seconds.
    pub fn run_within(&mut self, argv: &[&str], timeout_s: u64) -> Result<Ended> {
        let argv = argv.iter().map(|arg| (*arg).to_owned()).collect();
        let request = Request::Run { argv, timeout_s };
        match self.call_within(&request, PATIENCE + Duration::from_secs(timeout_s))? {
            Reply::Ran {
                status,
                stdout,
                stderr,
            } => Ok(Ended {
                status,
                stdout,
                stderr,
            }),
            other => bail!("unexpected reply to a run: {other:?}"),
        }
    }

    /// Runs a program that must succeed and returns its standard output.
    pub fn run_ok(&mut self, argv: &[&str]) -> Result<String> {
        let ended = self.run(argv)?;
        ensure!(
            ended.status == 0,
            "in the guest, `{}` ended with status {}: {}{}",
            argv.join(" "),
            ended.status,
            ended.stdout,
            ended.stderr
        );
        Ok(ended.stdout)
    }

    /// Writes a whole file.
    pub fn write_file(&mut self, path: &str, data: &[u8]) -> Result<()> {
        self.done(&Request::WriteFile {
            path: path.into(),
            data: hex::encode(data),
        })
    }

    /// Like [`Self::write_file`], but does not wait: [`Self::finish_write_file`] must come before any other request.
    pub fn begin_write_file(&mut self, path: &str, data: &[u8]) -> Result<()> {
        self.send(&Request::WriteFile {
            path: path.into(),
            data: hex::encode(data),
        })
    }

    /// Waits for the end of what [`Self::begin_write_file`] began.
    pub fn finish_write_file(&mut self, limit: Duration) -> Result<()> {
        match self.receive(limit)? {
            Reply::Done => Ok(()),
            Reply::Failed { message } => bail!("in the guest: {message}"),
            other => bail!("unexpected reply to a write: {other:?}"),
        }
    }

    /// Reads a whole file.
    pub fn read_file(&mut self, path: &str) -> Result<Vec<u8>> {
        match self.call(&Request::ReadFile { path: path.into() })? {
            Reply::File { data } => hex::decode(data).context("a file that is not hex"),
            other => bail!("unexpected reply to a read: {other:?}"),
        }
    }

    /// Reads a file as text.
    pub fn read_text(&mut self, path: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.read_file(path)?).into_owned())
    }

    /// The kernel's log.
    pub fn dmesg(&mut self) -> Result<String> {
        self.run_ok(&["busybox", "dmesg", "-r"])
    }

    /// Writes test content over a file or block device and syncs it.
    pub fn fill(&mut self, path: &str, seed: u64, len: u64) -> Result<()> {
        self.done(&Request::FillPattern {
            path: path.into(),
            seed,
            len,
        })
    }

    /// Fails unless a file or block device holds exactly the test content.
    pub fn check(&mut self, path: &str, seed: u64, len: u64) -> Result<()> {
        match self.difference(path, seed, len)? {
            None => Ok(()),
            Some(at) => {
                bail!("{path} in the guest differs from what was written, first at byte {at}")
            }
        }
    }

    /// First byte at which a file or block device differs from the test content.
    pub fn difference(&mut self, path: &str, seed: u64, len: u64) -> Result<Option<u64>> {
        let path = path.into();
        match self.call(&Request::CheckPattern { path, seed, len })? {
            Reply::Checked { difference } => Ok(difference),
            other => bail!("unexpected reply to a check: {other:?}"),
        }
    }

    /// Starts a thread of verified I/O on a part of a block device, bound to a CPU if one is given.
    pub fn start_load(
        &mut self,
        path: &str,
        cpu: Option<usize>,
        start: u64,
        len: u64,
    ) -> Result<()> {
        self.done(&Request::StartLoad {
            path: path.into(),
            cpu,
            start,
            len,
        })
    }

    /// Starts a virtual machine inside this one that uses its debug registers, bound to a CPU; or starts another that does.
    pub fn start_guest(&mut self, cpu: usize, nested: bool) -> Result<()> {
        self.done(&Request::StartGuest { nested, cpu })
    }

    /// Puts addresses in DR0-DR3 of every CPU, for as long as the machine runs.
    pub fn occupy_debug_registers(&mut self) -> Result<()> {
        self.done(&Request::OccupyDebugRegisters)
    }

    /// Tries to set a hardware breakpoint: the error number if it was refused, and whether it fired.
    pub fn try_breakpoint(&mut self, how: Breakpoint) -> Result<(Option<i32>, bool)> {
        match self.call(&Request::TryBreakpoint { how })? {
            Reply::Tried { errno, fired } => Ok((errno, fired)),
            other => bail!("unexpected reply about a breakpoint: {other:?}"),
        }
    }

    /// What the I/O threads have done so far.
    pub fn load_status(&mut self) -> Result<LoadReport> {
        self.load(&Request::LoadStatus)
    }

    /// Ends the I/O threads.
    pub fn stop_load(&mut self) -> Result<LoadReport> {
        self.load(&Request::StopLoad)
    }

    /// Computes for a while with this value in the stack pointer of user space.
    pub fn spin_on_stack(&mut self, pointer: u64) -> Result<()> {
        self.done(&Request::SpinOnStack { pointer })
    }

    /// Loads a kernel image for [`Self::kexec`], or to be started by a crash.
    pub fn load_kernel(&mut self, image: &[u8], on_crash: bool) -> Result<()> {
        let path = String::from("/tmp/next-kernel");
        self.write_file(&path, image)?;
        self.done(&Request::LoadKernel {
            path,
            initramfs: None,
            cmdline: String::new(),
            on_crash,
        })
    }

    /// As [`Self::load_kernel`] by the older call, kexec_load(2).
    pub fn load_kernel_older(&mut self, image: &[u8], on_crash: bool) -> Result<()> {
        let path = String::from("/tmp/next-kernel");
        self.write_file(&path, image)?;
        self.done(&Request::LoadKernelOlder { path, on_crash })
    }

    /// Loads a Linux and its initramfs, files in the guest, for the same purposes.
    pub fn load_linux(
        &mut self,
        path: &str,
        initramfs: &str,
        cmdline: &str,
        on_crash: bool,
    ) -> Result<()> {
        self.done(&Request::LoadKernel {
            path: path.into(),
            initramfs: Some(initramfs.into()),
            cmdline: cmdline.into(),
            on_crash,
        })
    }

    /// Starts the loaded kernel. Whoever starts a Linux says so with [`crate::machine::Machine::follow`].
    pub fn kexec(&mut self) -> Result<()> {
        self.send(&Request::Kexec)
    }

    /// Hands back the stream, for the PID 1 of a kernel that follows this one.
    pub fn into_stream(self) -> UnixStream {
        self.stream.into_inner()
    }

    /// Opens a perf event of the CPU's cycles with these flags of `struct perf_event_attr`; returns the error's number, 0 if there is
    /// none.
    pub fn open_perf_event(&mut self, flags: u64) -> Result<i32> {
        match self.call(&Request::OpenPerfEvent { flags })? {
            Reply::PerfEvent { errno } => Ok(errno),
            other => bail!("unexpected reply to a perf event: {other:?}"),
        }
    }

    /// Reads or writes a model-specific register: the error's number, 0 for none, and what was read.
    pub fn access_msr(&mut self, cpu: u32, msr: u32, how: MsrAccess) -> Result<(i32, u64)> {
        match self.call(&Request::AccessMsr { cpu, msr, how })? {
            Reply::Msr { errno, value } => Ok((errno, value)),
            other => bail!("unexpected reply about a register: {other:?}"),
        }
    }

    /// One call of the driver's device: the error's number, 0 for none, and the structure after it.
    pub fn call_device(&mut self, number: u32, data: &[u8]) -> Result<(i32, Vec<u8>)> {
        let request = Request::CallDevice {
            number,
            data: hex::encode(data),
        };
        match self.call(&request)? {
            Reply::Called { errno, data } => Ok((errno, hex::decode(data)?)),
            other => bail!("unexpected reply to a call of the device: {other:?}"),
        }
    }

    /// Calls the driver's device at random, `calls` times from each of `threads` threads.
    pub fn hammer(&mut self, seed: u64, threads: u64, calls: u64) -> Result<HammerReport> {
        let request = Request::Hammer {
            seed,
            threads,
            calls,
        };
        match self.call_within(&request, 5 * PATIENCE)? {
            Reply::Hammered(report) => Ok(report),
            other => bail!("unexpected reply to calls at random: {other:?}"),
        }
    }

    /// Keeps the kernel's uevents from now on, for [`Self::uevents`].
    pub fn listen_uevents(&mut self) -> Result<()> {
        self.done(&Request::ListenUevents)
    }

    /// The uevents since the last call, each as `action@path` and variables `NAME=value`.
    pub fn uevents(&mut self) -> Result<Vec<Vec<String>>> {
        match self.call(&Request::TakeUevents)? {
            Reply::Uevents { events } => Ok(events),
            other => bail!("unexpected reply about uevents: {other:?}"),
        }
    }

    /// Goes on over another connection. The machine must not be in the middle of sending a reply.
    pub fn switch_to(&mut self, connect: impl FnOnce() -> Result<UnixStream>) -> Result<()> {
        // QEMU takes a new connection only when the old one is gone.
        self.stream.get_ref().shutdown(Shutdown::Both)?;
        self.stream = BufReader::new(connect()?);
        Ok(())
    }

    /// Lets the machine go down; consumes the connection and hands back its stream for the next boot.
    pub fn reboot(mut self) -> Result<UnixStream> {
        self.send(&Request::Reboot)?;
        Ok(self.stream.into_inner())
    }

    fn load(&mut self, request: &Request) -> Result<LoadReport> {
        match self.call(request)? {
            Reply::Load(report) => Ok(report),
            other => bail!("unexpected reply about the load: {other:?}"),
        }
    }

    fn done(&mut self, request: &Request) -> Result<()> {
        match self.call(request)? {
            Reply::Done => Ok(()),
            other => bail!("unexpected reply: {other:?}"),
        }
    }

    fn call(&mut self, request: &Request) -> Result<Reply> {
        self.call_within(request, PATIENCE)
    }

    fn call_within(&mut self, request: &Request, limit: Duration) -> Result<Reply> {
        self.send(request)?;
        match self.receive(limit)? {
            Reply::Failed { message } => bail!("in the guest: {message}"),
            reply => Ok(reply),
        }
    }

    fn send(&mut self, request: &Request) -> Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.stream
            .get_mut()
            .write_all(&line)
            .context("sending a request to the guest")
    }

    fn receive(&mut self, limit: Duration) -> Result<Reply> {
        self.stream.get_ref().set_read_timeout(Some(limit))?;
        let mut line = String::new();
        let got = self.stream.read_line(&mut line).with_context(|| {
            format!(
                "the guest's PID 1 did not answer within {} s",
                limit.as_secs()
            )
        })?;
        ensure!(got > 0, "the machine went away instead of answering");
        serde_json::from_str(&line).with_context(|| format!("the guest sent no reply: {line}"))
    }
}
