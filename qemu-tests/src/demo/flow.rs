// SPDX-License-Identifier: GPL-2.0

//! The steps of the demo's two runs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use serde_json::json;

use super::{terminal, DemoOptions, PassPhrase};
use crate::console::{ACCEPTED, WRONG};
use crate::enrollment::{random, Enrollment};
use crate::machine::{Config, Machine};
use crate::registers;
use crate::report::{Asleep, Checked, Run, Step};
use crate::scan::Scanner;
use crate::secrets::Secrets;
use crate::sleep::{self, Sleep};
use crate::volume::{disk, Files, Volume, STOCK, TRESOR};
use crate::watch::Sight;

const VOLUME_BYTES: u64 = 64 << 20;
const KEY_BYTES: usize = 64;
const SECTOR_SIZE: u32 = 512;
const FILES: Files = Files {
    count: 24,
    seed: 2011,
};
/// For boot and key derivation on a busy host.
const PATIENCE: Duration = Duration::from_secs(180);

/// What both runs share.
pub(super) struct Flow<'a> {
    options: &'a DemoOptions<'a>,
    enrollment: &'a Enrollment,
    /// The public key file of the volume.
    handle: Vec<u8>,
    secrets: Secrets,
    image: PathBuf,
}

/// What the run with the key in registers gives.
pub(super) struct Tresor {
    pub(super) run: Run,
    pub(super) kernel: String,
    pub(super) qemu: String,
    pub(super) ram_bytes: u64,
    pub(super) patterns: usize,
    pub(super) pass_phrase_searched: bool,
    pub(super) asleep: Asleep,
    pub(super) sectors: Checked,
}

impl<'a> Flow<'a> {
    pub(super) fn new(options: &'a DemoOptions<'a>, enrollment: &'a Enrollment) -> Result<Self> {
        let handle = random::<KEY_BYTES>()?.to_vec();
        Ok(Self {
            secrets: enrollment.secrets(&[&handle])?,
            image: disk::create(&options.work_dir.join("volume.img"), VOLUME_BYTES)?,
            options,
            enrollment,
            handle,
        })
    }

    /// The whole life of a volume, with a sleep, under `tresor`.
    pub(super) fn tresor(&self, config: &Config) -> Result<Tresor> {
        let mut steps = self.steps("tresor");
        let volume = Volume::new(TRESOR, KEY_BYTES, SECTOR_SIZE);
        let config = Config {
            cmdline: self.enrollment.cmdline(),
            disks: self.disks("handle.img", &self.handle)?,
            ..config.clone()
        };

        let mut machine = steps.take("Boot", || Machine::start(&config, &self.dir("tresor")))?;
        steps.take("Type the pass phrase at the prompt", || {
            self.unlock(&mut machine)
        })?;
        let mut guest = steps.take("Start the user space", || machine.guest())?;
        steps.take("Open the new volume with stock cryptsetup", || {
            volume.open(&mut guest)
        })?;
        steps.take("Make an ext4 file system and mount it", || {
            volume.make_fs(&mut guest)?;
            volume.mount(&mut guest)
        })?;
        steps.take("Write files", || FILES.write(&mut guest))?;
        steps.take("Suspend to RAM with the volume open", || {
            sleep::fall_asleep(&mut machine, &mut guest, Sleep::ToRam)
        })?;
        let asleep = steps.take(
            "Read the registers of the sleeping machine, search all RAM",
            || self.look_at_sleeper(&mut machine),
        )?;
        steps.take("Wake it up", || sleep::wake(&mut machine, Sleep::ToRam))?;
        steps.take("Type the pass phrase again", || self.unlock(&mut machine))?;
        let files = steps.take("Read the files back from the disk and compare", || {
            sleep::finish(&mut machine, &mut guest)?;
            FILES.check(&mut guest)
        })?;
        let sight = steps.take(
            "Stop the CPUs, read their registers, search all RAM",
            || Sight::of(&mut machine, &self.secrets),
        )?;
        let kernel = guest.kernel().to_owned();
        let qemu = qemu_version(&mut machine)?;
        steps.take("Unmount and close", || {
            volume.unmount(&mut guest)?;
            volume.close(&mut guest)
        })?;
        let sectors = steps.take("Compare the ciphertext on the disk with the oracle", || {
            let key = self.enrollment.volume_key(&self.handle)?;
            disk::check_files(
                &self.image,
                &key,
                SECTOR_SIZE,
                &FILES,
                &self.options.work_dir,
            )
        })?;
        Ok(Tresor {
            kernel,
            qemu,
            ram_bytes: machine.ram_bytes(),
            patterns: sight.patterns,
            pass_phrase_searched: self.secrets.pass_phrase_counts(),
            asleep,
            sectors,
            run: steps.into_run(&volume, sight, files),
        })
    }

