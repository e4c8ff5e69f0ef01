// SPDX-License-Identifier: GPL-2.0

//! The measurement: a machine for each engine, dm-crypt volumes on it, and reads and writes of single pages.

use std::path::Path;
use std::time::Duration;

use anyhow::{ensure, Context as _, Result};
use fs_err as fs;
use serde::Serialize;
use tresor::class::Class;

use super::plan::{self, Kind, CONVERT, DECRYPT, ENCRYPT, FPU_SECTION, IRQS_OFF};
use super::record::{self, typical, Count, Record};
use super::symbols::Kernel;
use crate::console::ACCEPTED;
use crate::enrollment::{random, Enrollment, TEST_ITERATIONS};
use crate::guest::Guest;
use crate::machine::command::escaped;
use crate::machine::{Config, Machine};
use crate::scenarios::engines::{faster_than, EMULATED};
use crate::scenarios::Context;
use crate::volume::{disk, Volume, STOCK, TRESOR};

/// The IV that dm-crypt does not batch; on a disk of less than 2 TiB it is the same number as `plain64`.
pub const UNBATCHED: &str = "tresor-xts-plain";
/// Bytes of each read and write, and of a page.
const PAGE: u64 = 4096;
/// Reads and writes for each case.
const PAGES: u64 = 64;
/// Size of the volume in bytes.
const VOLUME: u64 = 1 << 20;
/// The pass phrase is typed on a machine that counts.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which way the data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Written to the disk.
    Encrypt,
    /// Read from it.
    Decrypt,
}

/// The typical counts for one cipher in dm-crypt.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    /// The class of our engine, or `kernel`.
    pub engine: &'static str,
    /// As dm-crypt is told.
    pub cipher: &'static str,
    /// Bytes of dm-crypt's sectors.
    pub sector_size: u32,
    /// Which way.
    pub direction: Direction,
    /// How many requests dm-crypt makes of one page.
    pub requests: u64,
    /// Instructions of one request: from the call of the crypto API to its return.
    pub request: Count,
    /// Instructions of dm-crypt's loop over one page, with its requests.
    pub page: Count,
}

impl Case {
    /// Bytes of one request.
    pub fn request_bytes(&self) -> u64 {
        PAGE / self.requests
    }
}

/// The longest stretches in which something has to wait, in instructions, from power-on: self tests and unlocking too.
#[derive(Debug, Clone, Serialize)]
pub struct Stretches {
    /// The class of the engine.
    pub engine: &'static str,
    /// From the `cli` of a window to the `sti` of its caller.
    pub irqs_off: u64,
    /// From the call of `kernel_fpu_begin()` to that of `kernel_fpu_end()`, around the engine: no preemption, no softirqs.
    pub fpu_section: u64,
}

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Of every engine.
    pub cases: Vec<Case>,
    /// Of each of our engines.
    pub stretches: Vec<Stretches>,
    /// Instructions of the routine that loads S, as a disassembler counts them.
    pub window: u64,
}

/// Measures on machines whose files are below `dir`. `progress` is told each step.
pub fn measure(context: &Context, dir: &Path, progress: &dyn Fn(&str)) -> Result<Figures> {
    fs::create_dir_all(dir)?;
    progress("building the plugin");
    let plugin = crate::plugin_build::build("counter", "", &context.work_dir)?;
    let plan = dir.join("plan");
    let kernel = Kernel::read(&context.vmlinux)?;
    fs::write(&plan, plan::plan(&kernel)?)?;

    let mut figures = Figures {
        cases: Vec::new(),
        stretches: Vec::new(),
        window: plan::window(&kernel)?,
    };
    for class in EMULATED {
        let dir = dir.join(class.name());
        fs::create_dir_all(&dir)?;
        let mut counted = Counted::boot(context, &dir, class, &plugin, &plan)?;
        let mut ciphers = vec![(class.name(), TRESOR), (class.name(), UNBATCHED)];
        if figures.cases.is_empty() {
            ciphers.push(("kernel", STOCK));
        }
        for (engine, cipher) in ciphers {
            for sector_size in [512, 4096] {
                progress(&format!("{engine}: {cipher}, {sector_size}-byte sectors"));
                let cases = counted
                    .volume(engine, cipher, sector_size)
                    .with_context(|| format!("{engine}, {cipher}, {sector_size}"))?;
                figures.cases.extend(cases);
            }
        }
        figures.stretches.push(counted.stretches(class.name())?);
    }
    Ok(figures)
}

/// A machine whose instructions are counted.
struct Counted {
    _machine: Machine,
    guest: Guest,
    records: std::path::PathBuf,
    /// How much of the records was read.
    read: usize,
}

