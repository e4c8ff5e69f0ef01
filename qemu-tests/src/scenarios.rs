// SPDX-License-Identifier: GPL-2.0

//! The QEMU tests of `cargo xtask test`: each boots a fresh machine, and each expectation in them can fail.

mod boot;
mod cpu_features;
mod engines;
mod hotplug;
mod lab;
mod ram;
mod setkey;
mod typing;
mod volumes;

use std::path::{Path, PathBuf};

use anyhow::{ensure, Result};

use crate::{emulator_bug, initramfs};

/// What every scenario needs.
#[derive(Debug, Clone)]
pub struct Context {
    /// Kernel image (bzImage) with the driver.
    pub kernel: PathBuf,
    /// Root file system of the machines.
    pub initramfs: PathBuf,
    /// Directory for images and logs; each scenario has its own below it.
    pub work_dir: PathBuf,
}

impl Context {
    /// Builds the initramfs in `work_dir`, once for all scenarios.
    pub fn prepare(kernel: &Path, work_dir: &Path) -> Result<Self> {
        ensure!(
            kernel.exists(),
            "there is no kernel at {}: run `cargo xtask kernel build`",
            kernel.display()
        );
        Ok(Self {
            kernel: kernel.into(),
            initramfs: initramfs::build(work_dir)?,
            work_dir: work_dir.into(),
        })
    }
}

/// A test on a machine of its own.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Name with its parts separated by `::`, for example `qemu::boot::right_pass_phrase_2cpu`.
    pub name: String,
    run: fn(&mut lab::Lab<'_>) -> Result<()>,
    cpus: u32,
}

impl Scenario {
    /// Runs it; an error says which expectation failed. Logs are in a directory of its own below the context's.
    pub fn run(&self, context: &Context) -> Result<()> {
        let dir = lab::dir(context, &self.name);
        emulator_bug::retry(&self.name, &dir, || {
            let mut lab = lab::Lab::new(context, &dir, self.cpus)?;
            (self.run)(&mut lab)?;
            lab.clean_up()
        })
    }
}

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    type Test = (
        &'static str,
        fn(&mut lab::Lab<'_>) -> Result<()>,
        &'static [u32],
    );
    let tests: &[Test] = &[
        (
            "boot::right_pass_phrase",
            boot::right_pass_phrase,
            &[1, 2, 4],
        ),
        (
            "boot::wrong_three_times_then_right",
            boot::wrong_three_times_then_right,
            &[1, 2, 4],
        ),
        (
            "boot::no_slot_no_prompt",
            boot::no_slot_no_prompt,
            &[1, 2, 4],
        ),
        ("boot::ctrl_c", boot::ctrl_c, &[2]),
        ("boot::empty_line", boot::empty_line, &[1]),
        ("boot::damaged_slot", boot::damaged_slot, &[1]),
        ("boot::empty_slot", boot::empty_slot, &[1]),
        (
            "boot::unknown_slot_version",
            boot::unknown_slot_version,
            &[1],
        ),
        ("typing::backspace", typing::backspace, &[1]),
        ("typing::longest", typing::longest, &[1]),
        (
            "typing::too_long_is_refused",
            typing::too_long_is_refused,
            &[1],
        ),
        ("typing::any_bytes", typing::any_bytes, &[1]),
        ("typing::no_echo", typing::no_echo, &[1]),
        ("typing::virtual_terminal", typing::virtual_terminal, &[2]),
        (
            "typing::prompt_after_log_lines",
            typing::prompt_after_log_lines,
            &[2],
        ),
        (
            "cpu::self_tests_passed",
            cpu_features::self_tests_passed,
            &[2],
        ),
        ("cpu::without_sha_ni", cpu_features::without_sha_ni, &[2]),
        ("cpu::without_aes_ni", cpu_features::without_aes_ni, &[1]),
        ("cpu::without_ssse3", cpu_features::without_ssse3, &[1]),
        (
            "engines::each_reads_what_another_wrote",
            engines::each_reads_what_another_wrote,
            &[2],
        ),
        ("volume::aes128_512", volumes::aes128_512, &[1]),
        ("volume::aes128_4096", volumes::aes128_4096, &[2]),
        ("volume::aes256_512", volumes::aes256_512, &[1, 2, 4]),
        ("volume::aes256_4096", volumes::aes256_4096, &[4]),
        ("ram::scan_with_control", ram::scan_with_control, &[1, 2, 4]),
        (
            "ram::scan_while_locked_does_not_count",
            ram::scan_while_locked_does_not_count,
            &[1],
        ),
        (
            "hotplug::offline_online_under_load",
            hotplug::offline_online_under_load,
            &[2, 4],
        ),
        ("hotplug::late_cpu", hotplug::late_cpu, &[2, 4]),
        (
            "setkey::dm_message_under_load",
            setkey::dm_message_under_load,
            &[1, 2, 4],
        ),
        ("setkey::luks_under_load", setkey::luks_under_load, &[2]),
    ];
    let mut all = Vec::new();
    for (name, run, cpu_counts) in tests {
        for &cpus in *cpu_counts {
            all.push(Scenario {
                name: format!("qemu::{name}_{cpus}cpu"),
                run: *run,
                cpus,
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_each_kind_runs_with_1_2_and_4_cpus() {
        let all = super::all();
        let names: BTreeSet<_> = all.iter().map(|scenario| &scenario.name).collect();
        assert_eq!(names.len(), all.len());
        for kind in ["boot::", "volume::", "ram::", "setkey::"] {
            for cpus in ["_1cpu", "_2cpu", "_4cpu"] {
                assert!(
                    names
                        .iter()
                        .any(|name| name.contains(kind) && name.ends_with(cpus)),
                    "{kind} {cpus}"
                );
            }
        }
    }
}
