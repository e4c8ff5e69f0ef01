// SPDX-License-Identifier: GPL-2.0

//! The engine of each CPU class that QEMU can emulate: each reads what another one wrote.

use anyhow::{ensure, Context, Result};
use tresor::class::Class;

use super::lab::{excerpt, Lab, VOLUME};
use crate::volume::{disk, Volume, TRESOR};

/// What QEMU's TCG has instructions for: it has neither AVX-512 nor VPCLMULQDQ.
pub(crate) const EMULATED: [Class; 3] = [Class::Avx, Class::Aesni, Class::Ssse3];

pub(super) fn each_reads_what_another_wrote(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    let cmdline = config.cmdline.clone();
    let handle = lab.add_disks(&mut config, 64)?;
    let key = lab.enrollment.volume_key(&handle)?;
    let volume = Volume::new(TRESOR, 64, 512);

    // Once around, so that the first one reads, too.
    let order = EMULATED.into_iter().chain(EMULATED.first().copied());
    for (turn, class) in (0..).zip(order) {
        config.cmdline = format!("{cmdline} tresor.disable={}", faster_than(class));
        let (machine, mut guest) = lab.start_unlocked(&config)?;
        let log = guest.dmesg()?;
        let engine = format!("tresor: engine: {}", class.name());
        ensure!(
            log.lines().any(|line| line.ends_with(&engine)),
            "the log does not say `{engine}`:\n{}",
            excerpt(&log)
        );
        volume.open(&mut guest)?;
        if turn > 0 {
            guest
                .check(&volume.mapper(), turn - 1, VOLUME)
                .with_context(|| format!("{} reads what another wrote", class.name()))?;
        }
        guest.fill(&volume.mapper(), turn, VOLUME)?;
        volume.close(&mut guest)?;
        drop(machine);
        disk::expect_ciphertext(&lab.volume_image(), &key, 512, turn)
            .with_context(|| format!("written by {}", class.name()))?;
    }
    Ok(())
}

/// The classes before this one, as the kernel's parameter wants them.
pub(crate) fn faster_than(class: Class) -> String {
    Class::ALL
        .iter()
        .take_while(|&&other| other != class)
        .map(|other| other.name())
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faster_engines_are_disabled() {
        assert_eq!(faster_than(Class::Avx512), "");
        assert_eq!(faster_than(Class::Avx), "avx512,avx512vl,vaes");
    }
}
