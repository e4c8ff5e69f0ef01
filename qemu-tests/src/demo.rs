// SPDX-License-Identifier: GPL-2.0

//! The flow of `cargo xtask demo`: a volume whose key is in registers, through a sleep, then the same volume under stock AES.

mod flow;
mod pass_phrase;
mod terminal;

use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use fs_err as fs;

use crate::emulator_bug;
use crate::enrollment::Enrollment;
use crate::initramfs;
use crate::machine::Config;
use crate::report::{MachineFacts, Report};
use flow::Flow;

/// Iterations of the demo's slot. A real slot has hundreds of thousands; here the machine is emulated, and nobody should wait.
pub const ITERATIONS: u32 = 5000;
/// RAM of the demo's machines in MiB.
const MEMORY_MIB: u32 = 512;

/// Where the pass phrase comes from.
#[derive(Debug, Clone)]
pub enum PassPhrase {
    /// A person chooses it at the terminal and then types it at the machine's own prompt.
    Interactive,
    /// The first line of a file, typed at the prompt by the harness.
    File(PathBuf),
}

/// What to demonstrate.
pub struct DemoOptions<'a> {
    /// Kernel image (bzImage) with the driver.
    pub kernel: PathBuf,
    /// Directory for images and logs.
    pub work_dir: PathBuf,
    /// Where the pass phrase comes from.
    pub pass_phrase: PassPhrase,
    /// CPUs of the machines.
    pub cpus: u32,
    /// Is told each step as it begins.
    pub progress: &'a dyn Fn(&str),
}

/// Runs the demo. An error says which step failed; what was found, good or bad, is in the report's verdict.
pub fn run(options: &DemoOptions<'_>) -> Result<Report> {
    ensure!(
        (1..=8).contains(&options.cpus),
        "the kernel is built for 1 to 8 CPUs, not {}",
        options.cpus
    );
    ensure!(
        options.kernel.exists(),
        "there is no kernel at {}: run `cargo xtask kernel build`",
        options.kernel.display()
    );
    fs::create_dir_all(&options.work_dir)?;
    let pass_phrase = pass_phrase::get(&options.pass_phrase)?;
    (options.progress)(&format!(
        "Make a slot for the pass phrase ({ITERATIONS} iterations, few because the machine is emulated)"
    ));
    let enrollment = Enrollment::new(&pass_phrase, ITERATIONS)?;
    (options.progress)("Pack the programs that run in the machine");
    let config = Config {
        cpus: options.cpus,
        memory_mib: MEMORY_MIB,
        ..Config::new(&options.kernel, &initramfs::build(&options.work_dir)?)
    };
    let flow = Flow::new(options, &enrollment)?;
    let tresor = emulator_bug::retry("tresor", &options.work_dir, || flow.tresor(&config))
        .context("the run with the key in registers")?;
    let stock = emulator_bug::retry("stock AES", &options.work_dir, || flow.stock(&config))
        .context("the control with stock AES")?;
    Ok(Report {
        machine: MachineFacts {
            kernel: tresor.kernel,
            qemu: tresor.qemu,
            cpus: options.cpus,
            ram_bytes: tresor.ram_bytes,
            iterations: ITERATIONS,
            key_bits: flow.key_bits(),
            sector_size: flow.sector_size(),
        },
        patterns: tresor.patterns,
        pass_phrase_searched: tresor.pass_phrase_searched,
        tresor: tresor.run,
        stock,
        asleep: tresor.asleep,
        sectors: tresor.sectors,
    })
}
