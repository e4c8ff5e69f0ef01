// SPDX-License-Identifier: GPL-2.0

//! A machine in Bochs: slower than QEMU's, but its CPU has AVX-512 and VAES, which QEMU cannot emulate.
//!
//! It has no virtio. The console is its first serial line, PID 1 is reached through the second one (`tresor.agent=ttyS1`), and the kernel
//! and its initramfs come from a disk by way of the BIOS and GRUB. What a debugger of QEMU shows, registers and RAM, cannot be looked at here.

mod disks;
pub mod msrs;

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use fs_err as fs;
use guest_init::protocol::LINE_PARAMETER;

use crate::console::Console;
use crate::guest::Guest;
use crate::machine::command::CMDLINE;
use crate::machine::{self, Config};
use crate::unpacked::Programs;
use msrs::Msr;

/// Bochs connects to its serial lines when it starts.
const START_LIMIT: Duration = Duration::from_secs(60);
/// From power-on to PID 1, on a busy host.
const BOOT_LIMIT: Duration = Duration::from_secs(400);
/// Instructions that make a second of the emulated machine. About what the emulator reaches, so that its clock goes roughly right.
const INSTRUCTIONS_PER_SECOND: u32 = 50_000_000;
/// File with further registers.
const MSRS: &str = "msrs.def";
/// The line to PID 1.
const AGENT: &str = "ttyS1";

/// A running machine. It ends with this value.
#[derive(Debug)]
pub struct Bochs {
    child: Child,
    /// The first serial line.
    pub console: Console,
    agent: Option<UnixStream>,
}

impl Bochs {
    /// Starts it; its files and logs go to `dir`. Of `config` the CPU model is one of Bochs's (`bochs --help cpu`); there is one CPU, and
    /// no disk. It has `msrs` besides its own registers.
    pub fn start(programs: &Programs, config: &Config, msrs: &[Msr], dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        ensure!(
            config.cpus == 1 && config.disks.is_empty() && config.plugins.is_empty(),
            "machines in Bochs have one CPU, no disk and no plugin"
        );
        let home = config.home.parameter();
        let cmdline = format!("{CMDLINE}{home} {LINE_PARAMETER}{AGENT} {}", config.cmdline);
        let (boot, files) = disks::make(programs, config, &cmdline, dir)?;
        let lines = [Line::new()?, Line::new()?];
        let text = settings(programs, config, &[boot, files], &lines, dir)?;
        fs::write(dir.join(MSRS), msrs::table(msrs))?;
        let file = dir.join("bochsrc");
        fs::write(&file, text)?;

        let log = fs::File::create(dir.join("bochs.out"))?;
        let mut command = programs.command("bochs-bin");
        command
            .args(["-q", "-f"])
            .arg(&file)
            .env("BXSHARE", programs.root().join("usr/share/bochs"))
            .env(
                "LTDL_LIBRARY_PATH",
                programs.libraries().join("bochs/plugins"),
            )
            .stdin(Stdio::null())
            .stdout(log.file().try_clone()?)
            .stderr(log.file().try_clone()?);
        let mut child = machine::spawn(&mut command).context("starting Bochs")?;
        let [console, agent] = lines;
        let mut connect = |line: Line, log: Option<PathBuf>| line.connect(&mut child, dir, log);
        let console = connect(console, Some(dir.join("serial.log")))
            .and_then(|stream| Ok((stream, connect(agent, None)?)));
        match console {
            Ok((console, agent)) => Ok(Self {
                child,
                console: Console::new(console)?,
                agent: Some(agent),
            }),
            Err(error) => {
                machine::end(&mut child);
                Err(error)
            }
        }
    }

    /// Waits for PID 1 and returns the connection to it.
    pub fn guest(&mut self) -> Result<Guest> {
        let stream = self.agent.take().context("PID 1 is spoken to already")?;
        Guest::wait_ready(stream, BOOT_LIMIT).with_context(|| self.console.tail())
    }
}

impl Drop for Bochs {
    fn drop(&mut self) {
        machine::end(&mut self.child);
    }
}

/// What Bochs reads at its start.
fn settings(
    programs: &Programs,
    config: &Config,
    disks: &[PathBuf; 2],
    lines: &[Line; 2],
    dir: &Path,
) -> Result<String> {
    let share = programs.root().join("usr/share/bochs");
    let [boot, files] = disks;
    let [console, agent] = lines;
    // The display waits for nobody to look at it.
    Ok(format!(
        "config_interface: textconfig
display_library: rfb, options=\"timeout=0\"
memory: guest={memory}, host={memory}
romimage: file={bios}
vgaromimage: file={vga_bios}
boot: disk
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=\"{boot}\", mode=flat, cylinders=0
ata0-slave: type=disk, path=\"{files}\", mode=flat, cylinders=0
cpu: model={model}, count=1, ips={INSTRUCTIONS_PER_SECOND}, reset_on_triple_fault=0, msrs={msrs}
clock: sync=none, time0=local
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{console}
com2: enabled=1, mode=socket-client, dev=127.0.0.1:{agent}
log: {log}
panic: action=fatal
error: action=ignore
info: action=ignore
",
        memory = config.memory_mib,
        bios = share.join("BIOS-bochs-latest").display(),
        vga_bios = share.join("VGABIOS-lgpl-latest").display(),
        boot = boot.display(),
        files = files.display(),
        model = config.cpu_model,
        msrs = dir.join(MSRS).display(),
        console = console.port()?,
        agent = agent.port()?,
        log = dir.join("bochs.log").display(),
    ))
}

/// A serial line that waits for Bochs to connect.
struct Line(TcpListener);

impl Line {
    fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("opening a port for Bochs")?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    fn port(&self) -> Result<u16> {
        Ok(self.0.local_addr()?.port())
    }

    /// Waits for the connection and makes a local one of it, with all that comes from the machine in `log`.
    fn connect(self, child: &mut Child, dir: &Path, log: Option<PathBuf>) -> Result<UnixStream> {
        let begin = Instant::now();
        let stream = loop {
            match self.0.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("waiting for Bochs"),
            }
            if child.try_wait()?.is_some() || begin.elapsed() > START_LIMIT {
                let said = fs::read_to_string(dir.join("bochs.out")).unwrap_or_default();
                bail!("Bochs did not start: {}", said.trim());
            }
            sleep(Duration::from_millis(20));
        };
        stream.set_nonblocking(false)?;
        let (ours, theirs) = UnixStream::pair()?;
        let log = log.map(fs::File::create).transpose()?;
        bridge(stream, theirs, log)?;
        Ok(ours)
    }
}

/// Copies both ways until one end closes.
fn bridge(machine: TcpStream, local: UnixStream, mut log: Option<fs::File>) -> Result<()> {
    let (mut from_local, mut to_machine) = (local.try_clone()?, machine.try_clone()?);
    thread::spawn(move || drop(std::io::copy(&mut from_local, &mut to_machine)));
    let (mut machine, mut local) = (machine, local);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(got @ 1..) = machine.read(&mut buffer) {
            let bytes = &buffer[..got];
            // The log is for people: losing a piece of it must not end the conversation.
            drop(log.as_mut().map(|log| log.write_all(bytes)));
            if local.write_all(bytes).is_err() {
                break;
            }
        }
        drop(local.shutdown(std::net::Shutdown::Both));
    });
    Ok(())
}

/// A path as an argument with something before it.
fn argument(before: &str, path: &Path) -> OsString {
    let mut text = OsString::from(before);
    text.push(path);
    text
}
