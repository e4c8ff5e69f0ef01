// SPDX-License-Identifier: GPL-2.0
//! Failures that scripts may want to tell apart, and their exit codes.

use std::fmt;

use tresor::kdf::PASS_PHRASE_MAX;

/// A failure with an exit code of its own. All others exit with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The pass phrase does not fit the slot.
    WrongPassPhrase,
    /// There is no `/dev/tresor`.
    NoDriver,
    /// No permission.
    NotRoot,
    /// No slot on the kernel command line, and none given.
    NoSlot,
    /// A slot of another S than the first one of this boot, or unlocked with another slot.
    OtherSecret,
    /// Another program, or SysRq-x, has locked the machine meanwhile.
    LockedMeanwhile,
    /// Nothing was typed: the kernel's prompt would go on without a key.
    NoPassPhrase,
}

impl Failure {
    /// The exit code.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::WrongPassPhrase => 2,
            Self::NoDriver => 3,
            Self::NotRoot => 4,
            Self::NoSlot => 5,
            Self::OtherSecret => 6,
            Self::LockedMeanwhile => 7,
            Self::NoPassPhrase => 8,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongPassPhrase => "wrong pass phrase",
            Self::NoDriver => {
                "there is no /dev/tresor: the running kernel is not one with the tresor driver, or the \
                 CPU is not fit for it (dmesg | grep tresor)"
            }
            Self::NotRoot => "/dev/tresor is for root only; use sudo",
            Self::NoSlot => {
                "there is no good slot on the kernel command line (tresor.slot=); give one with --slot or --slot-file"
            }
            Self::OtherSecret => {
                "this slot has another secret than the one that open volumes need since the boot: use a \
                 slot of that secret, or reboot; or the machine is unlocked with another slot (tresorctl \
                 status)"
            }
            Self::NoPassPhrase => {
                return write!(
                    f,
                    "the pass phrase is empty; the kernel's prompt takes 1 to {PASS_PHRASE_MAX} bytes"
                )
            }
            Self::LockedMeanwhile => "the machine was locked again meanwhile; unlock once more",
        })
    }
}

impl std::error::Error for Failure {}
