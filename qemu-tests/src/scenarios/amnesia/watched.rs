// SPDX-License-Identifier: GPL-2.0

//! Every store of a machine that verifies, makes and uses wrapped handles.

use ::amnesia::reference;
use ::amnesia::wrapped::Kind;
use anyhow::Result;
use tresor::reference::Sha256;
use zeroize::Zeroizing;

use super::{create, expect_errno, fresh, unwrap, CONTENT};
use crate::enrollment::random;
use crate::scenarios::lab::Lab;
use crate::scenarios::watch::{arm, expect_no_leak, finish};
use crate::volume::{disk, AMNESIA};
use crate::watch::Sight;
use crate::watcher::symbols::Symbols;
use crate::watcher::Watched;

pub(in crate::scenarios) fn watched(lab: &mut Lab<'_>) -> Result<()> {
    expect_no_leak(lab, life)
}

/// What is looked for must be known before power-on, so the handle that is used is made here. Its key, the key stream that hides it, and
/// the MAC key are secrets beside those of every machine.
fn life(lab: &mut Lab<'_>, symbols: &Symbols) -> Result<Watched> {
    let mut config = lab.config();
    lab.add_disks(&mut config, 64)?;
    let s = lab.enrollment.s();
    let handle = reference::fresh(s, Kind::XtsAes256, random()?, &random()?);
    let key = reference::unwrap(s, &handle)?;
    let stream: Vec<u8> = key
        .iter()
        .zip(&handle.handle().mask)
        .map(|(key, mask)| key ^ mask)
        .collect();
    let keys = [key.clone(), Zeroizing::new(stream)];
    let mut secrets = lab.enrollment.secrets_and(&keys)?;
    secrets.m = reference::mac_key(s);
    let handle = handle.encode::<Sha256>();
    arm(lab, &mut config, secrets.patterns(), symbols.quiet())?;

    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    expect_errno(&mut guest, &handle, None)?;
    let of_device = fresh(&mut guest, Kind::XtsAes128)?;
    unwrap(lab, &of_device)?;
    create(&mut guest, (AMNESIA, &handle))?;
    guest.fill("/dev/mapper/plain", 13, CONTENT)?;
    guest.check("/dev/mapper/plain", 13, CONTENT)?;
    let sight = Sight::of(&mut machine, &secrets)?;
    guest.run_ok(&["dmsetup", "remove", "plain"])?;
    let watched = finish(lab, machine, &secrets)?;
    // After the store watcher, which names the instruction.
    if watched.leaks == 0 {
        sight.expect_nothing_in_ram()?;
    }
    disk::expect_start(&lab.volume_image(), &key, 512, 13, CONTENT)?;
    Ok(watched)
}
