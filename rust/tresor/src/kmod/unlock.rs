// SPDX-License-Identifier: GPL-2.0

//! From a pass phrase to S in the registers of every CPU.

use kernel::{
    bindings,
    ffi::c_int,
    fpu,
    prelude::*,
    sync::atomic::{ordering, Atomic},
};

use super::{
    asm::{
        self,
        tresor_unlock_shani,
        tresor_unlock_ssse3,
        tresor_unlock_ssse3_noaes, //
    },
    each_cpu,
    lock::Moment,
    machine,
    pass_phrase::PassPhrase,
    sha256::KernelSha256,
    state::{self, Phase},
    store,
    uevent,
    wrapped, //
};
use crate::{kdf, slot::Slot};

/// Id of the first S since the boot, or 0.
///
/// The keys of open volumes are made of that S. With another one, what is written would be lost.
static FIRST_SECRET: Atomic<u64> = Atomic::new(0);

/// Id of the slot that S was made of last, or 0.
static LAST_SLOT: Atomic<u64> = Atomic::new(0);

/// Beside the answers of the routines: S was taken away again, or never stored, because the machine
/// was locked.
const WIPED: c_int = -1;
/// The same, because it is not the first S since the boot.
const OTHER: c_int = -2;

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// This many CPUs have S.
    Unlocked(u32),
    /// The MAC of the slot says that it is another pass phrase.
    WrongPassPhrase,
    /// The slot would give S = 0, which stands for "no S".
    ZeroSecret,
    /// The debug registers do not keep what is written to them (a hypervisor?).
    NotKept,
    /// S was wiped again meanwhile: the machine was locked.
    Wiped,
    /// Open volumes may need another S, which was there before; or it still is, of another slot.
    OtherSecret,
}

/// What the routine said on each CPU, counted.
#[derive(Default)]
struct Counts {
    stored: AtomicCount,
    wrong: AtomicCount,
    zero: AtomicCount,
    not_kept: AtomicCount,
    wiped: AtomicCount,
    other: AtomicCount,
}

struct AtomicCount(Atomic<i32>);

impl Default for AtomicCount {
    fn default() -> Self {
        Self(Atomic::new(0))
    }
}

impl AtomicCount {
    fn count(&self) {
        self.0.add(1, ordering::Relaxed);
    }

    fn get(&self) -> u32 {
        self.0.load(ordering::Relaxed).unsigned_abs()
    }
}

/// Computes S from the first `len` bytes of `pass` on every online CPU and leaves it there. `pass`
/// is wiped.
///
/// Each CPU runs the whole key derivation in its registers, so that neither S nor anything on the
/// way to it is ever in memory; it cannot be preempted meanwhile. Interrupts stay on.
///
/// Requests that have waited for S go on. If S is there already, it is given to the CPUs that came
/// later; a wrong pass phrase does not take it away then. Nor does another slot, even one of the
/// same S: only a locked machine tries that, as what a slot gives is not known before it is there.
///
/// Fails with `EPERM` if the machine lacks what `tresor.require=` names, with `EINVAL` for a length
/// that is not 1 to 512, with `EBUSY` if the registers are in use by something else for a minute,
/// and with what [`each_cpu::run`] says.
///
/// Context: process context, sleeps. Allocates nothing once S was there.
pub(crate) fn unlock(slot: &Slot, pass: &mut PassPhrase, len: usize) -> Result<Outcome> {
    let outcome = attempt(slot, pass, len);
    pass.wipe();
    if matches!(outcome, Ok(Outcome::Unlocked(_))) {
        uevent::announce();
    }
    outcome
}