impl Counted {
    fn boot(
        context: &Context,
        dir: &Path,
        class: Class,
        plugin: &Path,
        plan: &Path,
    ) -> Result<Self> {
        let enrollment = Enrollment::new(b"correct horse battery", TEST_ITERATIONS)?;
        let records = dir.join("records");
        let mut config = Config::new(&context.kernel, &context.initramfs);
        config.memory_mib = 256;
        // Else, on a busy host, a timer would hit each of the longer requests.
        config.own_clock = true;
        // The plan has the addresses of the kernel as it was linked.
        config.cmdline = format!(
            "{} tresor.disable={} nokaslr",
            enrollment.cmdline(),
            faster_than(class)
        );
        config.disks = vec![
            disk::create(&dir.join("volume.img"), VOLUME)?,
            disk::create_stick(&dir.join("stick.img"), &random::<64>()?)?,
        ];
        config.plugins = vec![format!(
            "{},plan={},records={}",
            escaped(plugin),
            escaped(plan),
            escaped(&records)
        )];
        let mut machine = Machine::start(&config, dir)?;
        machine
            .console
            .answer_prompt(enrollment.pass_phrase(), PATIENCE)?;
        machine.console.wait_for(ACCEPTED, PATIENCE)?;
        let mut guest = machine.guest()?;
        let engine = format!("tresor: engine: {}", class.name());
        ensure!(
            guest.dmesg()?.lines().any(|line| line.ends_with(&engine)),
            "the log does not say `{engine}`"
        );
        Ok(Self {
            _machine: machine,
            guest,
            records,
            read: 0,
        })
    }

    /// Writes and reads pages, each with O_DIRECT and so in a bio of its own.
    fn volume(
        &mut self,
        engine: &'static str,
        cipher: &'static str,
        sector_size: u32,
    ) -> Result<Vec<Case>> {
        let volume = Volume::new(cipher, 64, sector_size);
        volume.open(&mut self.guest)?;
        let mapper = volume.mapper();
        let (from, to) = (format!("if={mapper}"), format!("of={mapper}"));
        let (size, count) = (format!("bs={PAGE}"), format!("count={PAGES}"));
        let mut cases = Vec::new();
        for (direction, requests, argv) in [
            (
                Direction::Encrypt,
                ENCRYPT,
                ["if=/dev/zero", &to, "oflag=direct"],
            ),
            (
                Direction::Decrypt,
                DECRYPT,
                [&from, "of=/dev/null", "iflag=direct"],
            ),
        ] {
            self.new_records()?;
            let mut command = vec!["busybox", "dd", &size, &count];
            command.extend(argv);
            self.guest.run_ok(&command)?;
            let records = self.new_records()?;
            cases.push(case(
                engine,
                cipher,
                sector_size,
                direction,
                requests,
                &records,
            )?);
        }
        volume.close(&mut self.guest)?;
        Ok(cases)
    }

    fn new_records(&mut self) -> Result<Vec<Record>> {
        let (records, end) = record::read(&self.records, self.read)?;
        self.read = end;
        Ok(records)
    }

    /// The longest stretches of the whole run.
    fn stretches(&self, engine: &'static str) -> Result<Stretches> {
        let (records, _) = record::read(&self.records, 0)?;
        let longest = |name: &str, of: Option<Kind>| {
            records
                .iter()
                .filter(|record| record.name == name && record.count.is_undisturbed())
                .filter(|record| of.is_none_or(|kind| record.count.of(kind) > 0))
                .map(|record| record.count.total())
                .max()
                .with_context(|| format!("no {name} was recorded"))
        };
        Ok(Stretches {
            engine,
            irqs_off: longest(IRQS_OFF, None)?,
            // Of ours only: whoever else uses the vector registers never opens a window.
            fpu_section: longest(FPU_SECTION, Some(Kind::Engine))?,
        })
    }
}

/// The typical counts among the records of one direction.
fn case(
    engine: &'static str,
    cipher: &'static str,
    sector_size: u32,
    direction: Direction,
    requests: &str,
    records: &[Record],
) -> Result<Case> {
    let of = |name: &str| {
        records
            .iter()
            .filter(|it| it.name == name)
            .collect::<Vec<_>>()
    };
    let (pages, requests) = (of(CONVERT), of(requests));
    // An interrupt between a call and its first instruction hides the call.
    ensure!(
        (PAGES / 2..=PAGES).contains(&(pages.len() as u64)),
        "{} pages were recorded, and {PAGES} were read or written",
        pages.len()
    );
    let requests_of_a_page = (requests.len() + pages.len() / 2) / pages.len();
    Ok(Case {
        engine,
        cipher,
        sector_size,
        direction,
        requests: requests_of_a_page as u64,
        request: typical(requests).context("every request was disturbed")?,
        page: typical(pages).context("every page was disturbed")?,
    })
}
