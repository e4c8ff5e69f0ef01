// SPDX-License-Identifier: GPL-2.0

//! `/dev/tresor`: lock, unlock and state for user space.
//!
//! Root only. What a call must look like is in [`uapi`]; here is what it does.

use kernel::{
    bindings,
    fs::File,
    miscdevice::{MiscDevice, MiscDeviceOptions, MiscDeviceRegistration},
    new_mutex,
    prelude::*,
    sync::Mutex,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

use super::{
    agent,
    boot,
    engine,
    lock,
    pass_phrase::{
        PassPhrase,
        VolumeKey, //
    },
    sha256::KernelSha256,
    state::{self, Phase},
    store,
    uevent,
    unlock::{self, Outcome},
    wrapped, //
};
use crate::{
    amnesia::wrapped::{
        Kind,
        Wrapped, //
    },
    slot::{self, Slot},
    uapi::{
        self,
        wrap::Question,
        Malformed, //
    },
};

/// The registered device.
pub(crate) type Registration = Pin<KBox<MiscDeviceRegistration<Session>>>;

/// Makes the device. It must be kept as long as the kernel lives.
///
/// Context: process context, may sleep.
pub(crate) fn register() -> Result<Registration> {
    let options = MiscDeviceOptions { name: c"tresor" };
    let device = KBox::pin_init(MiscDeviceRegistration::register(options), GFP_KERNEL)?;
    // SAFETY: The device was registered just now, and the caller keeps it.
    unsafe { uevent::prepare((*device.as_raw()).this_device)? };
    Ok(device)
}

/// One open file.
#[pin_data]
pub(crate) struct Session {
    /// Allocated when the file is opened: an unlock must not have to wait for memory that only
    /// writing to a locked disk can free.
    #[pin]
    pass_phrase: Mutex<PassPhrase>,
    /// That the process that opened it asks after a sleep.
    #[pin]
    agent: Mutex<Option<agent::Registered>>,
}

#[vtable]
impl MiscDevice for Session {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        check_permission()?;
        KBox::pin_init(
            try_pin_init!(Self {
                pass_phrase <- new_mutex!(PassPhrase::new()?),
                agent <- new_mutex!(None),
            }),
            GFP_KERNEL,
        )
    }

    fn ioctl(session: Pin<&Self>, _file: &File, call: u32, arg: usize) -> Result<isize> {
        check_permission()?;
        match call {
            uapi::STATUS => status(arg)?,
            uapi::UNLOCK => session.unlock(arg)?,
            uapi::LOCK => lock(arg)?,
            uapi::AGENT => session.agent(arg)?,
            uapi::WRAP_FRESH => wrap_fresh(arg)?,
            uapi::WRAP_KEY => wrap_key(arg)?,
            uapi::VERIFY => verify(arg)?,
            // Another number, or another size of the structure.
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

impl Session {
    /// Fails with
    ///
    /// * `EINVAL` for a wrong length and `EOPNOTSUPP` for an unknown version or flag,
    /// * `ENOENT` if there is no slot, `EBADMSG` if it is damaged,
    /// * `EKEYREJECTED` for a wrong pass phrase,
    /// * `EEXIST` for a slot of another S than the first one of this boot, or if the machine is
    ///   unlocked with another slot,
    /// * `ECANCELED` if the machine was locked meanwhile,
    /// * `EIO` if the CPU does not keep S, `EINTR` for a signal, `EFAULT` for an address.
    fn unlock(&self, arg: usize) -> Result {
        let mut bytes = [0; uapi::UNLOCK_SIZE];
        read(arg, &mut bytes)?;
        let call = uapi::Unlock::decode(&bytes)?;
        // Two calls at a time on one file share its buffer.
        let mut pass_phrase = self.pass_phrase.try_lock().ok_or(EBUSY)?;
        let done = self.unlock_with(&call, &mut pass_phrase);
        // On every path, also when only a part of it was read.
        pass_phrase.wipe();
        match done? {
            Outcome::Unlocked(cpus) => {
                pr_info!(
                    "unlocked, the key is in the {} of {} CPUs\n",
                    store::name(),
                    cpus
                );
                Ok(())
            }
            Outcome::WrongPassPhrase => {
                pr_warn!("wrong pass phrase\n");
                Err(EKEYREJECTED)
            }
            Outcome::OtherSecret => Err(EEXIST),
            Outcome::Wiped => Err(ECANCELED),
            Outcome::ZeroSecret => Err(EBADMSG),
            Outcome::NotKept => Err(EIO),
        }
    }

    fn unlock_with(&self, call: &uapi::Unlock, pass_phrase: &mut PassPhrase) -> Result<Outcome> {
        let mut text = [0; slot::TEXT_MAX];
        let given;
        let slot = if call.slot_len == 0 {
            boot::slot().ok_or(ENOENT)?
        } else {
            let text = text.get_mut(..call.slot_len).ok_or(EINVAL)?;
            read(address(call.slot)?, text)?;
            given = Slot::parse::<KernelSha256>(text).map_err(|_| EBADMSG)?;
            &given
        };
        let len = call.pass_phrase_len;
        let place = pass_phrase.bytes().get_mut(..len).ok_or(EINVAL)?;
        read(address(call.pass_phrase)?, place)?;
        state::wait_at_rest()?;
        let outcome = unlock::unlock(slot, pass_phrase, len)?;
        if matches!(outcome, Outcome::Unlocked(_)) && !call.stretched {
            boot::keep_if_none(slot);
        }
        Ok(outcome)
    }

    /// Fails with `EOPNOTSUPP` for an unknown version or number, and with what [`agent`] says.
    fn agent(&self, arg: usize) -> Result {
        let mut bytes = [0; uapi::AGENT_SIZE];
        read(arg, &mut bytes)?;
        match uapi::Agent::decode(&bytes)? {
            uapi::Agent::Register => {
                let registered = agent::register()?;
                *self.agent.lock() = Some(registered);
                Ok(())
            }
            uapi::Agent::Wait => agent::wait(),
            uapi::Agent::GiveUp => agent::give_up(),
        }
    }
}

/// Fails with `EOPNOTSUPP` for an unknown version or flag, `EINTR` for a signal.
fn lock(arg: usize) -> Result {
    let mut bytes = [0; uapi::LOCK_SIZE];
    read(arg, &mut bytes)?;
    let call = uapi::Lock::decode(&bytes)?;
    // Not `wait_at_rest()`: who locks does not want to wait for one who unlocks.
    if lock::lock(Phase::Locked)? {
        pr_info!("locked; requests wait for the pass phrase\n");
    }
    if call.fail {
        pr_warn!("requests fail until the pass phrase is given\n");
        state::fail_without_s();
    }
    Ok(())
}

/// Fails with `EOPNOTSUPP` for an unknown version, `EINVAL` for an unknown kind, `ENOKEY` if there
/// is no S, `EINTR` for a signal, `EFAULT` for an address.
fn wrap_fresh(arg: usize) -> Result {
    let mut head = [0; uapi::wrap::HANDLE_AT_OF_FRESH];
    read(arg, &mut head)?;
    let handle = wrapped::fresh(kind(&head)?)?;
    answer(arg, uapi::wrap::HANDLE_AT_OF_FRESH, &handle)
}

/// As [`wrap_fresh`]. The kernel's copy of the key is wiped, whatever happens.
fn wrap_key(arg: usize) -> Result {
    let mut head = [0; uapi::wrap::KEY_AT];
    read(arg, &mut head)?;
    let kind = kind(&head)?;
    let mut key = VolumeKey::new()?;
    let at = arg.checked_add(uapi::wrap::KEY_AT).ok_or(EFAULT)?;
    read(at, &mut key.0[..])?;
    let handle = wrapped::wrap(kind, &key.0)?;
    answer(arg, uapi::wrap::HANDLE_AT_OF_KEY, &handle)
}

/// Fails with `EOPNOTSUPP` for an unknown version, `EINVAL` for bytes that are no handle, `ENOKEY`
/// if there is no S, `EKEYREJECTED` for a handle of another S, or a forged one.
fn verify(arg: usize) -> Result {
    let mut bytes = [0; uapi::wrap::VERIFY_SIZE];
    read(arg, &mut bytes)?;
    if Question::decode(&bytes)?.kind != 0 {
        return Err(EOPNOTSUPP);
    }
    let handle = bytes.get(uapi::wrap::HANDLE_AT_OF_VERIFY..).ok_or(EINVAL)?;
    wrapped::verify(&Wrapped::parse::<KernelSha256>(handle)?)
}

/// The kind of key in the head of a call.
fn kind(head: &[u8]) -> Result<Kind> {
    let number = Question::decode(head)?.kind;
    let number = u8::try_from(number).map_err(|_| EINVAL)?;
    Kind::from_number(number).ok_or(EINVAL)
}

/// Writes a handle to its place in a program's structure.
fn answer(arg: usize, at: usize, handle: &Wrapped) -> Result {
    let bytes = handle.encode::<KernelSha256>();
    let address = arg.checked_add(at).ok_or(EFAULT)?;
    UserSlice::new(UserPtr::from_addr(address), bytes.len())
        .writer()
        .write_slice(&bytes)
}

fn status(arg: usize) -> Result {
    let mut bytes = [0; uapi::STATUS_SIZE];
    read(arg, &mut bytes)?;
    uapi::Status::check_question(&bytes)?;
    let mut status = uapi::Status {
        phase: state::phase() as u32,
        cpus: state::cpus(|_| true),
        cpus_with_key: state::cpus(state::has_s),
        waiting: state::GATE.waiting(),
        ..Default::default()
    };
    if state::fails_without_s() {
        status.flags |= uapi::STATUS_FAILS;
    }
    if let Some(slot) = boot::slot() {
        status.flags |= uapi::STATUS_HAS_SLOT;
        status.iterations = slot.iterations();
        status.slot_id = slot.id::<KernelSha256>();
    }
    // None in the self tests: their S is of no use to anybody.
    if state::phase() == Phase::Unlocked {
        status.secret_id = wrapped::id().unwrap_or_default();
    }
    for (to, from) in status.engine.iter_mut().zip(engine::name().bytes()) {
        *to = from;
    }
    UserSlice::new(UserPtr::from_addr(arg), uapi::STATUS_SIZE)
        .writer()
        .write_slice(&status.encode())
}

fn check_permission() -> Result {
    // SAFETY: May be called in process context.
    if unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) } {
        Ok(())
    } else {
        Err(EPERM)
    }
}

/// Fills `buffer` from an address of the program.
fn read(address: usize, buffer: &mut [u8]) -> Result {
    UserSlice::new(UserPtr::from_addr(address), buffer.len())
        .reader()
        .read_slice(buffer)
}

fn address(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| EFAULT)
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Unknown => EOPNOTSUPP,
            Malformed::Length => EINVAL,
        }
    }
}
