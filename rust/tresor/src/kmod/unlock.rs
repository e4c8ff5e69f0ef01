// SPDX-License-Identifier: GPL-2.0

//! From a pass phrase to S in the registers of every CPU.

use core::ptr;
use kernel::{
    bindings, fpu,
    prelude::*,
    sync::atomic::{ordering, Atomic},
    time::{
        delay::fsleep,
        Delta, //
    },
};

use super::{
    asm::{
        tresor_unlock_shani,
        tresor_unlock_ssse3,
        tresor_unlock_ssse3_noaes, //
    },
    each_cpu,
    sha256::KernelSha256,
    state::{self, Phase},
};
use crate::{kdf, slot::Slot};

/// Room for a pass phrase of the greatest length with its SHA-256 padding.
const BUFFER: usize = kdf::PASS_PHRASE_BUFFER;

/// A buffer for a line that is typed; wiped when dropped.
pub(crate) struct PassPhrase(KBox<[u8; BUFFER]>);

impl PassPhrase {
    /// An empty buffer. Context: may sleep.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(KBox::new([0; BUFFER], GFP_KERNEL)?))
    }

    /// The bytes, to read a line into.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0[..]
    }
}

impl Drop for PassPhrase {
    fn drop(&mut self) {
        for byte in self.bytes() {
            // SAFETY: A reference is valid for writes. Volatile, so that it is not left out.
            unsafe { ptr::from_mut(byte).write_volatile(0) };
        }
    }
}

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
}

/// What the routine said on each CPU, counted.
#[derive(Default)]
struct Counts {
    stored: AtomicCount,
    wrong: AtomicCount,
    zero: AtomicCount,
    not_kept: AtomicCount,
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
/// Fails with `EINVAL` for a length that is not 1 to 512, with `EBUSY` if S is there already, and
/// with what [`each_cpu::run`] says.
///
/// Context: process context, may sleep.
pub(crate) fn unlock(slot: &Slot, mut pass: PassPhrase, len: usize) -> Result<Outcome> {
    claim()?;
    let outcome = derive(slot, &mut pass, len);
    let phase = match outcome {
        Ok(Outcome::Unlocked(_)) => Phase::Unlocked,
        _ => Phase::Locked,
    };
    state::change(Phase::Unlocking, phase);
    outcome
}

/// Takes the phase, waiting for the self tests to give the registers back.
fn claim() -> Result {
    const STEP: Delta = Delta::from_millis(10);
    const STEPS: u32 = 6000;
    for _ in 0..STEPS {
        if state::change(Phase::Locked, Phase::Unlocking) {
            return Ok(());
        }
        fsleep(STEP);
    }
    Err(EBUSY)
}

fn derive(slot: &Slot, pass: &mut PassPhrase, len: usize) -> Result<Outcome> {
    let aes_instructions =
        super::cpu_has(bindings::X86_FEATURE_AES) && super::cpu_has(bindings::X86_FEATURE_XMM4_1);
    let sha_extensions = super::cpu_has(bindings::X86_FEATURE_SHA_NI);
    let block = slot.engine_block::<KernelSha256>();
    let salt_block = kdf::salt_block(slot.salt());
    let iterations = u64::from(slot.iterations());
    let pass_blocks = kdf::frame_pass_phrase(pass.bytes(), len).ok_or(EINVAL)?;
    let pass: &[u8] = &pass.0[..];
    let counts = Counts::default();

    each_cpu::run(&|| {
        let code = fpu::section(|_fpu| {
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
            state::note_this_cpu(code == 0);
            code
        });
        match code {
            Ok(0) => counts.stored.count(),
            Ok(1) => counts.wrong.count(),
            Ok(2) => counts.zero.count(),
            _ => counts.not_kept.count(),
        }
    })?;

    if counts.not_kept.get() > 0 {
        pr_err!(
            "{} CPUs do not keep what is written to DR0-DR3\n",
            counts.not_kept.get()
        );
    }
    Ok(match counts.stored.get() {
        0 if counts.wrong.get() > 0 => Outcome::WrongPassPhrase,
        0 if counts.zero.get() > 0 => Outcome::ZeroSecret,
        0 => Outcome::NotKept,
        cpus => Outcome::Unlocked(cpus),
    })
}
