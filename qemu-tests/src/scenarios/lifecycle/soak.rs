// SPDX-License-Identifier: GPL-2.0

//! Everything that can happen to S while the machine runs, in random order under verified I/O, for as long as wanted; and every store of
//! it is watched.
//!
//! The seed decides which steps are taken and in which order, so that a run can be repeated; how far the I/O is at each step it does not.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _, Result};
use guest_init::protocol::{Breakpoint, LoadReport};
use serde_json::json;

use super::super::hotplug::{self, expect_progress, set_online};
use super::super::lab::{self, Lab};
use super::super::owner::{self, EBUSY};
use super::super::watch as stores;
use super::super::Context;
use super::cpus::{take_offline, Storm};
use super::hibernation;
use super::machine::{lock, standstill, Typed};
use super::sleep::{answer, continue_without_key, expect_nothing_secret, scan};
use super::work::{Work, LOAD};
use crate::console::{ACCEPTED, WRONG};
use crate::emulator_bug;
use crate::guest::Guest;
use crate::machine::Machine;
use crate::secrets::Secrets;
use crate::sleep;
use crate::watch;
use crate::watcher::symbols::Symbols;
use crate::watcher::Watched;

mod step;

use step::{Lock, Random, Step};

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this time; a step that has begun is finished.
    Time(Duration),
    /// After so many steps.
    Steps(u32),
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// Steps taken.
    pub steps: u32,
    /// How often the machine slept.
    pub sleeps: u32,
    /// How often it was locked while it ran.
    pub locks: u32,
    /// How often a CPU went or came.
    pub cpu_changes: u32,
    /// How often all of RAM was searched.
    pub searches: u32,
    /// Bytes written, read back and found equal, past the file system's cache.
    pub verified: u64,
    /// Stores that were compared with the secrets.
    pub stores: u64,
}

/// Steps of [`few_steps`], and a seed with which every kind of step is among them.
const FEW: u32 = 11;
const SEED_OF_FEW: u64 = 24663;
/// CPUs of the machine that takes them.
pub(in super::super) const CPUS_OF_FEW: u32 = 2;
/// Threads and calls of each in a step that calls the device at random.
const HAMMER: (u64, u64) = (2, 200);
/// The level of messages that reach the console: all that the tests wait for, or none while a program asks there.
const PRINTK: &str = "/proc/sys/kernel/printk";

/// A soak under way.
struct Soak<'a, 'b> {
    lab: &'a mut Lab<'b>,
    machine: Machine,
    guest: Guest,
    secrets: Secrets,
    progress: LoadReport,
    storm: Option<Storm>,
    done: Done,
}

/// Takes random steps in the life of S on a machine with `cpus` CPUs; the seed decides which. `tell` hears of each.
pub fn soak(
    context: &Context,
    cpus: u32,
    seed: u64,
    until: Until,
    tell: &dyn Fn(&str),
) -> Result<Done> {
    let dir = lab::dir(context, "soak");
    emulator_bug::retry("soak", &dir, || {
        let mut lab = Lab::new(context, &dir, cpus)?;
        let done = run(&mut lab, seed, until, tell)?;
        lab.clean_up()?;
        Ok(done)
    })
}

/// A few steps, so that it is known to work when it is wanted.
pub(in super::super) fn few_steps(lab: &mut Lab<'_>) -> Result<()> {
    let done = run(lab, SEED_OF_FEW, Until::Steps(FEW), &|step| {
        println!("    {step}");
    })?;
    ensure!(
        done.sleeps > 0 && done.locks > 0 && done.cpu_changes > 0,
        "the steps of the seed do not have what they are there for: {done:?}"
    );
    Ok(())
}

/// Takes random steps, and fails at the first byte that is lost, the first secret in RAM, the first complaint in the log.
fn run(lab: &mut Lab<'_>, seed: u64, until: Until, tell: &dyn Fn(&str)) -> Result<Done> {
    let done = RefCell::new(Done::default());
    stores::expect_no_leak(lab, |lab, symbols| {
        let (this, watched) = life(lab, symbols, seed, until, tell)?;
        done.replace(this);
        Ok(watched)
    })?;
    Ok(done.into_inner())
}

