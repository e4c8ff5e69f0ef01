// SPDX-License-Identifier: GPL-2.0
//! The driver's device, `/dev/tresor`.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{anyhow, Context};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{ioctl, Opcode, Updater};
use tresor::uapi::{self, wrap, Agent, Lock, Status, Unlock};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The open device.
pub(crate) struct Device {
    file: OwnedFd,
}

impl Device {
    /// Opens it.
    pub(crate) fn open() -> anyhow::Result<Self> {
        Self::open_at(Path::new(uapi::DEVICE))
    }

    fn open_at(path: &Path) -> anyhow::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => Ok(Self { file }),
            Err(Errno::NOENT | Errno::NXIO | Errno::NODEV) => Err(Failure::NoDriver.into()),
            Err(Errno::PERM | Errno::ACCESS) => Err(Failure::NotRoot.into()),
            Err(error) => Err(io::Error::from(error))
                .with_context(|| format!("cannot open {}", path.display())),
        }
    }

    /// The state of the driver.
    pub(crate) fn status(&self) -> anyhow::Result<Status> {
        let mut bytes = Status::question();
        self.call::<{ uapi::STATUS }, _>(&mut bytes)
            .map_err(|error| refused(error, "status"))?;
        Status::decode(&bytes).map_err(|_| other_version())
    }

    /// Makes S of a pass phrase, with the machine's slot if `slot` is empty. `stretched`: it is not what
    /// a person types.
    pub(crate) fn unlock(
        &self,
        slot: &str,
        pass_phrase: &[u8],
        stretched: bool,
    ) -> anyhow::Result<()> {
        let call = Unlock {
            slot: slot.as_ptr() as u64,
            slot_len: slot.len(),
            pass_phrase: pass_phrase.as_ptr() as u64,
            pass_phrase_len: pass_phrase.len(),
            stretched,
        };
        self.call::<{ uapi::UNLOCK }, _>(&mut call.encode())
            .map_err(|error| match error {
                Errno::KEYREJECTED => Failure::WrongPassPhrase.into(),
                Errno::NOENT => Failure::NoSlot.into(),
                Errno::EXIST => Failure::OtherSecret.into(),
                Errno::CANCELED => Failure::LockedMeanwhile.into(),
                // The device could be opened, so this is root.
                Errno::PERM => anyhow!(
                    "the kernel takes no key: the machine lacks what tresor.require= names \
                     (`tresorctl doctor`, dmesg)"
                ),
                Errno::BADMSG => anyhow!(
                    "the driver finds the slot damaged, or it would give an empty secret; \
                     copy it again, or make a new one with `tresorctl slot new`"
                ),
                Errno::IO => anyhow!(
                    "no CPU keeps a key in its debug registers: is this a virtual machine whose host \
                     does not give real ones?"
                ),
                other => refused(other, "unlock"),
            })
    }

    /// Takes S away; requests wait, or fail.
    pub(crate) fn lock(&self, fail: bool) -> anyhow::Result<()> {
        self.call::<{ uapi::LOCK }, _>(&mut Lock { fail }.encode())
            .map_err(|error| refused(error, "lock"))
    }

    /// A call of the agent.
    pub(crate) fn agent(&self, call: Agent) -> anyhow::Result<()> {
        self.call::<{ uapi::AGENT }, _>(&mut call.encode())
            .map_err(|error| match error {
                Errno::NODEV => anyhow!(
                    "the kernel asks for the pass phrase itself: put tresor.prompt=agent on its \
                     command line"
                ),
                Errno::BUSY => anyhow!("another program asks for the pass phrase already"),
                Errno::NOMEM => {
                    anyhow!("the driver finds that not all memory of the agent is locked")
                }
                other => refused(other, "the agent"),
            })
    }

    /// A wrapped handle with a fresh key of this kind, made in registers.
    pub(crate) fn wrap_fresh(&self, kind: u8) -> anyhow::Result<[u8; wrap::HANDLE]> {
        let mut bytes = wrap::fresh_question(kind);
        self.call::<{ uapi::WRAP_FRESH }, _>(&mut bytes)
            .map_err(|error| refused(error, "to make a key"))?;
        Ok(wrap::handle_of_fresh(&bytes))
    }

    /// A wrapped handle of the first bytes of `key`, made in registers.
    pub(crate) fn wrap_key(
        &self,
        kind: u8,
        key: &[u8; wrap::KEY],
    ) -> anyhow::Result<[u8; wrap::HANDLE]> {
        let mut bytes = Zeroizing::new(wrap::key_question(kind, key));
        self.call::<{ uapi::WRAP_KEY }, _>(&mut bytes)
            .map_err(|error| refused(error, "to wrap a key"))?;
        Ok(wrap::handle_of_key(&bytes))
    }

    /// Whether a wrapped handle is one of this machine's key; an error if not.
    pub(crate) fn verify(&self, handle: &[u8; wrap::HANDLE]) -> anyhow::Result<()> {
        self.call::<{ uapi::VERIFY }, _>(&mut wrap::verify_question(handle))
            .map_err(|error| match error {
                Errno::KEYREJECTED => {
                    anyhow!("the handle is wrapped under another secret than this machine has")
                }
                other => refused(other, "to verify a handle"),
            })
    }

    fn call<const NUMBER: Opcode, const N: usize>(&self, bytes: &mut [u8; N]) -> Result<(), Errno> {
        // SAFETY: the number says which size the structure has, and `N` is that size in each of the
        // calls above. The kernel reads and writes nothing but that, and reads the slot and
        // the pass phrase, whose addresses and lengths are in it and which outlive the call.
        unsafe { ioctl(&self.file, Updater::<NUMBER, _>::new(bytes)) }
    }
}

fn refused(error: Errno, what: &str) -> anyhow::Error {
    match error {
        Errno::PERM => Failure::NotRoot.into(),
        Errno::BUSY => anyhow!("the driver is busy with another program's call; try again"),
        Errno::INTR => anyhow!("interrupted; nothing was changed"),
        Errno::NOKEY => anyhow!("the machine is locked: `tresorctl unlock` first"),
        Errno::NOTTY | Errno::OPNOTSUPP => other_version(),
        other => anyhow!(io::Error::from(other)).context(format!("the driver refused {what}")),
    }
}

fn other_version() -> anyhow::Error {
    anyhow!(
        "the driver of the running kernel has another version than this program; use the tresorctl \
         that was built with the kernel"
    )
}
