// SPDX-License-Identifier: GPL-2.0

//! Whether this machine has what the protection rests on.
//!
//! The words, and what they mean, are in the core's `machine`.

#[cfg(any(CONFIG_PCI, CONFIG_SYSFS))]
use core::ptr;
use kernel::{
    bindings,
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    str::BStr, //
};

use super::{
    cpu_has,
    parameter, //
};
use crate::machine::{
    required,
    Property, //
};

/// Command line parameter: properties without which no key is taken, comma-separated.
const REQUIRE_PARAMETER: &[u8] = b"tresor.require";

/// Whether this machine has a property; `None` if the kernel cannot tell.
///
/// Context: process context, may sleep; after the devices are there.
fn has(property: Property) -> Option<bool> {
    Some(match property {
        Property::BareMetal => !cpu_has(bindings::X86_FEATURE_HYPERVISOR),
        Property::Iommu => has_iommu(),
        Property::Mitigations => return no_open_bug(),
        Property::NoSmt => !smt_is_on(),
        // Only security modules know, and they do not tell drivers its level.
        Property::Lockdown => return None,
        Property::SignedModules => {
            !cfg!(CONFIG_MODULES) || cfg!(CONFIG_MODULE_SIG_FORCE) || is_yes(b"module.sig_enforce")
        }
        // Such modules are loaded later than this is asked.
        Property::OwnRegisters => return None,
        Property::NoKexec => !cfg!(CONFIG_KEXEC_CORE),
        Property::NoHibernation => !cfg!(CONFIG_HIBERNATION) || parameter::has_word(b"nohibernate"),
        Property::NoKdump => parameter::value(b"crashkernel").is_none(),
        Property::NoDevMem => !cfg!(CONFIG_DEVMEM) || cfg!(CONFIG_STRICT_DEVMEM),
        Property::MemoryEncryption => {
            cpu_has(bindings::X86_FEATURE_TME)
                || (cpu_has(bindings::X86_FEATURE_SME)
                    && parameter::value(b"mem_encrypt") == Some(b"on"))
        }
    })
}

/// Whether a parameter of the command line is there and not negative, as kstrtobool() has it.
fn is_yes(name: &[u8]) -> bool {
    parameter::has_word(name)
        || parameter::value(name).is_some_and(|value| matches!(value, b"1" | b"y" | b"Y" | b"on"))
}

/// Whether two threads share a core.
fn smt_is_on() -> bool {
    #[cfg(CONFIG_HOTPLUG_SMT)]
    {
        // SAFETY: An integer that is written at boot and by sysfs.
        let control = unsafe { (&raw const bindings::cpu_smt_control).read_volatile() };
        control == bindings::cpuhp_smt_control_CPU_SMT_ENABLED
    }
    #[cfg(not(CONFIG_HOTPLUG_SMT))]
    // SAFETY: An integer that is written at boot.
    unsafe {
        bindings::__max_threads_per_core > 1
    }
}

/// Whether an IOMMU stands before any PCI device.
fn has_iommu() -> bool {
    /// Not 0, which ends the search, for a device that is behind one.
    ///
    /// # Safety
    ///
    /// `device` must be valid.
    #[cfg(CONFIG_PCI)]
    unsafe extern "C" fn is_behind(device: *mut bindings::device, _: *mut c_void) -> c_int {
        // SAFETY: By the safety requirement.
        c_int::from(unsafe { !(*device).iommu_group.is_null() })
    }

    #[cfg(CONFIG_PCI)]
    // SAFETY: `is_behind` is called with the devices of the bus, which are valid meanwhile.
    return unsafe {
        bindings::bus_for_each_dev(
            &raw const bindings::pci_bus_type,
            ptr::null_mut(),
            ptr::null_mut(),
            Some(is_behind),
        ) != 0
    };
    #[cfg(not(CONFIG_PCI))]
    false
}

/// Asks the kernel for what it shows in /sys/devices/system/cpu/vulnerabilities: whether none of
/// the bugs that let registers be read is open. `None` if it does not show that, or without memory.
fn no_open_bug() -> Option<bool> {
    #[cfg(not(CONFIG_SYSFS))]
    return None;
    #[cfg(CONFIG_SYSFS)]
    {
        type Show = unsafe extern "C" fn(
            *mut bindings::device,
            *mut bindings::device_attribute,
            *mut c_char,
        ) -> isize;
        const BUGS: [Show; 7] = [
            bindings::cpu_show_meltdown,
            bindings::cpu_show_l1tf,
            bindings::cpu_show_mds,
            bindings::cpu_show_tsx_async_abort,
            bindings::cpu_show_mmio_stale_data,
            bindings::cpu_show_gds,
            bindings::cpu_show_reg_file_data_sampling,
        ];
        const OPEN: &[u8] = b"Vulnerable";
        // A page, aligned as one, which is what these functions want.
        let mut page = KBox::new([0u8; PAGE_SIZE], GFP_KERNEL).ok()?;
        for show in BUGS {
            // SAFETY: They write a line into the page and do not look at the device.
            let len = unsafe { show(ptr::null_mut(), ptr::null_mut(), page.as_mut_ptr().cast()) };
            let len = usize::try_from(len).ok()?;
            if page.get(..len)?.starts_with(OPEN) {
                return Some(false);
            }
        }
        Some(true)
    }
}

/// Says in the log what is missing. Context: as [`has`].
pub(crate) fn report() {
    for property in Property::ALL {
        if has(property) == Some(false) {
            pr_warn!(
                "machine: not {}: {}; {}\n",
                property.name(),
                property.missing(),
                property.advice()
            );
        }
    }
}

/// Fails with `EPERM`, and says why, unless the machine has all that `tresor.require=` names. A
/// name that is none, or of something that the kernel cannot tell, is never fulfilled.
///
/// Context: as [`has`].
pub(crate) fn check_required() -> Result {
    let Some(list) = parameter::value(REQUIRE_PARAMETER) else {
        return Ok(());
    };
    let mut result = Ok(());
    let mut refuse = |name: &BStr, why: fmt::Arguments<'_>| {
        pr_err!("no key is taken: tresor.require={}: {}\n", name, why);
        result = Err(EPERM);
    };
    for property in required(list) {
        match property {
            Ok(property) => {
                let name = BStr::from_bytes(property.name().as_bytes());
                match has(property) {
                    Some(true) => {}
                    Some(false) => {
                        refuse(name, fmt!("{}; {}", property.missing(), property.advice()))
                    }
                    None => refuse(name, fmt!("this kernel cannot tell; take it off the list")),
                }
            }
            Err(name) => refuse(
                BStr::from_bytes(name),
                fmt!("there is no such property; see Documentation/admin-guide/tresor.rst"),
            ),
        }
    }
    result
}
