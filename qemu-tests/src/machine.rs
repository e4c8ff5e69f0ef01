// SPDX-License-Identifier: GPL-2.0

//! A virtual machine: one QEMU process (TCG) with its RAM in a file, a serial console, a monitor and a port to PID 1.

pub(crate) mod command;

use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use fs_err as fs;
use rustix::process::{set_parent_process_death_signal, Signal};
use serde_json::json;
use tempfile::TempDir;

use crate::console::Console;
use crate::gdbstub::Gdb;
use crate::guest::Guest;
use crate::home::Home;
use crate::qmp::Qmp;
use crate::unpacked::Programs;
use crate::watcher::{self, Watcher};

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
    /// Where S is to live.
    pub home: Home,
    /// Number of CPUs.
    pub cpus: u32,
    /// RAM in MiB; at most 2048, so that RAM file offsets are physical addresses.
    pub memory_mib: u32,
    /// Raw disk images; they become /dev/vda, /dev/vdb, ... in this order.
    pub disks: Vec<PathBuf>,
    /// QEMU's CPU model.
    pub cpu_model: String,
    /// QEMU's machine: `q35`, or `pc`, whose power management survives a sleep.
    pub board: &'static str,
    /// Each disk has one queue, with an interrupt that any CPU can take, instead of one for each CPU.
    pub one_queue: bool,
    /// With a screen (and so with a prompt on the virtual terminal).
    pub vga: bool,
    /// Every store is watched, if anything is given.
    pub watch: Option<watcher::Plan>,
    /// With a gdbstub, for [`Machine::gdb`].
    pub gdb: bool,
    /// The machine's clock counts its own instructions, so that a busy host does not change how often timers interrupt it.
    pub own_clock: bool,
    /// Another QEMU than the one that is installed.
    pub qemu: Option<Programs>,
    /// The control socket of a [`crate::tpm::Tpm`].
    pub tpm: Option<PathBuf>,
    /// TCG plugins to load, each as QEMU's `-plugin` takes it: `FILE,argument=value,...`.
    pub plugins: Vec<String>,
}

impl Config {
    /// A machine with one CPU of the model `max`, 512 MiB, no disk, no screen.
    pub fn new(kernel: &Path, initramfs: &Path) -> Self {
        Self {
            kernel: kernel.into(),
            initramfs: initramfs.into(),
            cmdline: String::new(),
            home: Home::default(),
            cpus: 1,
            memory_mib: 512,
            disks: Vec::new(),
            cpu_model: "max".into(),
            board: "q35",
            one_queue: false,
            vga: false,
            watch: None,
            gdb: false,
            own_clock: false,
            qemu: None,
            tpm: None,
            plugins: Vec::new(),
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
    watcher: Option<Watcher>,
    /// The port to PID 1, until [`Machine::guest`] takes it.
    agent: Option<UnixStream>,
    ram: PathBuf,
    memory_mib: u32,
    cpus: u32,
    home: Home,
    sockets: TempDir,
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
        let mut watcher = None;
        if let Some(plan) = &config.watch {
            let bytes = u64::from(config.memory_mib) << 20;
            let (made, option) = Watcher::prepare(plan, &ram, bytes, dir, sockets.path())?;
            command.args(["-plugin", &option]);
            watcher = Some(made);
        }
        command
            .stdin(Stdio::null())
            .stdout(log.file().try_clone()?)
            .stderr(log.file().try_clone()?);
        let child = spawn(&mut command).context(
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
            watcher,
            agent: Some(agent),
            ram,
            memory_mib: config.memory_mib,
            cpus: config.cpus,
            home: config.home,
            sockets,
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

    /// Takes back the connection to a PID 1 whose kernel another one follows in the same machine: [`Self::guest`] waits for that one's.
    pub fn follow(&mut self, guest: Guest) {
        self.agent = Some(guest.into_stream());
    }

    /// Connects to the gdbstub, which stops the machine.
    pub fn gdb(&self) -> Result<Gdb> {
        let stream = UnixStream::connect(self.sockets.path().join("gdb"))
            .context("connecting to the gdbstub: was the machine configured with one?")?;
        Gdb::new(stream)
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

    /// From now on QEMU stops the CPUs instead of resetting the machine or switching it off, so that their registers can be read as they
    /// were in the last moment.
    pub fn freeze_at_end(&mut self) -> Result<()> {
        self.qmp
            .execute(
                "set-action",
                json!({"reboot": "shutdown", "shutdown": "pause"}),
            )
            .map(drop)
    }

    /// Waits until the machine has come to the end that [`Self::freeze_at_end`] holds.
    pub fn wait_frozen(&mut self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let status = self.qmp.execute("query-status", json!({}))?;
            if status["status"] == "shutdown" {
                return Ok(());
            }
            if begin.elapsed() > BOOT_LIMIT {
                bail!("the machine does not end: {status}{}", self.console.tail());
            }
            sleep(Duration::from_millis(200));
        }
    }

    /// Connects to PID 1 anew, when it waits for a connection.
    ///
    /// After a sleep it does: Linux asks QEMU whether somebody is connected, and is deaf to the answer because it has no buffers for it
    /// yet (virtcons_restore() in drivers/char/virtio_console.c).
    pub fn reconnect(&self, guest: &mut Guest) -> Result<()> {
        let path = self.sockets.path().join("agent");
        guest.switch_to(|| UnixStream::connect(path).context("connecting to PID 1 again"))
    }

    /// As [`Self::reconnect`] for a PID 1 that was in another machine, of which this one has loaded the image.
    pub fn adopt(&mut self, guest: &mut Guest) -> Result<()> {
        drop(self.agent.take());
        self.reconnect(guest)
    }

    /// The file that is the machine's RAM: offset = physical address.
    pub fn ram(&self) -> &Path {
        &self.ram
    }

    /// Changes one byte of RAM, which must have been `old`, between two instructions of the machine.
    pub fn change_ram(&mut self, address: u64, old: u8, new: u8) -> Result<()> {
        self.qmp.stop()?;
        let ram = fs::File::options().read(true).write(true).open(&self.ram)?;
        let mut found = [0];
        ram.file().read_exact_at(&mut found, address)?;
        ensure!(
            found == [old],
            "the byte at {address:#x} is {:#x} and not {old:#x}",
            found[0]
        );
        ram.file().write_all_at(&[new], address)?;
        self.qmp.cont()
    }

    /// Size of the RAM in bytes.
    pub fn ram_bytes(&self) -> u64 {
        u64::from(self.memory_mib) << 20
    }

    /// The store watcher, of a machine that was started with one.
    pub fn watcher(&self) -> Result<&Watcher> {
        self.watcher
            .as_ref()
            .context("this machine was started without a store watcher")
    }

    /// Number of CPUs the machine was made with.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Where S lives in it, if anywhere.
    pub fn home(&self) -> Home {
        self.home
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

/// Starts a program that ends with this one.
pub(crate) fn spawn(command: &mut Command) -> std::io::Result<Child> {
    // SAFETY: between fork and exec only prctl(2) is called, which is async-signal-safe and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            // A killed harness must not leave machines behind.
            set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into)
        });
    }
    command.spawn()
}

/// Ends a program that [`spawn`] started.
pub(crate) fn end(child: &mut Child) {
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
