// SPDX-License-Identifier: GPL-2.0
//! `tresorctl slot new`.

use std::time::Duration;

use anyhow::Context;
use clap::value_parser;
use rustix::rand::{getrandom, GetRandomFlags};
use tresor::reference;
use tresor::slot::ITERATIONS_MIN;

use crate::pass_phrase::{PassPhrase, Source};
use crate::speed::Speed;

/// Options of `slot new`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// PBKDF2 iterations: each guess at the pass phrase costs as many.
    #[arg(long, value_name = "N", conflicts_with = "time", value_parser = value_parser!(u32).range(i64::from(ITERATIONS_MIN)..))]
    iterations: Option<u32>,
    /// Choose the iterations so that unlocking takes about this long on this machine, in
    /// milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = value_parser!(u32).range(1..))]
    time: u32,
    #[command(flatten)]
    pass_phrase: Source,
}

/// Makes a slot. The text goes to standard output, words for people to standard error.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let pass_phrase = match &options.pass_phrase.pass_phrase_file {
        Some(path) => PassPhrase::read(path)?,
        None => PassPhrase::ask_twice()?,
    };
    let speed = Speed::measure();
    let iterations = options
        .iterations
        .unwrap_or_else(|| speed.iterations_in(Duration::from_millis(options.time.into())));
    eprintln!(
        "Making a slot of {iterations} iterations, about {:.2} s per try on this CPU {}.",
        speed.time_of(iterations).as_secs_f64(),
        speed.what
    );
    let slot = reference::new_slot(
        pass_phrase.bytes(),
        iterations,
        random()?,
        random()?,
        random()?,
    )
    .with_context(|| {
        format!("{iterations} iterations are too few; a slot has {ITERATIONS_MIN} or more")
    })?;
    eprintln!("The slot, and the same as an option for the kernel command line:");
    println!("{slot}\ntresor.slot={slot}");
    eprintln!(
        "Keep a copy: without this slot its secret, and every volume that depends on it, cannot be had again."
    );
    Ok(())
}

/// Bytes from the kernel's random number generator.
fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())
            .context("cannot get random bytes")?;
    }
    Ok(bytes)
}