/// One machine from power-on to the last step.
fn life(
    lab: &mut Lab<'_>,
    symbols: &Symbols,
    seed: u64,
    until: Until,
    tell: &dyn Fn(&str),
) -> Result<(Done, Watched)> {
    let mut config = lab.config();
    sleep::prepare(&mut config);
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    stores::arm(lab, &mut config, secrets.patterns(), symbols.quiet())?;
    let (machine, mut guest) = lab.start_unlocked(&config)?;
    let volume = hotplug::open(&mut guest)?;
    let (work, progress) = Work::start_on(&mut guest, volume, handle, lab.cpus)?;
    let mut soak = Soak {
        lab,
        machine,
        guest,
        secrets,
        progress,
        storm: None,
        done: Done::default(),
    };
    let mut random = Random::new(seed);
    let begin = Instant::now();
    loop {
        let ended = match until {
            Until::Time(time) => begin.elapsed() >= time,
            Until::Steps(steps) => soak.done.steps >= steps,
        };
        if ended {
            break;
        }
        let step = random.step(soak.lab.cpus, soak.storm.is_some());
        soak.done.steps += 1;
        let name = format!("step {}: {step}", soak.done.steps);
        tell(&name);
        soak.take(step)
            .with_context(|| format!("seed {seed}, {name}"))?;
    }
    soak.end_storm()?;
    let Soak {
        lab,
        machine,
        mut guest,
        secrets,
        mut done,
        ..
    } = soak;
    ensure!(
        sleep::count(&mut guest)? == done.sleeps,
        "the machine has slept more or less often than it was told to"
    );
    done.verified = work
        .end(lab, &mut guest)
        .with_context(|| format!("seed {seed}, after {} steps", done.steps))?
        .verified;
    let watched = stores::finish(lab, machine, &secrets)?;
    done.stores = watched.stores;
    Ok((done, watched))
}

