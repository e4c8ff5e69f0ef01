// SPDX-License-Identifier: GPL-2.0
//! Where each property of the machine can be seen.

use tresor::machine::Property;

use super::system::System;
use super::{Finding, State};

/// Looks at all of them.
pub(crate) fn look(system: &System) -> Vec<Finding> {
    Property::ALL
        .into_iter()
        .map(|property| {
            let (state, seen) = one(property, system);
            Finding::new(property, state, seen)
        })
        .collect()
}

fn one(property: Property, system: &System) -> (State, String) {
    match property {
        Property::BareMetal => bare_metal(system),
        Property::Iommu => iommu(system),
        Property::Mitigations => mitigations(system),
        Property::NoSmt => smt(system),
        Property::Lockdown => lockdown(system),
        Property::SignedModules => signed_modules(system),
        Property::OwnRegisters => own_registers(system),
        Property::NoKexec => kexec(system),
        Property::NoHibernation => hibernation(system),
        Property::NoKdump => kdump(system),
        Property::NoDevMem => dev_mem(system),
        Property::MemoryEncryption => memory_encryption(system),
    }
}

fn found(state: State, seen: &str) -> (State, String) {
    (state, seen.to_owned())
}

fn bare_metal(system: &System) -> (State, String) {
    if !system.has_flag("hypervisor") {
        found(State::Ok, "no hypervisor shows itself")
    } else if system.has_flag("tdx_guest") {
        found(
            State::Weak,
            "a guest whose registers TDX keeps from the hypervisor",
        )
    } else if system.exists("dev/sev-guest") {
        found(
            State::Weak,
            "a guest whose registers SEV-SNP keeps from the hypervisor",
        )
    } else {
        found(State::Missing, "a guest, without TDX or SEV-SNP")
    }
}

fn iommu(system: &System) -> (State, String) {
    let groups = system.list("sys/kernel/iommu_groups").unwrap_or_default();
    let of_type = |wanted: &str| {
        let path = |group: &String| format!("sys/kernel/iommu_groups/{group}/type");
        groups
            .iter()
            .filter(|group| system.read(&path(group)).as_deref() == Some(wanted))
            .count()
    };
    let (open, lazy) = (of_type("identity"), of_type("DMA-FQ"));
    match (groups.len(), open, lazy) {
        (0, ..) => found(State::Missing, "off, or there is none"),
        (all, 1.., _) => (State::Missing, format!("{open} of {all} groups of devices pass through it (iommu=pt)")),
        (all, _, 1..) => (
            State::Weak,
            format!("{lazy} of {all} groups keep access for some milliseconds too long (use iommu.strict=1)"),
        ),
        (all, ..) => (State::Ok, format!("{all} groups of devices, strict")),
    }
}

fn mitigations(system: &System) -> (State, String) {
    const DIR: &str = "sys/devices/system/cpu/vulnerabilities";
    let Some(bugs) = system.list(DIR).filter(|bugs| !bugs.is_empty()) else {
        return found(State::Unknown, "the kernel does not tell");
    };
    let open: Vec<_> = bugs
        .iter()
        .filter(|bug| {
            let state = system.read(&format!("{DIR}/{bug}"));
            state.is_some_and(|state| state.starts_with("Vulnerable"))
        })
        .map(String::as_str)
        .collect();
    // Whoever controls the kernel or a hypervisor could turn it off again.
    let unlocked = system.read(&format!("{DIR}/gather_data_sampling"));
    if open.is_empty() && unlocked.as_deref() == Some("Mitigation: Microcode") {
        found(
            State::Weak,
            "that of gather_data_sampling is on, but not locked by the firmware",
        )
    } else if open.is_empty() {
        (
            State::Ok,
            format!("none of {} known bugs is open", bugs.len()),
        )
    } else {
        (State::Missing, format!("open: {}", open.join(", ")))
    }
}

fn smt(system: &System) -> (State, String) {
    match system.read("sys/devices/system/cpu/smt/active").as_deref() {
        Some("0") => found(State::Ok, "off, or the CPU has none"),
        Some("1") => found(State::Missing, "on"),
        _ => found(State::Unknown, "the kernel does not tell"),
    }
}

fn lockdown(system: &System) -> (State, String) {
    match system.lockdown() {
        "confidentiality" => found(State::Ok, "confidentiality"),
        "integrity" => found(
            State::Weak,
            "integrity: root can still read the kernel's memory",
        ),
        _ => found(State::Missing, "none"),
    }
}

