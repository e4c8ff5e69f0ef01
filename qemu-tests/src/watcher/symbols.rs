// SPDX-License-Identifier: GPL-2.0

//! The kernel's System.map: names for addresses, and the ranges and handlers that the watcher is told. For a machine booted with
//! `nokaslr`, whose kernel lies where it was linked.

use std::path::Path;

use anyhow::{Context, Result};
use fs_err as fs;
use tresor::class::Class;
use watcher::config::{Entry, Range, Storm};
use watcher::shared::Vector;

use crate::home::Home;

/// Exceptions for which the CPU pushes an error code below the return address (SDM Vol. 3, 6.13).
const WITH_ERROR_CODE: &[&str] = &[
    "asm_exc_invalid_tss",
    "asm_exc_segment_not_present",
    "asm_exc_stack_segment",
    "asm_exc_general_protection",
    "asm_exc_alignment_check",
    "asm_exc_page_fault",
    "asm_exc_double_fault",
    "asm_exc_control_protection",
    "asm_exc_vmm_communication",
];

/// Handlers of device interrupts: a stub has pushed the vector.
const WITH_VECTOR: &[&str] = &["asm_common_interrupt", "asm_spurious_interrupt"];

/// What engines call to move S, which chooses the window of its home.
const CHOICES: [&str; 2] = ["tresor_load_s", "tresor_store_s"];

/// What makes S of a pass phrase, for each kind of CPU.
const UNLOCK: &[&str] = &[
    "tresor_unlock_shani",
    "tresor_unlock_ssse3",
    "tresor_unlock_ssse3_noaes",
];

/// The symbols of a kernel, sorted by address.
#[derive(Debug, Clone)]
pub struct Symbols(Vec<(u64, String)>);