impl Soak<'_, '_> {
    fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Sleep { how, wrong } => self.sleep(how, Some(wrong))?,
            Step::SleepAndAway { how } => self.sleep(how, None)?,
            Step::Cpu { cpu } => {
                if self.is_online(cpu)? {
                    take_offline(&mut self.machine, &mut self.guest, cpu)?;
                } else {
                    set_online(&mut self.guest, cpu, true)?;
                }
                self.done.cpu_changes += 1;
            }
            Step::StormBegins { seed } => {
                self.storm = Some(Storm::begin(&mut self.guest, self.lab.cpus, seed)?);
            }
            Step::StormEnds => self.end_storm()?,
            Step::Nmis(count) => {
                for _ in 0..count {
                    self.machine.qmp.execute("inject-nmi", json!({}))?;
                }
            }
            Step::Lock { how, wrong } => self.lock(how, wrong)?,
            Step::Breakpoints => {
                for how in [Breakpoint::Perf, Breakpoint::Ptrace] {
                    owner::expect(&mut self.guest, how, Some(EBUSY), false)?;
                }
            }
            Step::Hibernate => hibernation::expect_refused(&mut self.guest)?,
            Step::Hammer { seed } => {
                let (threads, calls) = HAMMER;
                self.guest.hammer(seed, threads, calls)?;
                // They may have locked it.
                self.unlock(0)?;
            }
            Step::Search => {
                self.machine.qmp.stop()?;
                let hits = scan(&mut self.machine, &self.secrets)?;
                self.machine.qmp.cont()?;
                ensure!(hits.is_empty(), "secrets are in RAM: {hits:?}");
                self.done.searches += 1;
            }
        }
        self.expect_secret_or_nothing()?;
        self.progress = expect_progress(&mut self.guest, &self.progress, LOAD)?;
        Ok(())
    }

    /// The first CPU has S; each other one has S or nothing.
    fn expect_secret_or_nothing(&mut self) -> Result<()> {
        let s = self.lab.enrollment.s();
        let answer = self.machine.qmp.human(crate::registers::COMMAND)?;
        for registers in crate::registers::parse(&answer)? {
            let empty = *registers.bytes() == [0; 32] && registers.cpu > 0;
            ensure!(
                empty || watch::holds(&registers.check(s)),
                "the debug registers of CPU {} are not what they should be",
                registers.cpu
            );
        }
        Ok(())
    }

    /// After an unlock all CPUs have S that are online.
    fn expect_secret_online(&mut self) -> Result<()> {
        if self.storm.is_some() {
            return Ok(());
        }
        for cpu in watch::registers(&mut self.machine, self.lab.enrollment.s())? {
            let online = self.is_online(cpu.cpu)?;
            ensure!(
                cpu.holds_secret == online,
                "after an unlock, CPU {} (online: {online}) has S: {}",
                cpu.cpu,
                cpu.holds_secret
            );
        }
        Ok(())
    }

    /// The first CPU cannot go.
    fn is_online(&mut self, cpu: u32) -> Result<bool> {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/online");
        Ok(cpu == 0 || self.guest.read_text(&path)?.trim() == "1")
    }

    fn lock(&mut self, how: Lock, wrong: u32) -> Result<()> {
        match how {
            Lock::Program => lock(&mut self.guest)?,
            Lock::SysRq => self.guest.write_file("/proc/sysrq-trigger", b"x")?,
        }
        standstill(&mut self.guest)?;
        self.lab.expect_no_secret(&mut self.machine)?;
        self.done.locks += 1;
        self.unlock(wrong)
    }

    /// A person runs `tresorctl unlock` and errs as often as said.
    fn unlock(&mut self, wrong: u32) -> Result<()> {
        // Messages about CPUs would come into the middle of the prompt.
        self.guest.write_file(PRINTK, b"1")?;
        let typed = Typed::begin(&mut self.machine, &mut self.guest)?;
        for _ in 0..wrong {
            typed.answer_wrong(&mut self.machine, b"not the pass phrase")?;
        }
        typed.answer(&mut self.machine, self.lab.enrollment.pass_phrase())?;
        typed.expect_exit(&mut self.guest, "0")?;
        self.guest.write_file(PRINTK, b"7")?;
        self.expect_secret_online()
    }

    /// The person at the console types so many wrong pass phrases before the right one, or none at all and unlocks the machine later.
    fn sleep(&mut self, how: sleep::Sleep, wrong: Option<u32>) -> Result<()> {
        let dirty = Work::leave_dirty(&mut self.guest, u64::from(self.done.steps))?;
        sleep::fall_asleep(&mut self.machine, &mut self.guest, how)?;
        expect_nothing_secret(self.lab, &mut self.machine, &self.secrets)?;
        self.done.searches += 1;
        sleep::wake(&mut self.machine, how)?;
        match wrong {
            Some(wrong) => {
                for _ in 0..wrong {
                    answer(&mut self.machine, b"not the pass phrase", WRONG)?;
                }
                let pass_phrase = self.lab.enrollment.pass_phrase();
                answer(&mut self.machine, pass_phrase, ACCEPTED)?;
                sleep::finish(&mut self.machine, &mut self.guest)?;
                self.expect_secret_online()?;
            }
            None => {
                continue_without_key(&mut self.machine)?;
                sleep::finish(&mut self.machine, &mut self.guest)?;
                standstill(&mut self.guest)?;
                self.lab.expect_no_secret(&mut self.machine)?;
                self.unlock(1)?;
            }
        }
        self.done.sleeps += 1;
        dirty.expect(&mut self.guest)
    }

    fn end_storm(&mut self) -> Result<()> {
        if let Some(storm) = self.storm.take() {
            self.done.cpu_changes += storm.end(&mut self.guest)?;
        }
        Ok(())
    }
}
