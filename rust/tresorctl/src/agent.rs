// SPDX-License-Identifier: GPL-2.0
//! `tresorctl agent`: asks for the pass phrase after each sleep, while everything else is frozen.
//!
//! Nothing that is needed then may have to come from a disk that waits for the key. So all of the
//! program is locked in memory, the terminal is opened and the program that asks is started before the
//! first sleep, and memory that is taken later is taken without waiting for a disk. The kernel lets
//! this program run and those that it has started itself, but not what those start.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{bail, ensure, Context};
use rustix::fs::OFlags;
use rustix::process::configure_io_flusher_behavior;
use rustix::termios::isatty;
use tresor::uapi::Agent;

use crate::device::Device;
use crate::failure::Failure;
use crate::pass_phrase::PassPhrase;
use crate::unlock::{is, stay_in_memory, try_each, Slots};

/// Not the kernel's, so that a person knows who asks.
const PROMPT: &str = "Pass phrase of the encrypted disk (tresorctl agent): ";

/// Options of `agent`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    slots: Slots,
    /// Ask on this terminal, for example /dev/ttyS1. Nobody else should read from it.
    #[arg(long, value_name = "TTY", required_unless_present = "ask")]
    tty: Option<PathBuf>,
    /// Ask by this program. It is started now and stays; for each line that it reads ("ask", or "wrong"
    /// after a wrong pass phrase) it writes a line with the pass phrase, or an empty one to give up.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "tty")]
    ask: Option<PathBuf>,
}

/// Runs until it is ended, or until the program that asks has.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    stay_in_memory()?;
    configure_io_flusher_behavior(true)
        .context("cannot take memory without waiting for disks; run it as root")?;
    let device = Device::open()?;
    let slots = options.slots.read()?;
    let mut asker = match (&options.tty, &options.ask) {
        (Some(path), _) => Asker::on_terminal(path)?,
        (None, Some(program)) => Asker::start(program)?,
        (None, None) => bail!("give --tty or --ask"),
    };
    device.agent(Agent::Register)?;
    loop {
        device.agent(Agent::Wait)?;
        let mut wrong = false;
        let done = loop {
            let done = asker
                .ask(wrong)
                .and_then(|pass_phrase| try_each(&device, &slots, &pass_phrase));
            match done {
                Err(error) if is(&error, Failure::WrongPassPhrase) => {
                    eprintln!("{error:#}");
                    wrong = true;
                }
                done => break done,
            }
        };
        if let Err(error) = done {
            eprintln!("tresorctl: {error:#}; the kernel asks on its consoles");
            device.agent(Agent::GiveUp)?;
            asker.check()?;
        }
    }
}

/// Who asks the person.
enum Asker {
    /// This program, on the terminal that is its standard input and error.
    Terminal,
    /// Another one.
    Program(Child),
}

impl Asker {
    /// Takes a terminal for standard input and error.
    fn on_terminal(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits() as i32)
            .open(path)
            .with_context(|| format!("cannot open {shown}"))?;
        ensure!(isatty(&terminal), "{shown} is no terminal");
        rustix::stdio::dup2_stdin(&terminal)
            .and_then(|()| rustix::stdio::dup2_stderr(&terminal))
            .with_context(|| format!("cannot use {shown}"))?;
        Ok(Self::Terminal)
    }

    fn start(program: &Path) -> anyhow::Result<Self> {
        Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map(Self::Program)
            .with_context(|| format!("cannot start {}", program.display()))
    }

    fn ask(&mut self, wrong: bool) -> anyhow::Result<PassPhrase> {
        match self {
            Self::Terminal => PassPhrase::ask_once(PROMPT),
            Self::Program(child) => {
                let mut question = child.stdin.as_ref().context("no way to the program")?;
                question
                    .write_all(if wrong { b"wrong\n" } else { b"ask\n" })
                    .context("the program that asks does not listen")?;
                let answer = child.stdout.as_ref().context("no way from the program")?;
                PassPhrase::read_line(answer)
            }
        }
    }

    /// Fails if it can never ask again.
    fn check(&mut self) -> anyhow::Result<()> {
        if let Self::Program(child) = self {
            let ended = child.try_wait().context("cannot look at the program")?;
            ensure!(ended.is_none(), "the program that asks has ended");
        }
        Ok(())
    }
}
