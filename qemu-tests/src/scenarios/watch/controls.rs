// SPDX-License-Identifier: GPL-2.0

//! The controls of the store watcher: what stores its secrets must be caught by the very same check.

use std::collections::BTreeSet;

use anyhow::{ensure, Context, Result};

use super::{arm, finish, fresh, note, twice, RAW, RAW_BYTES};
use crate::enrollment::random;
use crate::scenarios::controls::LEAK;
use crate::scenarios::lab::{Lab, VOLUME};
use crate::secrets::key_schedule::forward_round_keys;
use crate::secrets::{Family, Pattern, MIN_RUN};
use crate::volume::{disk, Volume, STOCK};
use crate::watcher::symbols::Symbols;
use crate::watcher::Watched;

/// The kernel's own AES with the very same key must be caught, by the very same check.
pub(in super::super) fn stock_aes(lab: &mut Lab<'_>) -> Result<()> {
    let symbols = Symbols::read(&lab.context.system_map)?;
    let (watched, leaking) = twice(lab, |lab| {
        let handle = random::<64>()?;
        let key = lab.enrollment.volume_key(&handle)?;
        let secrets = lab.enrollment.secrets(&[&handle])?;
        let mut config = lab.config_without_slot();
        config.disks = vec![
            disk::create(&lab.volume_image(), VOLUME)?,
            disk::create_stick(&lab.dir.join("key.img"), &key)?,
        ];
        arm(lab, &mut config, secrets.patterns(), symbols.quiet())?;
        let mut machine = lab.start(&config)?;
        let mut guest = machine.guest()?;
        let volume = Volume::new(STOCK, 64, 512);
        volume.open(&mut guest)?;
        guest.fill(&volume.mapper(), RAW, RAW_BYTES)?;
        volume.close(&mut guest)?;
        finish(lab, machine, &secrets)
    })?;
    note(lab, &watched, &symbols)?;
    expect_caught(&watched, &leaking, &symbols)
}

/// The kernel tests its AES at boot with the key of FIPS 197, appendix C: these round keys must be caught.
pub(in super::super) fn self_tests(lab: &mut Lab<'_>) -> Result<()> {
    let symbols = Symbols::read(&lab.context.system_map)?;
    let key: Vec<u8> = (0..16).collect();
    let patterns: Vec<_> = forward_round_keys(&key)
        .iter()
        .enumerate()
        .skip(1)
        .map(|(round, round_key)| Pattern {
            label: format!("round key {round} of FIPS 197's example"),
            family: Family::RoundKey,
            bytes: zeroize::Zeroizing::new(round_key.to_vec()),
            min_run: MIN_RUN,
        })
        .collect();
    let mut config = lab.config_without_slot();
    arm(lab, &mut config, patterns, symbols.quiet())?;
    let mut machine = lab.start(&config)?;
    let _guest = machine.guest()?;
    let watched = machine.watcher()?.watched()?;
    note(lab, &watched, &symbols)?;
    expect_caught(&watched, &watched.leaking(), &symbols)
}

fn expect_caught(watched: &Watched, leaking: &BTreeSet<u64>, symbols: &Symbols) -> Result<()> {
    leaking
        .iter()
        .find(|rip| symbols.name(**rip).contains("aes"))
        .map(drop)
        .with_context(|| {
            format!(
                "the control failed: no AES function of the kernel was caught storing its keys: {:?}",
                watched.describe(leaking, symbols)
            )
        })
}

/// The channels of the control kernel that store something.
pub(crate) const CHANNELS: &[&str] = &[
    "spill",
    "push",
    "xsave",
    "rep-movsb",
    "schedule",
    "interrupt-frame",
];

/// Every channel of the control kernel that stores something must be caught.
pub(in super::super) fn channels(lab: &mut Lab<'_>) -> Result<()> {
    for (channel, was_caught) in caught(lab)? {
        ensure!(
            was_caught,
            "the control failed: no store of the channel {channel} was seen"
        );
    }
    Ok(())
}

/// Lets the control kernel leak, twice with different secrets: which channels stored a secret by the same instruction both times?
fn caught(lab: &mut Lab<'_>) -> Result<Vec<(&'static str, bool)>> {
    let symbols = Symbols::read(&lab.context.system_map)?;
    let first = leak(lab, &symbols)?;
    let second = leak(lab, &symbols)?;
    Ok(CHANNELS
        .iter()
        .zip(first.iter().zip(&second))
        .map(|(channel, (first, second))| (*channel, !first.is_disjoint(second)))
        .collect())
}

/// The instructions that stored a secret, for each channel.
fn leak(lab: &mut Lab<'_>, symbols: &Symbols) -> Result<Vec<BTreeSet<u64>>> {
    lab.enrollment = fresh()?;
    let mut config = lab.config();
    let patterns = lab.enrollment.secrets(&[])?.patterns();
    arm(lab, &mut config, patterns, symbols.quiet())?;
    let (machine, mut guest) = lab.start_unlocked(&config)?;
    let mut before = machine.watcher()?.watched()?.leaking();
    let mut places = Vec::new();
    for channel in CHANNELS {
        guest.write_file(LEAK, channel.as_bytes())?;
        let after = machine.watcher()?.watched()?.leaking();
        places.push(&after - &before);
        before = after;
    }
    Ok(places)
}