fn attempt(slot: &Slot, pass: &mut PassPhrase, len: usize) -> Result<Outcome> {
    machine::check_required()?;
    // The self tests must have given the registers back for good. Once is enough, and later there
    // may be no memory for it.
    #[cfg(CONFIG_CRYPTO_SELFTESTS)]
    if FIRST_SECRET.load(ordering::Relaxed) == 0 {
        super::selftest::wait();
    }
    let before = state::claim(
        &[Phase::Locked, Phase::Suspended, Phase::Unlocked],
        Phase::Unlocking,
    )?;
    let start = Moment::now();
    let id = u64::from_le_bytes(slot.id::<KernelSha256>());
    let outcome = if before != Phase::Unlocked || LAST_SLOT.load(ordering::Relaxed) == id {
        derive(slot, pass, len, start)
    } else {
        Ok(Outcome::OtherSecret)
    };
    let after = if matches!(outcome, Ok(Outcome::Unlocked(_))) {
        LAST_SLOT.store(id, ordering::Relaxed);
        state::fail_as_configured();
        Phase::Unlocked
    } else {
        before
    };
    state::change(Phase::Unlocking, after);
    if after != Phase::Unlocked {
        return outcome;
    }
    state::GATE.open();
    // An emergency may have come at any moment, also between these lines.
    if start.wiped_since() {
        state::GATE.close();
        state::change(Phase::Unlocked, Phase::Locked);
        return Ok(Outcome::Wiped);
    }
    outcome
}

fn derive(slot: &Slot, pass: &mut PassPhrase, len: usize, start: Moment) -> Result<Outcome> {
    let aes_instructions =
        super::cpu_has(bindings::X86_FEATURE_AES) && super::cpu_has(bindings::X86_FEATURE_XMM4_1);
    let sha_extensions = super::cpu_has(bindings::X86_FEATURE_SHA_NI);
    let block = slot.engine_block::<KernelSha256>();
    let salt_block = kdf::salt_block(slot.salt());
    let iterations = u64::from(slot.iterations());
    let pass_blocks = kdf::frame_pass_phrase(pass.bytes(), len).ok_or(EINVAL)?;
    let pass: &[u8] = pass.bytes();
    let counts = Counts::default();
    let first = FIRST_SECRET.load(ordering::Relaxed);
    let secret = Atomic::<u64>::new(0);

    each_cpu::run(&|| {
        let code = fpu::section(|fpu| {
            // SAFETY: The arguments are as asm/unlock.inc wants them: framed by `kdf`, of the sizes
            // it names, and they outlive the call. Vector registers may be used here.
            let code = unsafe {
                let (pass, salt, slot) = (pass.as_ptr(), salt_block.as_ptr(), block.as_ptr());
                if !aes_instructions {
                    tresor_unlock_ssse3_noaes(pass, pass_blocks, salt, iterations, slot)
                } else if sha_extensions {
                    tresor_unlock_shani(pass, pass_blocks, salt, iterations, slot)
                } else {
                    tresor_unlock_ssse3(pass, pass_blocks, salt, iterations, slot)
                }
            };
            // No request can find it before it is gone again: engines run in such sections, too.
            let code = match (code, wrapped::id_here(fpu)) {
                (0, Some(id)) if first == 0 || first == id => {
                    secret.store(id, ordering::Relaxed);
                    code
                }
                (0, Some(_)) => {
                    asm::clear_s();
                    OTHER
                }
                _ => code,
            };
            // A wipe that begins after this look interrupts this CPU and finds S.
            let code = if start.wiped_since() {
                asm::clear_s();
                WIPED
            } else {
                code
            };
            match code {
                0 => state::note_this_cpu(true),
                // Nothing was written to the registers: what was there is still there.
                1 | 2 => {}
                _ => state::note_this_cpu(false),
            }
            code
        });
        match code {
            Ok(0) => counts.stored.count(),
            Ok(1) => counts.wrong.count(),
            Ok(2) => counts.zero.count(),
            Ok(WIPED) => counts.wiped.count(),
            Ok(OTHER) => counts.other.count(),
            _ => counts.not_kept.count(),
        }
    })?;

    if counts.not_kept.get() > 0 {
        pr_err!(
            "{} CPUs do not keep what is written to their {}\n",
            counts.not_kept.get(),
            store::name()
        );
    }
    if counts.stored.get() > 0 && counts.wiped.get() == 0 {
        FIRST_SECRET.store(secret.load(ordering::Relaxed), ordering::Relaxed);
    }
    Ok(match counts.stored.get() {
        _ if counts.wiped.get() > 0 => Outcome::Wiped,
        0 if counts.other.get() > 0 => Outcome::OtherSecret,
        0 if counts.wrong.get() > 0 => Outcome::WrongPassPhrase,
        0 if counts.zero.get() > 0 => Outcome::ZeroSecret,
        0 => Outcome::NotKept,
        cpus => Outcome::Unlocked(cpus),
    })
}
