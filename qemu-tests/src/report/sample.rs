// SPDX-License-Identifier: GPL-2.0

//! A report as a good run gives it, for tests and for looking at the page.

use std::time::Duration;

use super::*;
use crate::registers;
use crate::secrets::Family;

fn steps(names: &[(&str, u64)]) -> Vec<Step> {
    names
        .iter()
        .map(|(name, milliseconds)| Step {
            name: (*name).to_owned(),
            time: Duration::from_millis(*milliseconds),
        })
        .collect()
}

fn hit(offset: u64, len: usize, pattern_len: usize, label: &str, family: Family) -> Hit {
    Hit {
        offset,
        len,
        pattern_offset: 0,
        pattern_len,
        label: label.to_owned(),
        family,
    }
}

/// RAM as Linux fills it: kernel and initramfs low, a few areas higher up.
fn ram_use() -> RamUse {
    let level = |cell: usize| match cell {
        0..=3 => 60,
        4..=63 => 0,
        64..=190 => 100,
        191..=300 => 35 + (cell * 7 % 40) as u8,
        1700..=1790 => (cell * 13 % 60) as u8,
        1791..=2047 => 70 + (cell * 11 % 30) as u8,
        _ if cell % 97 == 0 => 12,
        _ => 0,
    };
    RamUse {
        cell_bytes: 256 << 10,
        percent: (0..2048).map(level).collect(),
    }
}

fn stock_hits() -> Vec<Hit> {
    let mut hits = vec![
        hit(0x1c0_4a10, 32, 32, "K1 of volume 1", Family::VolumeKey),
        hit(0x1c0_4a30, 32, 32, "K2 of volume 1", Family::VolumeKey),
        hit(0x1d22_e008, 16, 32, "K1 of volume 1", Family::VolumeKey),
        hit(
            0x4a1_7f40,
            64,
            64,
            "K1 of volume 1, lower-case hex text, memory order",
            Family::VolumeKey,
        ),
    ];
    for round in 2..15 {
        let label = format!("round key {round} of K1 of volume 1");
        hits.push(hit(
            0x1c92_3400 + 16 * round,
            16,
            16,
            &label,
            Family::RoundKey,
        ));
        let label = format!("inverse round key {} of K1 of volume 1", 15 - round);
        hits.push(hit(
            0x1c92_3500 + 16 * round,
            16,
            16,
            &label,
            Family::RoundKey,
        ));
    }
    hits.push(hit(
        0x1c9_3808,
        16,
        16,
        "tweak of sector 2 block 0 of volume 1",
        Family::Tweak,
    ));
    hits.sort();
    hits
}

pub(super) fn report() -> Report {
    let secret: [u8; 32] = std::array::from_fn(|i| (i * 37 + 5) as u8);
    let word = |n: usize| u64::from_le_bytes(std::array::from_fn(|i| secret[8 * n + i]));
    let answer = |dr: [u64; 4]| {
        let cpu = |n| {
            format!(
                "CPU#{n}\nDR0={:016x} DR1={:016x} DR2={:016x} DR3={:016x}\nDR7=0000000000000400\n",
                dr[0], dr[1], dr[2], dr[3]
            )
        };
        let cpus = registers::parse(&(cpu(0) + &cpu(1))).expect("this is QEMU's format");
        cpus.iter()
            .map(|cpu| cpu.check(&secret))
            .collect::<Vec<_>>()
    };
    let files = Checked { right: 24, all: 24 };
    Report {
        machine: MachineFacts {
            kernel: "7.3.4".to_owned(),
            qemu: "10.0.2".to_owned(),
            cpus: 2,
            ram_bytes: 512 << 20,
            iterations: 2000,
            key_bits: 512,
            sector_size: 4096,
        },
        patterns: 995,
        pass_phrase_searched: true,
        tresor: Run {
            cipher: "tresor-xts-plain64".to_owned(),
            steps: steps(&[
                ("Boot; pass phrase at the prompt", 6200),
                ("Open the volume, make ext4", 1900),
                ("Write 24 files", 1400),
                ("Sleep, search the RAM", 2400),
                ("Wake up; pass phrase again", 900),
                ("Read the files back", 1100),
                ("Stop the machine, search its RAM", 700),
                ("aeskeyfind on the same RAM", 14_300),
            ]),
            registers: answer([word(0), word(1), word(2), word(3)]),
            hits: Vec::new(),
            scan_time: Duration::from_millis(410),
            aeskeyfind: KeyCount { all: 3, ours: 0 },
            files,
            ram_use: ram_use(),
        },
        stock: Run {
            cipher: "aes-xts-plain64".to_owned(),
            steps: steps(&[
                ("Boot", 4100),
                ("Open the same volume with the same key", 900),
                ("Read the files back", 1000),
                ("Stop the machine, search its RAM", 700),
                ("aeskeyfind on the same RAM", 14_900),
            ]),
            registers: answer([0; 4]),
            hits: stock_hits(),
            scan_time: Duration::from_millis(430),
            aeskeyfind: KeyCount { all: 5, ours: 2 },
            files,
            ram_use: ram_use(),
        },
        asleep: Asleep {
            empty: Checked { right: 2, all: 2 },
            hits: Vec::new(),
        },
        sectors: Checked {
            right: 1312,
            all: 1312,
        },
    }
}
