// SPDX-License-Identifier: GPL-2.0

//! What the driver says of the machine, and that it takes no key on one that lacks what it is required to have.

use anyhow::{ensure, Result};
use tresor::machine::Property;

use super::lab::{excerpt, Lab, PATIENCE};
use crate::console::{PROMPT, REFUSED};
use crate::machine::Config;

/// QEMU's CPU without the bit by which a guest sees that it is one.
const LIKE_BARE_METAL: &str = "max,-hypervisor";

pub(super) fn says_that_it_is_a_guest(lab: &mut Lab<'_>) -> Result<()> {
    for (cpu_model, guest) in [("max", true), (LIKE_BARE_METAL, false)] {
        let config = Config {
            cpu_model: cpu_model.into(),
            ..lab.config()
        };
        let (_machine, mut connection) = lab.start_unlocked(&config)?;
        let log = connection.dmesg()?;
        for (property, missing) in [
            (Property::BareMetal, guest),
            // QEMU's q35 has none here, and no other kernel can be loaded.
            (Property::Iommu, true),
            (Property::NoKexec, false),
        ] {
            let line = format!("machine: not {}: {}", property.name(), property.missing());
            ensure!(
                log.contains(&line) == missing,
                "{cpu_model}: whether {} is missing must be told right:\n{}",
                property.name(),
                excerpt(&log)
            );
        }
    }
    Ok(())
}

pub(super) fn require(lab: &mut Lab<'_>) -> Result<()> {
    for (cpu_model, list, complaint) in [
        (
            "max",
            "bare-metal",
            Some("tresor.require=bare-metal: this is a guest"),
        ),
        (
            "max",
            "no-kexec,bare-metal",
            Some("tresor.require=bare-metal: this is a guest"),
        ),
        (LIKE_BARE_METAL, "no-kexec,bare-metal", None),
        (
            LIKE_BARE_METAL,
            "bare-metal,iommu",
            Some("tresor.require=iommu: a device can"),
        ),
        // What cannot be told, or is misspelt, must not look like fulfilled.
        (
            "max",
            "lockdown",
            Some("tresor.require=lockdown: this kernel cannot tell"),
        ),
        (
            "max",
            "baremetal",
            Some("tresor.require=baremetal: there is no such property"),
        ),
    ] {
        let mut config = lab.config();
        config.cpu_model = cpu_model.into();
        config.cmdline += &format!(" tresor.require={list}");
        let Some(complaint) = complaint else {
            lab.start_unlocked(&config)?;
            continue;
        };
        let mut machine = lab.start(&config)?;
        machine.console.wait_for(REFUSED, PATIENCE)?;
        let mut guest = machine.guest()?;
        ensure!(
            !machine.console.text().contains(PROMPT),
            "{list}: a pass phrase was asked for{}",
            machine.console.tail()
        );
        lab.expect_no_secret(&mut machine)?;
        let log = guest.dmesg()?;
        ensure!(
            log.contains(complaint),
            "{list}: the log does not say `{complaint}`:\n{}",
            excerpt(&log)
        );
    }
    Ok(())
}
