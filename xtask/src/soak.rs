// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask soak`: sleep, CPUs that go and come, NMIs and I/O in random order, for as long as wanted.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;
use qemu_tests::scenarios::{self, Context, Until};

use crate::kernel;
use crate::machines;
use crate::paths::Workspace;
use crate::progress::clock;

/// Options of `cargo xtask soak`.
#[derive(Args)]
pub(crate) struct Options {
    /// How long.
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// Take the steps of an earlier run, which printed its seed.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// CPUs of the machine.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=8))]
    cpus: u32,
}

/// Builds the kernel and soaks it. An error names the seed and the step.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let image = {
        let kernel = kernel::prepare(workspace, None)?;
        let bzimage = kernel.build(workspace)?;
        machines::image(workspace, &bzimage, "soak")?
    };
    let context = Context::prepare(&image.kernel, &image.work_dir)?;
    let seed = options.seed.unwrap_or_else(|| {
        // Any number does, as long as another run gets another one.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs())
    });
    println!(
        "seed {seed}: `cargo xtask soak --seed {seed} --cpus {}` takes the same steps",
        options.cpus
    );
    let started = Instant::now();
    let until = Until::Time(Duration::from_secs(60 * options.minutes));
    let done = scenarios::soak(&context, options.cpus, seed, until, &|step| {
        eprintln!("[{:>7}] {step}", clock(started.elapsed()));
    })?;
    println!(
        "{} steps: {} sleeps, {} locks, {} times that a CPU went or came; {} stores watched, {} searches of all RAM; \
         {} MiB written, read back and equal. Nothing was lost, and no secret was found",
        done.steps,
        done.sleeps,
        done.locks,
        done.cpu_changes,
        done.stores,
        done.searches,
        done.verified >> 20
    );
    Ok(())
}