impl Symbols {
    /// Reads a System.map.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .context("the kernel's System.map is not beside its image: build the kernel again")?;
        Ok(Self::parse(&text))
    }

    /// Reads the lines of a System.map, or of /proc/kallsyms.
    pub fn parse(text: &str) -> Self {
        let mut symbols: Vec<_> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let address = u64::from_str_radix(words.next()?, 16).ok()?;
                Some((address, words.nth(1)?.to_owned()))
            })
            .collect();
        symbols.sort();
        Self(symbols)
    }

    /// The address of a symbol.
    pub fn address(&self, name: &str) -> Result<u64> {
        self.0
            .iter()
            .find(|symbol| symbol.1 == name)
            .map(|symbol| symbol.0)
            .with_context(|| format!("the kernel has no symbol {name}"))
    }

    /// The symbol before an address, and how far behind it the address is.
    pub fn name(&self, address: u64) -> String {
        let after = self.0.partition_point(|symbol| symbol.0 <= address);
        match after.checked_sub(1).and_then(|index| self.0.get(index)) {
            Some((start, name)) if address - start < 1 << 20 => {
                format!("{name}+{:#x}", address - start)
            }
            _ => "no symbol: user space".to_owned(),
        }
    }

    /// From a symbol up to the next one.
    fn range(&self, name: &str) -> Result<Range> {
        let start = self.address(name)?;
        let after = self.0.partition_point(|symbol| symbol.0 <= start);
        Ok(Range {
            start,
            end: self.0.get(after).map_or(start, |symbol| symbol.0),
            name: name.to_owned(),
        })
    }

    /// The handlers of all interrupts and exceptions, and nothing to interrupt.
    pub fn quiet(&self) -> Storm {
        let entries = self
            .0
            .iter()
            .filter(|(_, name)| {
                ["asm_exc_", "asm_sysvec_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
                    || WITH_VECTOR.contains(&name.as_str())
            })
            .map(|(address, name)| Entry {
                address: *address,
                rip_offset: if WITH_ERROR_CODE.contains(&name.as_str())
                    || WITH_VECTOR.contains(&name.as_str())
                {
                    8
                } else {
                    0
                },
                vector: match name.as_str() {
                    "asm_exc_nmi" => Vector::Nmi,
                    "asm_exc_machine_check" => Vector::MachineCheck,
                    "asm_exc_debug" => Vector::Debug,
                    _ => Vector::None,
                },
            })
            .collect();
        Storm {
            entries,
            ..Storm::default()
        }
    }

    /// The routines of a home in the section of windows.
    fn windows(&self, home: Home) -> Result<Vec<Range>> {
        self.in_section(|name| name.ends_with(home.suffix()))
    }

    /// The routines in the section of windows that choose one.
    fn choices(&self) -> Result<Vec<Range>> {
        self.in_section(|name| CHOICES.contains(&name))
    }

    fn in_section(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Range>> {
        let section =
            self.address("__tresor_window_start")?..self.address("__tresor_window_end")?;
        self.0
            .iter()
            .filter(|(address, name)| {
                section.contains(address) && name.starts_with("tresor_") && wanted(name)
            })
            .map(|(_, name)| self.range(name))
            .collect()
    }

    /// The window routines and the engines of a class, to be interrupted: XTS, the other modes, and what makes S of a pass phrase.
    pub fn storm(&self, class: Class, home: Home) -> Result<Storm> {
        let mut engines = Vec::new();
        for direction in ["enc", "dec"] {
            for bits in [128, 256] {
                let name = format!("tresor_xts_{}_{direction}_{bits}", class.name());
                engines.push(self.range(&name)?);
            }
        }
        // The one that is fastest of those that this class can run.
        let modes = match class {
            Class::Ssse3 => "ssse3",
            _ => "aesni",
        };
        for bits in [128, 192, 256] {
            for mode in ["ecb", "cbc", "essiv_cbc"] {
                for direction in ["enc", "dec"] {
                    engines.push(self.range(&format!("tresor_{mode}_{modes}_{direction}_{bits}"))?);
                }
            }
            engines.push(self.range(&format!("tresor_ctr_{modes}_{bits}"))?);
        }
        for name in UNLOCK {
            engines.push(self.range(name)?);
        }
        Ok(Storm {
            windows: self.windows(home)?,
            choices: self.choices()?,
            engines,
            ..self.quiet()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
ffffffff81001280 T asm_exc_page_fault
ffffffff810019d0 T asm_exc_nmi
ffffffff810013c0 T asm_common_interrupt
ffffffff81200000 T __tresor_window_start
ffffffff81200004 T tresor_load_s
ffffffff81200010 T tresor_load_s_dr
ffffffff81200060 T tresor_store_s_dr
ffffffff81200080 T tresor_store_s_mce
ffffffff812000a0 T __tresor_window_end
";

    #[test]
    fn names_and_ranges() {
        let symbols = Symbols::parse(MAP);
        assert_eq!(symbols.name(0xffffffff81200012), "tresor_load_s_dr+0x2");
        assert!(symbols.name(0x5555_0000_1234).contains("user space"));
        assert!(symbols.name(1).contains("user space"));
        let range = symbols.range("tresor_store_s_dr").expect("range");
        assert_eq!((range.start & 0xfff, range.end & 0xfff), (0x60, 0x80));
        assert!(symbols.range("missing").is_err());
    }

    #[test]
    fn windows_are_all_routines_of_the_home_in_the_section() {
        let of = |home| {
            let windows = Symbols::parse(MAP).windows(home).expect("windows");
            let names = windows.into_iter().map(|range| range.name);
            names.collect::<Vec<_>>()
        };
        assert_eq!(
            of(Home::DebugRegisters),
            ["tresor_load_s_dr", "tresor_store_s_dr"]
        );
        assert_eq!(of(Home::MachineCheck), ["tresor_store_s_mce"]);
        let choices = Symbols::parse(MAP).choices().expect("choices");
        assert_eq!(choices.len(), 1);
        assert_eq!(choices[0].name, "tresor_load_s");
    }

    #[test]
    fn the_return_address_is_where_each_kind_of_handler_finds_it() {
        let entries = Symbols::parse(MAP).quiet().entries;
        let of = |address: u64| {
            entries
                .iter()
                .find(|entry| entry.address & 0xffff == address)
        };
        assert_eq!(of(0x1280).map(|entry| entry.rip_offset), Some(8));
        assert_eq!(of(0x13c0).map(|entry| entry.rip_offset), Some(8));
        let nmi = of(0x19d0).expect("NMI");
        assert_eq!((nmi.rip_offset, nmi.vector), (0, Vector::Nmi));
    }
}