fn signed_modules(system: &System) -> (State, String) {
    if !system.exists("proc/modules") {
        found(State::Ok, "this kernel loads no modules")
    } else if system
        .read("sys/module/module/parameters/sig_enforce")
        .as_deref()
        == Some("Y")
    {
        found(State::Ok, "signatures are enforced")
    } else if !["", "none"].contains(&system.lockdown()) {
        found(State::Ok, "lockdown enforces signatures")
    } else {
        found(State::Missing, "signatures are not enforced")
    }
}

/// Modules from outside the kernel tree that write DR0-DR3 of the CPU and know of no owner of them.
const TAKERS: &[(&str, &str)] = &[("vboxdrv", "VirtualBox"), ("vmmon", "VMware")];

fn own_registers(system: &System) -> (State, String) {
    let modules = system.read("proc/modules").unwrap_or_default();
    let loaded = |module: &str| {
        modules
            .lines()
            .any(|line| line.split_whitespace().next() == Some(module))
    };
    let installed = |module: &str| system.has_module(module);
    let named = |is: &dyn Fn(&str) -> bool| {
        let found = TAKERS.iter().filter(|(module, _)| is(module));
        let names: Vec<_> = found
            .map(|(module, product)| format!("{module} ({product})"))
            .collect();
        names.join(", ")
    };
    match (named(&loaded), named(&installed)) {
        (loaded, _) if !loaded.is_empty() => (State::Missing, format!("loaded: {loaded}")),
        (_, installed) if !installed.is_empty() => {
            (State::Weak, format!("installed, not loaded: {installed}"))
        }
        _ => found(State::Ok, "no module of VirtualBox or VMware"),
    }
}

fn kexec(system: &System) -> (State, String) {
    match system
        .read("proc/sys/kernel/kexec_load_disabled")
        .as_deref()
    {
        Some("1") => found(State::Ok, "turned off by sysctl"),
        Some(_) => found(State::Missing, "another kernel can be loaded"),
        None if system.exists("proc/sys/kernel") => found(State::Ok, "not built in"),
        None => found(State::Unknown, "the kernel does not tell"),
    }
}

fn hibernation(system: &System) -> (State, String) {
    match system.read("sys/power/disk") {
        None if !system.exists("sys") => found(State::Unknown, "the kernel does not tell"),
        None => found(State::Ok, "not built in"),
        Some(modes) if modes.contains("[disabled]") => found(State::Ok, "turned off"),
        Some(_) => found(State::Missing, "possible"),
    }
}

fn kdump(system: &System) -> (State, String) {
    // CONFIG_CRASH_DM_CRYPT: each key has a directory among the group's own files.
    let saved = system
        .list("sys/kernel/config/crash_dm_crypt_keys")
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| !["count", "reuse", "restore"].contains(&entry.as_str()))
        .count();
    if saved > 0 {
        (
            State::Missing,
            format!("{saved} volume keys are kept in RAM for a crash kernel (crash_dm_crypt_keys)"),
        )
    } else if system.read("sys/kernel/kexec_crash_loaded").as_deref() == Some("1") {
        found(State::Missing, "a crash kernel is loaded")
    } else if system.cmdline_has("crashkernel=") {
        found(
            State::Missing,
            "memory is reserved for a crash kernel, none is loaded yet",
        )
    } else {
        found(State::Ok, "not configured")
    }
}

fn dev_mem(system: &System) -> (State, String) {
    if !system.exists("dev/mem") {
        found(State::Ok, "there is no /dev/mem")
    } else if !["", "none"].contains(&system.lockdown()) {
        found(State::Ok, "lockdown closes /dev/mem")
    } else if system.config_has("CONFIG_STRICT_DEVMEM=y") {
        found(State::Ok, "/dev/mem does not show RAM")
    } else {
        found(
            State::Missing,
            "/dev/mem is there, and nothing shows that it is restricted",
        )
    }
}

fn memory_encryption(system: &System) -> (State, String) {
    if system.has_flag("tme") {
        found(State::Ok, "TME")
    } else if system.has_flag("sme") && system.cmdline_has("mem_encrypt=on") {
        found(State::Ok, "SME")
    } else {
        found(
            State::Unknown,
            "neither TME nor SME is on; TSME cannot be seen",
        )
    }
}