    fn look_at_sleeper(&self, machine: &mut Machine) -> Result<Asleep> {
        let cpus = registers::parse(&machine.qmp.human(registers::COMMAND)?)?;
        let empty = cpus.iter().filter(|cpu| *cpu.bytes() == [0; 32]);
        let scanner = Scanner::new(self.secrets.patterns());
        Ok(Asleep {
            empty: Checked {
                right: empty.count() as u64,
                all: u64::from(machine.cpus()),
            },
            hits: scanner.scan_file(machine.ram())?,
        })
    }

    /// The control: a fresh machine opens the same volume with the kernel's own AES and the very key that `tresor` derived in registers.
    pub(super) fn stock(&self, config: &Config) -> Result<Run> {
        let mut steps = self.steps("stock AES");
        let volume = Volume::new(STOCK, KEY_BYTES, SECTOR_SIZE);
        let key = self.enrollment.volume_key(&self.handle)?;
        let config = Config {
            disks: self.disks("key.img", &key)?,
            ..config.clone()
        };
        let mut machine = steps.take("Boot", || Machine::start(&config, &self.dir("stock")))?;
        let mut guest = steps.take("Start the user space", || machine.guest())?;
        let files = steps.take(
            "Open the same volume, read the files back and compare",
            || {
                volume.open(&mut guest)?;
                volume.mount(&mut guest)?;
                FILES.check(&mut guest)
            },
        )?;
        let sight = steps.take(
            "Stop the CPUs, read their registers, search all RAM",
            || Sight::of(&mut machine, &self.secrets),
        )?;
        steps.take("Unmount and close", || {
            volume.unmount(&mut guest)?;
            volume.close(&mut guest)
        })?;
        Ok(steps.into_run(&volume, sight, files))
    }

    pub(super) fn key_bits(&self) -> u32 {
        8 * KEY_BYTES as u32
    }

    pub(super) fn sector_size(&self) -> u32 {
        SECTOR_SIZE
    }

    /// The volume and a stick with `key`.
    fn disks(&self, stick: &str, key: &[u8]) -> Result<Vec<PathBuf>> {
        let stick = disk::create_stick(&self.options.work_dir.join(stick), key)?;
        Ok(vec![self.image.clone(), stick])
    }

    fn dir(&self, run: &str) -> PathBuf {
        Path::new(&self.options.work_dir).join(run)
    }

    fn steps(&self, run: &'static str) -> Steps<'_> {
        Steps {
            run,
            progress: self.options.progress,
            steps: Vec::new(),
        }
    }

    fn unlock(&self, machine: &mut Machine) -> Result<()> {
        if let PassPhrase::Interactive = self.options.pass_phrase {
            return terminal::bridge(&mut machine.console, PATIENCE);
        }
        machine
            .console
            .answer_prompt(self.enrollment.pass_phrase(), PATIENCE)?;
        let (which, _) = machine.console.wait_for_any(&[ACCEPTED, WRONG], PATIENCE)?;
        ensure!(
            which == 0,
            "the kernel called the right pass phrase wrong{}",
            machine.console.tail()
        );
        Ok(())
    }
}

fn qemu_version(machine: &mut Machine) -> Result<String> {
    let version = machine.qmp.execute("query-version", json!({}))?;
    let part = |name: &str| {
        version["qemu"][name]
            .as_u64()
            .with_context(|| format!("QEMU does not tell its version: {version}"))
    };
    Ok(format!(
        "{}.{}.{}",
        part("major")?,
        part("minor")?,
        part("micro")?
    ))
}

/// Tells and times the steps of one run.
struct Steps<'a> {
    run: &'static str,
    progress: &'a dyn Fn(&str),
    steps: Vec<Step>,
}

impl Steps<'_> {
    fn take<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        (self.progress)(&format!("{}: {name}", self.run));
        let begin = Instant::now();
        let result = step().with_context(|| format!("the step \"{name}\" failed"))?;
        self.steps.push(Step {
            name: name.into(),
            time: begin.elapsed(),
        });
        Ok(result)
    }

    fn into_run(self, volume: &Volume, sight: Sight, files: Checked) -> Run {
        Run {
            cipher: volume.cipher.into(),
            steps: self.steps,
            registers: sight.registers,
            hits: sight.hits,
            scan_time: sight.scan_time,
            aeskeyfind: sight.keys,
            files,
            ram_use: sight.ram_use,
        }
    }
}
