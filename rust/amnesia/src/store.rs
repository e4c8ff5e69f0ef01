// SPDX-License-Identifier: GPL-2.0

//! Where the register secret S lives: the choice between the debug registers and model-specific
//! registers, and the values with which a register shows that it keeps what is written to it.
//!
//! Which registers these are is in `msr-home.h`, for C and assembly.

/// What the command line asks for: `tresor.store=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// `dr`, the default: DR0-DR3.
    DebugRegisters,
    /// `msr`: performance counters.
    Counters,
    /// `msr:mce`: machine-check banks, in emulators.
    MachineCheck,
}

impl Store {
    /// Reads the value of the parameter; `None` if there is no such store.
    pub fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"dr" => Some(Self::DebugRegisters),
            b"msr" => Some(Self::Counters),
            b"msr:mce" => Some(Self::MachineCheck),
            _ => None,
        }
    }
}

/// A home of S, by its number in `msr-home.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// DR0-DR3.
    DebugRegisters = 0,
    /// ADDR and MISC of two machine-check banks.
    MachineCheck = 1,
    /// The performance counters of Intel's CPUs.
    Intel = 2,
    /// Those of AMD's.
    Amd = 3,
}

impl Home {
    /// What it is, in a log.
    pub fn name(self) -> &'static str {
        match self {
            Self::DebugRegisters => "debug registers",
            Self::MachineCheck => "machine-check banks",
            Self::Intel | Self::Amd => "performance counters",
        }
    }
}

/// Who made a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Intel.
    Intel,
    /// AMD, or Hygon, whose CPUs are AMD's design.
    Amd,
    /// Anybody else.
    Other,
}

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Who made its CPUs.
    pub vendor: Vendor,
    /// There is a hypervisor, or an emulator.
    pub is_guest: bool,
    /// It is a guest whose registers are hidden from its hypervisor: an access to a model-specific
    /// register may be an exception there, which would store general registers.
    pub is_encrypted: bool,
}

/// Why a store cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no profile for CPUs of this vendor.
    Vendor,
    /// Machine-check banks of a real CPU.
    BareMetal,
    /// In an encrypted guest.
    Encrypted,
}

impl Refusal {
    /// In words, with what to do.
    pub fn text(self) -> &'static str {
        match self {
            Self::Vendor => "only performance counters of Intel and AMD are known; use dr",
            Self::BareMetal => {
                "real CPUs may write and clear machine-check banks: msr:mce is for tests in \
                 emulators; use msr or dr"
            }
            Self::Encrypted => "an encrypted guest cannot rely on these registers; use dr",
        }
    }
}

/// The home for a store on a machine, if its registers turn out to be there.
pub fn choose(store: Store, machine: Machine) -> Result<Home, Refusal> {
    if store == Store::DebugRegisters {
        return Ok(Home::DebugRegisters);
    }
    if machine.is_encrypted {
        return Err(Refusal::Encrypted);
    }
    match (store, machine.vendor) {
        (Store::MachineCheck, _) if machine.is_guest => Ok(Home::MachineCheck),
        (Store::MachineCheck, _) => Err(Refusal::BareMetal),
        (_, Vendor::Intel) => Ok(Home::Intel),
        (_, Vendor::Amd) => Ok(Home::Amd),
        (_, Vendor::Other) => Err(Refusal::Vendor),
    }
}

/// How many rounds of [`pattern`] there are.
pub const ROUNDS: u32 = 4;

/// What is written to register `index` of a home in a round, before all of them are read back.
///
/// Every bit is set in one round and clear in another, and in each round but the last, which
/// empties them, all registers get different values: one that is another one's second name is
/// noticed. `width` is 1 to 64.
pub fn pattern(round: u32, index: u32, width: u32) -> u64 {
    let mask = u64::MAX >> 64_u32.saturating_sub(width).min(63);
    let own = 0x0123_4567_89ab_cdef_u64.rotate_left(index.wrapping_mul(11) & 63);
    let value = match round {
        0 => own,
        1 => !own,
        2 => own.rotate_left(29),
        _ => 0,
    };
    value & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine {
        vendor: Vendor::Intel,
        is_guest: false,
        is_encrypted: false,
    };

    #[test]
    fn stores_have_their_names_and_no_others() {
        assert_eq!(Store::parse(b"dr"), Some(Store::DebugRegisters));
        assert_eq!(Store::parse(b"msr"), Some(Store::Counters));
        assert_eq!(Store::parse(b"msr:mce"), Some(Store::MachineCheck));
        for other in [&b""[..], b"mce", b"MSR", b"msr:", b"msr:mce ", b"drx"] {
            assert_eq!(Store::parse(other), None);
        }
    }

    #[test]
    fn debug_registers_are_taken_anywhere() {
        for is_encrypted in [false, true] {
            let machine = Machine {
                vendor: Vendor::Other,
                is_encrypted,
                ..MACHINE
            };
            assert_eq!(
                choose(Store::DebugRegisters, machine),
                Ok(Home::DebugRegisters)
            );
        }
    }

    #[test]
    fn counters_are_those_of_the_vendor() {
        let of = |vendor| choose(Store::Counters, Machine { vendor, ..MACHINE });
        assert_eq!(of(Vendor::Intel), Ok(Home::Intel));
        assert_eq!(of(Vendor::Amd), Ok(Home::Amd));
        assert_eq!(of(Vendor::Other), Err(Refusal::Vendor));
    }

    #[test]
    fn machine_check_banks_are_refused_on_real_hardware() {
        let of = |is_guest| {
            let machine = Machine {
                is_guest,
                ..MACHINE
            };
            choose(Store::MachineCheck, machine)
        };
        assert_eq!(of(true), Ok(Home::MachineCheck));
        assert_eq!(of(false), Err(Refusal::BareMetal));
    }

    #[test]
    fn no_model_specific_register_in_an_encrypted_guest() {
        let machine = Machine {
            is_guest: true,
            is_encrypted: true,
            ..MACHINE
        };
        for store in [Store::Counters, Store::MachineCheck] {
            assert_eq!(choose(store, machine), Err(Refusal::Encrypted));
        }
    }

    #[test]
    fn patterns_try_every_bit_and_tell_registers_apart() {
        for (width, registers) in [(64, 4), (48, 6)] {
            let mask = u64::MAX >> (64 - width);
            for index in 0..registers {
                let values = (0..ROUNDS).map(|round| pattern(round, index, width));
                let (set, clear) = values.fold((0, 0), |(set, clear), value| {
                    (set | value, clear | !value & mask)
                });
                assert_eq!((set, clear), (mask, mask), "{width} bits, register {index}");
                for other in 0..index {
                    for round in 0..ROUNDS - 1 {
                        assert_ne!(pattern(round, index, width), pattern(round, other, width));
                    }
                }
                assert_eq!(pattern(ROUNDS - 1, index, width), 0);
            }
        }
    }
}
