// SPDX-License-Identifier: GPL-2.0

//! The list of all scenarios.

use anyhow::Result;

use super::lab::Lab;
use super::{
    amnesia, bochs, boot, controls, cost, cpu_features, crash_dump, debian, ends, engines, gdb,
    guards, hotplug, kexec, kgdb, kvm, lifecycle, luks, machine, modes, owner, perf, probes, ram,
    recipes, second_factor, setkey, snapshots, storm, suite, typing, volumes, watch,
};
use super::{Scenario, BOCHS};

/// Name, what it does, and with how many CPUs.
type Row = (&'static str, fn(&mut Lab<'_>) -> Result<()>, &'static [u32]);

#[rustfmt::skip]
const IN_QEMU: &[Row] = &[
    ("boot::right_pass_phrase", boot::right_pass_phrase, &[1, 2, 4]),
    ("boot::wrong_three_times_then_right", boot::wrong_three_times_then_right, &[1, 2, 4]),
    ("boot::no_slot_no_prompt", boot::no_slot_no_prompt, &[1, 2, 4]),
    ("boot::ctrl_c", boot::ctrl_c, &[2]),
    ("boot::empty_line", boot::empty_line, &[1]),
    ("boot::damaged_slot", boot::damaged_slot, &[1]),
    ("boot::empty_slot", boot::empty_slot, &[1]),
    ("boot::unknown_slot_version", boot::unknown_slot_version, &[1]),
    ("typing::backspace", typing::backspace, &[1]),
    ("typing::longest", typing::longest, &[1]),
    ("typing::too_long_is_refused", typing::too_long_is_refused, &[1]),
    ("typing::any_bytes", typing::any_bytes, &[1]),
    ("typing::no_echo", typing::no_echo, &[1]),
    ("typing::virtual_terminal", typing::virtual_terminal, &[2]),
    ("typing::prompt_after_log_lines", typing::prompt_after_log_lines, &[2]),
    ("cpu::self_tests_passed", cpu_features::self_tests_passed, &[2]),
    ("cpu::without_sha_ni", cpu_features::without_sha_ni, &[2]),
    ("cpu::without_aes_ni", cpu_features::without_aes_ni, &[1]),
    ("cpu::without_ssse3", cpu_features::without_ssse3, &[1]),
    ("engines::each_reads_what_another_wrote", engines::each_reads_what_another_wrote, &[2]),
    ("modes::cbc_of_each_class", modes::cbc_of_each_class, &[2]),
    ("modes::luks", modes::luks, &[1]),
    ("modes::no_essiv_template", modes::no_essiv_template, &[1]),
    ("cost::instructions", cost::instructions, &[1]),
    ("machine::says_that_it_is_a_guest", machine::says_that_it_is_a_guest, &[1]),
    ("machine::require", machine::require, &[2]),
    ("volume::aes128_512", volumes::aes128_512, &[1]),
    ("volume::aes128_4096", volumes::aes128_4096, &[2]),
    ("volume::aes256_512", volumes::aes256_512, &[1, 2, 4]),
    ("volume::aes256_4096", volumes::aes256_4096, &[4]),
    ("ram::scan_with_control", ram::scan_with_control, &[1, 2, 4]),
    ("ram::scan_while_locked_does_not_count", ram::scan_while_locked_does_not_count, &[1]),
    ("hotplug::offline_online_under_load", hotplug::offline_online_under_load, &[2, 4]),
    ("hotplug::late_cpu", hotplug::late_cpu, &[2, 4]),
    ("setkey::dm_message_under_load", setkey::dm_message_under_load, &[1, 2, 4]),
    ("owner::breakpoints_are_refused", owner::breakpoints_are_refused, &[2]),
    ("owner::off_gives_breakpoints_back", owner::off_gives_breakpoints_back, &[1]),
    ("ends::reboot", ends::reboot, &[1, 2, 4]),
    ("ends::reboot_without_stopping", ends::reboot_without_stopping, &[2]),
    ("ends::emergency_reboot", ends::emergency_reboot, &[2]),
    ("ends::power_off", ends::power_off, &[2]),
    ("ends::halt", ends::halt, &[2]),
    ("ends::panic_that_reboots", ends::panic_that_reboots, &[2]),
    ("ends::panic_before_vectors", ends::panic_before_vectors, &[1]),
    ("ends::panic_that_hangs", ends::panic_that_hangs, &[1, 4]),
    ("ends::panic_after_notifiers", ends::panic_after_notifiers, &[2]),
    ("ends::off_keeps_until_reset", ends::off_keeps_until_reset, &[2]),
    ("owner::gdb", gdb::watchpoints, &[2]),
    ("kvm::virtual_machines_under_load", kvm::virtual_machines_under_load, &[2]),
    ("kvm::off", kvm::off, &[2]),
    ("owner::kgdb", kgdb::leaves_the_secret, &[2]),
    ("owner::off_kgdb", kgdb::off_has_breakpoints, &[1]),
    ("setkey::luks_under_load", setkey::luks_under_load, &[2]),
    ("storm::nmi_avx", storm::nmi_avx, &[2]),
    ("storm::nmi_aesni", storm::nmi_aesni, &[2]),
    ("storm::nmi_ssse3", storm::nmi_ssse3, &[2]),
    ("storm::machine_check", storm::machine_check, &[2]),
    ("storm::debug", storm::debug, &[2]),
    ("storm::control_cleared", storm::control_cleared, &[1]),
    ("watch::avx", watch::avx, &[1, 2]),
    ("watch::aesni", watch::aesni, &[1, 2]),
    ("watch::ssse3", watch::ssse3, &[1, 2]),
    ("watch::control_stock_aes", watch::controls::stock_aes, &[1]),
    ("watch::control_self_tests", watch::controls::self_tests, &[1]),
    ("perf::precise_events_are_refused", perf::precise_events_are_refused, &[1]),
    ("snapshots::checkpoints", snapshots::checkpoints, &[2]),
    ("guards::nmi_in_load", guards::nmi_in_load, &[1]),
    ("guards::machine_check_in_load", guards::machine_check_in_load, &[1]),
    ("guards::debug_exception_in_load", guards::debug_exception_in_load, &[1]),
    ("guards::nmi_in_store", guards::nmi_in_store, &[1]),
    ("controls::nmi_unguarded", guards::nmi_unguarded, &[1]),
    ("controls::exceptions_unguarded", guards::exceptions_unguarded, &[1]),
    ("controls::stores_are_seen", watch::controls::channels, &[1]),
    ("controls::storm", storm::without_guards, &[2]),
    ("controls::leaks_are_found", controls::leaks_are_found, &[1]),
    ("newer_qemu::watch", watch::newer_qemu::whole_life, &[2]),
    ("newer_qemu::control_frames", watch::newer_qemu::control_frames, &[1]),
    ("controls::keeps_at_end", ends::keeps_at_end, &[2]),
    ("controls::keeps_offline", lifecycle::cpus::keeps_offline, &[2]),
    ("lifecycle::lock_under_load", lifecycle::lock_under_load, &[1, 2, 4]),
    ("lifecycle::lock_under_load_inline", lifecycle::lock_under_load_inline, &[1, 2]),
    ("lifecycle::answers_of_unlock", lifecycle::answers_of_unlock, &[2]),
    ("lifecycle::lock_and_fail", lifecycle::lock_and_fail, &[2]),
    ("lifecycle::sysrq_wipe", lifecycle::sysrq_wipe, &[2, 4]),
    ("lifecycle::writers_wait_in_bounded_memory", lifecycle::writers_wait_in_bounded_memory, &[2]),
    ("lifecycle::hammer", lifecycle::hammer, &[2]),
    ("lifecycle::sleep", lifecycle::sleep::cycles, &[1, 2, 4]),
    ("lifecycle::sleep_unlocked_by_program", lifecycle::sleep::unlocked_by_program, &[2]),
    ("lifecycle::sleep_with_agent", lifecycle::agent::asks, &[2]),
    ("lifecycle::cpu_storm", lifecycle::cpus::storm, &[4]),
    ("lifecycle::uevents", lifecycle::uevents::told, &[2]),
    ("lifecycle::soak", lifecycle::soak::few_steps, &[lifecycle::soak::CPUS_OF_FEW]),
    ("lifecycle::hibernation", lifecycle::hibernation::cycles, &[2]),
    ("lifecycle::hibernation_control", lifecycle::hibernation::not_refused_without_slot, &[1]),
    ("checked::whole_life", lifecycle::checked::whole_life, &[2]),
    ("probes::keep_out", probes::keep_out, &[2]),
    ("next_kernel::kexec", kexec::restart, &[2]),
    ("next_kernel::kexec_on_crash", kexec::crash, &[2]),
    ("next_kernel::kexec_load", kexec::restart_older, &[2]),
    ("next_kernel::kexec_load_on_crash", kexec::crash_older, &[2]),
    ("next_kernel::kexec_linux", kexec::linux, &[2]),
    ("next_kernel::off_keeps_until_init", kexec::off_keeps_until_init, &[2]),
    ("next_kernel::off_keeps_in_crash", kexec::off_keeps_in_crash, &[2]),
    ("next_kernel::crash_dump", crash_dump::crash_dump, &[2]),
    ("amnesia::recover", luks::recover, &[2]),
    ("amnesia::release", luks::release, &[1]),
    ("amnesia::adopt", luks::adopt, &[2]),
    ("amnesia::luks", amnesia::luks, &[2]),
    ("amnesia::luks_cryptsetup_2_7", amnesia::luks, &[2]),
    ("amnesia::adopt_cryptsetup_2_7", luks::adopt, &[2]),
    ("amnesia::release_cryptsetup_2_7", luks::release, &[1]),
    ("amnesia::luks_cryptsetup_2_8", amnesia::luks, &[2]),
    ("amnesia::adopt_cryptsetup_2_8", luks::adopt, &[2]),
    ("amnesia::release_cryptsetup_2_8", luks::release, &[1]),
    ("amnesia::wrapped_keys", amnesia::wrapped_keys, &[1]),
    ("amnesia::watched", amnesia::watched, &[1]),
    ("debian::encrypted_root", debian::encrypted_root, &[2]),
    ("debian::other_ways", debian::other_ways, &[2]),
    ("amnesia::commands", luks::commands::commands, &[2]),
    ("amnesia::msr_home", amnesia::msr_home, &[2]),
    ("amnesia::msr_sleep", amnesia::msr_sleep, &[2]),
    ("amnesia::msr_ends", amnesia::msr_ends, &[2]),
    ("amnesia::msr_guards", amnesia::msr_guards, &[1]),
    ("amnesia::msr_storm", amnesia::msr_storm, &[2]),
    ("amnesia::msr_watched", amnesia::msr_watched, &[1]),
    ("amnesia::msr_refused", amnesia::msr_refused, &[2]),
    ("amnesia::commands_cryptsetup_2_8", luks::commands::commands, &[2]),
    ("amnesia::recipes", recipes::recipes, &[2]),
    ("amnesia::second_factor", second_factor::tpm2, &[2]),
    ("amnesia::cryptsetup_suite", suite::quick, &[2]),
    ("amnesia::cryptsetup_suite_control", suite::control, &[2]),
    ("amnesia::whole_cryptsetup_suite", suite::whole, &[2]),
];

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (name, run, cpu_counts) in IN_QEMU {
        for &cpus in *cpu_counts {
            all.push(Scenario {
                name: format!("qemu::{name}_{cpus}cpu"),
                run: *run,
                cpus,
            });
        }
    }
    let mut in_bochs = |name: &str, run: fn(&mut Lab<'_>) -> Result<()>| {
        all.push(Scenario {
            name: format!("{BOCHS}{name}"),
            run,
            cpus: 1,
        });
    };
    in_bochs("avx512", bochs::avx512);
    in_bochs("avx512vl", bochs::avx512vl);
    in_bochs("vaes", bochs::vaes);
    in_bochs("counters_intel", bochs::intel);
    in_bochs("counters_too_narrow", bochs::too_narrow);
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
