// SPDX-License-Identifier: GPL-2.0

//! What the protection rests on beside a key that stays in registers: properties of the machine
//! that the driver cannot give it.
//!
//! The kernel says at boot which of them are missing, and takes no key without those that
//! `tresor.require=` names; `tresorctl doctor` shows all. Both take names and words from here.

/// A property that a machine should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// No hypervisor below.
    BareMetal,
    /// Devices reach only the memory that they were given.
    Iommu,
    /// One thread per core.
    NoSmt,
    /// No CPU bug that the kernel knows is open.
    Mitigations,
    /// Root cannot change the running kernel.
    Lockdown,
    /// Only signed modules are loaded.
    SignedModules,
    /// No module runs virtual machines on the debug registers without asking for them.
    OwnRegisters,
    /// No other kernel can be started without a reset.
    NoKexec,
    /// RAM is never written to a disk.
    NoHibernation,
    /// No kernel waits to dump the memory of this one.
    NoKdump,
    /// User space cannot read all memory.
    NoDevMem,
    /// What is in the memory chips is encrypted.
    MemoryEncryption,
}

impl Property {
    /// All of them, what matters most first.
    pub const ALL: [Self; 12] = [
        Self::BareMetal,
        Self::Iommu,
        Self::Mitigations,
        Self::NoSmt,
        Self::Lockdown,
        Self::SignedModules,
        Self::OwnRegisters,
        Self::NoKexec,
        Self::NoHibernation,
        Self::NoKdump,
        Self::NoDevMem,
        Self::MemoryEncryption,
    ];

    /// Its name in `tresor.require=` and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BareMetal => "bare-metal",
            Self::Iommu => "iommu",
            Self::Mitigations => "mitigations",
            Self::NoSmt => "no-smt",
            Self::Lockdown => "lockdown",
            Self::SignedModules => "signed-modules",
            Self::OwnRegisters => "own-registers",
            Self::NoKexec => "no-kexec",
            Self::NoHibernation => "no-hibernation",
            Self::NoKdump => "no-kdump",
            Self::NoDevMem => "no-dev-mem",
            Self::MemoryEncryption => "memory-encryption",
        }
    }

    /// What it means that the machine does not have it.
    pub const fn missing(self) -> &'static str {
        match self {
            Self::BareMetal => "this is a guest: its hypervisor can read the registers",
            Self::Iommu => "a device can read all RAM, and write code into it that reads the key",
            Self::Mitigations => "programs may read registers of the kernel through a CPU bug",
            Self::NoSmt => "SMT is on: a program on the other thread shares buffers of the CPU",
            Self::Lockdown => "root can load code into the kernel that reads the key",
            Self::SignedModules => "root can load any module, and a module can read the key",
            Self::OwnRegisters => {
                "virtual machines of VirtualBox or VMware load values over the key, and what is \
                 written to the disk then is lost"
            }
            Self::NoKexec => "root can start another kernel, which can look for what is left",
            Self::NoHibernation => "all RAM, open files too, can be written to the disk",
            Self::NoKdump => "a crash writes all RAM, open files too, to a file",
            Self::NoDevMem => "root can read RAM, open files too, through /dev/mem",
            Self::MemoryEncryption => {
                "open files can be read from the memory chips; the key cannot"
            }
        }
    }

    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::BareMetal => "use real hardware, or trust the host",
            Self::Iommu => "turn VT-d or AMD-Vi on in the firmware, and intel_iommu=on",
            Self::Mitigations => "install microcode updates, and do not use mitigations=off",
            Self::NoSmt => "turn it off in the firmware or with nosmt",
            Self::Lockdown => "use lockdown=confidentiality",
            Self::SignedModules => "use module.sig_enforce=1",
            Self::OwnRegisters => "unload vboxdrv and vmmon, and use KVM; or boot with tresor=off",
            Self::NoKexec => "set the sysctl kernel.kexec_load_disabled=1, or build without KEXEC",
            Self::NoHibernation => "use nohibernate",
            Self::NoKdump => "take crashkernel= off the command line",
            Self::NoDevMem => "build without DEVMEM, or with STRICT_DEVMEM",
            Self::MemoryEncryption => {
                "turn TME or TSME on in the firmware, or use mem_encrypt=on; \
                                       TSME cannot be seen from here"
            }
        }
    }
}

/// The properties in a comma-separated list of names, or the name that is none.
pub fn required(list: &[u8]) -> impl Iterator<Item = Result<Property, &[u8]>> {
    list.split(|&byte| byte == b',')
        .filter(|name| !name.is_empty())
        .map(|name| {
            Property::ALL
                .into_iter()
                .find(|property| property.name().as_bytes() == name)
                .ok_or(name)
        })
}

#[cfg(test)]
mod tests {
    use super::{required, Property};
    use std::vec::Vec;

    #[test]
    fn a_list_names_properties_and_strangers_are_told() {
        let found: Vec<_> = required(b"iommu,,bare-metal,fast").collect();
        assert_eq!(
            found,
            [
                Ok(Property::Iommu),
                Ok(Property::BareMetal),
                Err(&b"fast"[..])
            ]
        );
        assert_eq!(required(b"").count(), 0);
    }

    #[test]
    fn every_name_is_found_and_every_text_is_there() {
        for property in Property::ALL {
            let found: Vec<_> = required(property.name().as_bytes()).collect();
            assert_eq!(found, [Ok(property)]);
            assert!(!property.missing().is_empty() && !property.advice().is_empty());
        }
    }
}
