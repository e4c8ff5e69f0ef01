// SPDX-License-Identifier: GPL-2.0

//! A virtual machine: one QEMU process (TCG) with its RAM in a file, a serial console, a monitor and a port to PID 1.

mod command;

use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use fs_err as fs;
use rustix::process::{set_parent_process_death_signal, Signal};
use serde_json::json;
use tempfile::TempDir;

use crate::console::Console;
use crate::guest::Guest;
use crate::qmp::Qmp;

/// QEMU opens its sockets at once; more than this means that it hangs.
const START_LIMIT: Duration = Duration::from_secs(20);
/// From the last word typed at the prompt to the readiness of PID 1, on a busy host.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// What a machine is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// Kernel image (bzImage).
    pub kernel: PathBuf,
    /// Root file system in RAM, from [`crate::initramfs`].
    pub initramfs: PathBuf,
    /// Added to the kernel command line, for example `tresor.slot=...`.
    pub cmdline: String,
    /// Number of CPUs.
    pub cpus: u32,
    /// RAM in MiB; at most 2048, so that RAM file offsets are physical addresses.
    pub memory_mib: u32,
    /// Raw disk images; they become /dev/vda, /dev/vdb, ... in this order.
    pub disks: Vec<PathBuf>,
    /// QEMU's CPU model.
    pub cpu_model: String,
    /// With a screen (and so with a prompt on the virtual terminal).
    pub vga: bool,
}

impl Config {
    /// A machine with one CPU of the model `max`, 512 MiB, no disk, no screen.
    pub fn new(kernel: &Path, initramfs: &Path) -> Self {
        Self {
            kernel: kernel.into(),
            initramfs: initramfs.into(),
            cmdline: String::new(),
            cpus: 1,
            memory_mib: 512,
            disks: Vec::new(),
            cpu_model: "max".into(),
            vga: false,
        }
    }
}

/// A running machine. It ends with this value.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    /// The monitor.
    pub qmp: Qmp,
    /// The serial console.
    pub console: Console,
    /// The port to PID 1, until [`Machine::guest`] takes it.
    agent: Option<UnixStream>,
    ram: PathBuf,
    memory_mib: u32,
    cpus: u32,
    _sockets: TempDir,
}

impl Machine {
    /// Starts the machine; its RAM file and logs (serial.log, qemu.log) go to the directory `dir`, which is made if needed.
    pub fn start(config: &Config, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        ensure!(
            config.memory_mib <= 2048,
            "{} MiB of RAM would be split in two ranges of physical addresses: use at most 2048",
            config.memory_mib
        );
        // The path of a socket has at most 107 bytes: a deep target directory would not do.
        let sockets = tempfile::Builder::new().prefix("qemu-").tempdir()?;
        let ram = dir.join("ram");
        let log_path = dir.join("qemu.log");
        let log = fs::File::create(&log_path)?;
        let mut command = command::command(config, &ram, sockets.path(), dir);
        command
            .stdin(Stdio::null())
            .stdout(log.file().try_clone()?)
            .stderr(log.file().try_clone()?);
        // SAFETY: between fork and exec only prctl(2) is called, which is async-signal-safe and allocates nothing.
        unsafe {
            command.pre_exec(|| {
                // A killed harness must not leave machines behind.
                set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into)
            });
        }
        let child = command.spawn().context(
            "starting qemu-system-x86_64: is QEMU installed? `cargo xtask setup` does it",
        )?;
        let mut starting = Starting { child, log_path };
        let agent = starting.connect(&sockets.path().join("agent"))?;
        let console = Console::new(starting.connect(&sockets.path().join("serial"))?)?;
        let qmp = Qmp::new(starting.connect(&sockets.path().join("qmp"))?)?;
        let mut machine = Self {
            child: starting.child,
            qmp,
            console,
            agent: Some(agent),
            ram,
            memory_mib: config.memory_mib,
            cpus: config.cpus,
            _sockets: sockets,
        };
        // QEMU waits (-S) until all ears are open, so that nothing is missed.
        machine.qmp.cont()?;
        Ok(machine)
    }

    /// Waits for PID 1 and returns the connection to it.
    pub fn guest(&mut self) -> Result<Guest> {
        let stream = self
            .agent
            .take()
            .context("the connection to PID 1 is in use: reboot hands it back")?;
        Guest::wait_ready(stream, BOOT_LIMIT).with_context(|| self.console.tail())
    }

    /// Resets the machine from inside, as `reboot` does; RAM keeps its content, registers do not.
    pub fn reboot(&mut self, guest: Guest) -> Result<()> {
        // Until now a reset ended QEMU, so that a panic is never mistaken for a slow boot.
        self.set_reset_action("reset")?;
        self.agent = Some(guest.reboot()?);
        self.console
            .wait_for("reboot: Restarting system", BOOT_LIMIT)?;
        self.console.wait_for("Linux version", BOOT_LIMIT)?;
        self.set_reset_action("shutdown")
    }

    /// The file that is the machine's RAM: offset = physical address.
    pub fn ram(&self) -> &Path {
        &self.ram
    }

    /// Size of the RAM in bytes.
    pub fn ram_bytes(&self) -> u64 {
        u64::from(self.memory_mib) << 20
    }

    /// Number of CPUs the machine was made with.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    fn set_reset_action(&mut self, action: &str) -> Result<()> {
        self.qmp
            .execute("set-action", json!({"reboot": action}))
            .map(drop)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        end(&mut self.child);
        // Half a gigabyte per machine; the logs stay. If it cannot be removed, the next run truncates it.
        drop(fs::remove_file(&self.ram));
    }
}

fn end(child: &mut Child) {
    // Both fail only if it has ended already.
    drop(child.kill());
    drop(child.wait());
}

/// A QEMU whose sockets are not all connected yet.
struct Starting {
    child: Child,
    log_path: PathBuf,
}

impl Starting {
    fn connect(&mut self, path: &Path) -> Result<UnixStream> {
        let begin = Instant::now();
        loop {
            let error = match UnixStream::connect(path) {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            let ended = self.child.try_wait()?;
            if ended.is_some() || begin.elapsed() > START_LIMIT {
                end(&mut self.child);
                let said = fs::read_to_string(&self.log_path).unwrap_or_default();
                bail!("QEMU did not start ({error}): {}", said.trim());
            }
            sleep(Duration::from_millis(5));
        }
    }
}
