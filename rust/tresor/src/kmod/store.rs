// SPDX-License-Identifier: GPL-2.0

//! The store: which registers are the home of S on this machine, decided once, before there can be
//! an S.
//!
//! The debug registers need no check: every CPU has them, and an unlock sees whether they keep S.
//! Model-specific registers may be missing, ignore what is written, or be two names of one, as they
//! like; so on every CPU each of them is written and read back before it is trusted.

use kernel::{
    bindings,
    cpu::CpuId,
    prelude::*,
    sync::atomic::{ordering, Atomic},
};

use super::{
    cpu_has,
    each_cpu,
    parameter, //
};
use crate::amnesia::store::{
    choose,
    pattern,
    Home,
    Machine,
    Store,
    Vendor,
    ROUNDS, //
};

/// Command line parameter: `dr`, `msr` or `msr:mce`.
const PARAMETER: &[u8] = b"tresor.store";

/// What the command line says; `None` if it is nothing known. Context: any.
pub(crate) fn wanted() -> Option<Store> {
    match parameter::value(PARAMETER) {
        Some(text) => Store::parse(text),
        None => Some(Store::DebugRegisters),
    }
}

/// Chooses the home, and empties it on every CPU. Fails, and says why, if the command line asks for
/// an unknown one, with `EINVAL`, or if its registers cannot be used: with `ENODEV`, and with what
/// [`each_cpu::run`] says.
///
/// Context: the driver's initcall, after [`each_cpu::prepare`].
pub(crate) fn prepare() -> Result {
    let store = wanted().ok_or_else(|| {
        pr_err!("tresor.store= has another value than dr, msr, msr:mce: no cipher\n");
        EINVAL
    })?;
    let machine = Machine {
        vendor: vendor(),
        is_guest: cpu_has(bindings::X86_FEATURE_HYPERVISOR),
        is_encrypted: is_encrypted_guest(),
    };
    let home = choose(store, machine).map_err(|refusal| {
        pr_err!("tresor.store: {}: no cipher\n", refusal.text());
        ENODEV
    })?;
    if home == Home::DebugRegisters {
        return Ok(());
    }
    use_home(home)?;
    pr_info!(
        "store: {}, checked on each CPU; hardware breakpoints work\n",
        home.name()
    );
    if home == Home::MachineCheck {
        pr_warn!("store: machine-check banks are for tests in emulators only\n");
    } else {
        pr_warn!(
            "store: performance counters have been tried in an emulator only, never on a real CPU; \
             one that loses a bit makes what is written afterwards unreadable: only for data that \
             you can lose\n"
        );
    }
    Ok(())
}

/// Leaves the home alone: there is no cipher, and so never a secret.
///
/// Context: the driver's initcall.
pub(crate) fn give_back() {
    set_home(Home::DebugRegisters);
}

/// The number of the home. Context: any.
fn home() -> u32 {
    // SAFETY: A word that changes only in the initcall.
    unsafe { (&raw const bindings::tresor_home).read_volatile() }
}

/// Whether the home is another one than the debug registers. Context: any.
#[cfg(CONFIG_PM_SLEEP)]
pub(crate) fn is_elsewhere() -> bool {
    home() != Home::DebugRegisters as u32
}

/// The registers of the home, in words. Context: any.
pub(crate) fn name() -> &'static str {
    match home() {
        number if number == Home::DebugRegisters as u32 => Home::DebugRegisters.name(),
        number if number == Home::MachineCheck as u32 => Home::MachineCheck.name(),
        _ => Home::Intel.name(),
    }
}

fn set_home(home: Home) {
    // SAFETY: A word that only this function writes, in an initcall, and others only read.
    unsafe { (&raw mut bindings::tresor_home).write_volatile(home as u32) };
}

/// Makes `home` the one of all CPUs if its registers are good on each.
fn use_home(home: Home) -> Result {
    // From now on a CPU that comes online empties it.
    set_home(home);
    let worst = Atomic::<u32>::new(u32::MAX);
    let result = each_cpu::run(&|| {
        let good = check_this_cpu(home);
        if good < registers(home).count() as u32 {
            pr_err!(
                "store: CPU {}: {} of {} registers keep what is written to them\n",
                CpuId::current().as_u32(),
                good,
                registers(home).count()
            );
            worst.store(good, ordering::Relaxed);
        }
    });
    let good = worst.load(ordering::Relaxed) == u32::MAX;
    if result.is_ok() && good {
        return Ok(());
    }
    give_back();
    result?;
    pr_err!(
        "tresor.store: this CPU, or its hypervisor, has too few {}: no cipher, and hardware \
         breakpoints work; use tresor.store=dr\n",
        home.name()
    );
    Err(ENODEV)
}

/// The bits that each register of a home holds.
fn width(home: Home) -> u32 {
    layout(home).map_or(0, |layout| layout.width)
}

/// The numbers of its registers.
fn registers(home: Home) -> impl Iterator<Item = u32> {
    let registers = layout(home).map_or([0; 6], |layout| layout.registers);
    registers.into_iter().filter(|&msr| msr != 0)
}

fn layout(home: Home) -> Option<&'static bindings::msr_home> {
    if home == Home::DebugRegisters {
        return None;
    }
    // SAFETY: A constant table, with an entry for each number of MSR_HOMES(), which are those of
    // `Home`.
    Some(unsafe {
        &*(&raw const bindings::x86_msr_homes)
            .cast::<bindings::msr_home>()
            .add(home as usize)
    })
}

/// How many registers of a home are good on the CPU that this runs on; all are empty then.
///
/// Context: bound to a CPU.
fn check_this_cpu(home: Home) -> u32 {
    // SAFETY: The registers of the home have nothing of anybody: the kernel's own users keep away.
    unsafe { bindings::x86_msr_home_reset_this_cpu() };
    let mut good = [true; 6];
    for round in 0..ROUNDS {
        for (index, msr) in (0..).zip(registers(home)) {
            // SAFETY: As above; a register that is not there is an error.
            unsafe { bindings::wrmsrq_safe(msr, pattern(round, index, width(home))) };
        }
        for ((index, msr), good) in (0..).zip(registers(home)).zip(&mut good) {
            let mut value = 0;
            // SAFETY: As above; what is read is a pattern, and public.
            let error = unsafe { bindings::rdmsrq_safe(msr, &mut value) };
            *good &= error == 0 && value == pattern(round, index, width(home));
        }
    }
    let good = registers(home).zip(good).filter(|(_, good)| *good);
    good.count() as u32
}

fn vendor() -> Vendor {
    // SAFETY: Found at boot.
    match unsafe { bindings::boot_cpu_vendor() } {
        bindings::X86_VENDOR_INTEL => Vendor::Intel,
        bindings::X86_VENDOR_AMD | bindings::X86_VENDOR_HYGON => Vendor::Amd,
        _ => Vendor::Other,
    }
}

/// Whether the registers are hidden from the hypervisor.
fn is_encrypted_guest() -> bool {
    // SAFETY: Reads what was found at boot.
    cpu_has(bindings::X86_FEATURE_TDX_GUEST) || unsafe { bindings::guest_state_is_encrypted() }
}
