// SPDX-License-Identifier: GPL-2.0

//! PID 1 of a test machine: mounts what programs expect, then serves requests on the virtio port until it is told to stop.
//!
//! If it fails, it says why on the console and ends, so that the kernel panics and the harness notices at once.

mod breakpoint;
mod hammer;
mod kexec;
mod kvm;
mod load;
mod msr;
mod perf;
mod port;
mod run;
mod setup;
mod spin;
mod uevent;

use std::io::{BufRead, BufReader, Write};

use anyhow::{bail, Context, Result};
use fs_err as fs;
use guest_init::pattern;
use guest_init::protocol::{Reply, Request};
use rustix::system::RebootCommand;

fn main() -> Result<()> {
    if std::process::id() != 1 {
        bail!("guest-init is the init program of a test machine: it runs only as PID 1");
    }
    setup::mounts()?;
    let port = port::open()?;
    let mut writer = port.try_clone().context("duplicating the port")?;
    let mut load = load::Load::default();
    let mut uevents = uevent::Listener::default();
    send(&mut writer, &ready()?)?;
    for line in BufReader::new(port).lines() {
        let line = line.context("reading a request")?;
        let reply = match serde_json::from_str(&line) {
            Ok(request) => {
                answer(request, &mut load, &mut uevents).unwrap_or_else(|error| Reply::Failed {
                    message: format!("{error:#}"),
                })
            }
            Err(error) => Reply::Failed {
                message: format!("not a request: {error}"),
            },
        };
        send(&mut writer, &reply)?;
    }
    bail!("the host closed the port");
}

fn ready() -> Result<Reply> {
    Ok(Reply::Ready {
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        cpus: std::thread::available_parallelism()?.get(),
    })
}

fn send(writer: &mut impl Write, reply: &Reply) -> Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    writer.write_all(&line).context("writing a reply")
}

fn answer(
    request: Request,
    load: &mut load::Load,
    uevents: &mut uevent::Listener,
) -> Result<Reply> {
    Ok(match request {
        Request::Run { argv, timeout_s } => run::run(&argv, timeout_s)?,
        Request::WriteFile { path, data } => {
            fs::write(path, hex::decode(data)?)?;
            Reply::Done
        }
        Request::ReadFile { path } => Reply::File {
            data: hex::encode(fs::read(path)?),
        },
        Request::FillPattern { path, seed, len } => {
            fill(&path, seed, len)?;
            Reply::Done
        }
        Request::CheckPattern { path, seed, len } => Reply::Checked {
            difference: check(&path, seed, len)?,
        },
        Request::StartLoad {
            path,
            cpu,
            start,
            len,
        } => {
            load.start(&path, cpu, start, len)?;
            Reply::Done
        }
        Request::StartGuest { nested, cpu } => {
            load.start_guest(cpu, nested)?;
            Reply::Done
        }
        Request::OccupyDebugRegisters => breakpoint::occupy_all()?,
        Request::TryBreakpoint { how } => breakpoint::try_to_set(how)?,
        Request::LoadStatus => Reply::Load(load.status()),
        Request::StopLoad => Reply::Load(load.stop()),
        Request::SpinOnStack { pointer } => {
            spin::with_stack_pointer(pointer);
            Reply::Done
        }
        Request::LoadKernel {
            path,
            initramfs,
            cmdline,
            on_crash,
        } => {
            kexec::load(&path, initramfs.as_deref(), cmdline, on_crash)?;
            Reply::Done
        }
        Request::LoadKernelOlder { path, on_crash } => {
            kexec::load_older(&path, on_crash)?;
            Reply::Done
        }
        Request::Kexec => kexec::start()?,
        Request::OpenPerfEvent { flags } => perf::open(flags)?,
        Request::AccessMsr { cpu, msr, how } => msr::access(cpu, msr, how)?,
        Request::CallDevice { number, data } => {
            let (errno, data) = hammer::one_call(number, hex::decode(data)?)?;
            Reply::Called {
                errno,
                data: hex::encode(data),
            }
        }
        Request::Hammer {
            seed,
            threads,
            calls,
        } => Reply::Hammered(hammer::hammer(seed, threads, calls)?),
        Request::ListenUevents => {
            uevents.listen()?;
            Reply::Done
        }
        Request::TakeUevents => Reply::Uevents {
            events: uevents.take()?,
        },
        Request::Reboot => reset()?,
    })
}

/// Piece in which content is written and compared: large enough to be fast, small enough for any machine.
const PIECE: usize = 1 << 20;

fn fill(path: &str, seed: u64, len: u64) -> Result<()> {
    // A missing device must be an error, not a file in RAM that always compares equal.
    let may_create = !path.starts_with("/dev/");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(may_create)
        .open(path)?;
    let mut buf = vec![0; PIECE];
    let mut offset = 0;
    while offset < len {
        let piece = &mut buf[..(len - offset).min(PIECE as u64) as usize];
        pattern::fill(seed, offset, piece);
        file.write_all(piece)?;
        offset += piece.len() as u64;
    }
    Ok(file.sync_all()?)
}

fn check(path: &str, seed: u64, len: u64) -> Result<Option<u64>> {
    // Without this the comparison would only show that the page cache works.
    fs::write("/proc/sys/vm/drop_caches", "3")?;
    let mut file = std::io::Read::take(fs::File::open(path)?, len);
    let mut buf = Vec::with_capacity(PIECE);
    let mut offset = 0;
    while offset < len {
        buf.clear();
        let got = std::io::Read::read_to_end(
            &mut std::io::Read::take(&mut file, PIECE as u64),
            &mut buf,
        )? as u64;
        if let Some(at) = pattern::first_difference(seed, offset, &buf) {
            return Ok(Some(at));
        }
        offset += got;
        if got == 0 {
            return Ok(Some(offset));
        }
    }
    Ok(None)
}

fn reset() -> Result<Reply> {
    rustix::fs::sync();
    rustix::system::reboot(RebootCommand::Restart).context("resetting the machine")?;
    Ok(Reply::Done)
}
