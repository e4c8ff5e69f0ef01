// SPDX-License-Identifier: GPL-2.0

//! Virtual machines inside the test machine, which write and read back all of their debug registers.
//!
//! Such a guest has one CPU in 64-bit mode, a page of code, and no memory besides: what it writes and what it found comes and goes
//! in its general registers.

pub(crate) mod nested;

use anyhow::{bail, ensure, Context, Result};
use guest_init::pattern;
use guest_init::protocol::GUEST_VALUE as MARK;
use kvm_bindings::{
    kvm_guest_debug, kvm_regs, kvm_segment, kvm_userspace_memory_region, KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_USE_HW_BP, KVM_MAX_CPUID_ENTRIES,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use memmap2::MmapMut;

use crate::breakpoint::Refused;

const MEMORY: usize = 1 << 20;
const PML4: u64 = 0x1000;
const PDPT: u64 = 0x2000;
const PD: u64 = 0x3000;
const CODE_AT: u64 = 0x10000;
const PRESENT_WRITABLE: u64 = 3;
const LARGE: u64 = 1 << 7;
/// PE, ET, NE, PG.
const CR0: u64 = 0x8000_0031;
/// PAE.
const CR4: u64 = 1 << 5;
/// LME, LMA.
const EFER: u64 = 0x500;
/// The bit of RFLAGS that is always one.
const RFLAGS: u64 = 2;
/// DR7: the bit that is always one, and breakpoint 0 on, on execution.
const DR7_EXECUTE_0: u64 = 0x401;
/// DR7: the same bit, and all four breakpoints on.
const DR7_ALL: u64 = 0x4ff;
/// DR6 without a reason in it.
const DR6_IDLE: u64 = 0xffff_0ff0;

/// Writes DR0-DR3, DR6, DR7 from r8-r11, r13, r12; reads them into rax, rbx, rcx, rdx, rsi, rdi.
const ACCESSES: &[u8] = &[
    0x41, 0x0f, 0x23, 0xc0, // mov %r8, %dr0
    0x41, 0x0f, 0x23, 0xc9, // mov %r9, %dr1
    0x41, 0x0f, 0x23, 0xd2, // mov %r10, %dr2
    0x41, 0x0f, 0x23, 0xdb, // mov %r11, %dr3
    0x41, 0x0f, 0x23, 0xf5, // mov %r13, %dr6
    0x41, 0x0f, 0x23, 0xfc, // mov %r12, %dr7
    0x0f, 0x21, 0xc0, // mov %dr0, %rax
    0x0f, 0x21, 0xcb, // mov %dr1, %rbx
    0x0f, 0x21, 0xd1, // mov %dr2, %rcx
    0x0f, 0x21, 0xda, // mov %dr3, %rdx
    0x0f, 0x21, 0xf6, // mov %dr6, %rsi
    0x0f, 0x21, 0xff, // mov %dr7, %rdi
];
const HLT: &[u8] = &[0xf4];
/// Address of the hlt.
const HLT_AT: u64 = CODE_AT + 6 * 4 + 6 * 3;

/// A virtual machine that has not run yet, or has stopped at its hlt.
pub(crate) struct Guest {
    vcpu: VcpuFd,
    // In this order: the machine ends before its memory.
    _vm: VmFd,
    memory: MmapMut,
}

impl Guest {
    pub(crate) fn new() -> Result<Self> {
        let kvm = Kvm::new().context("opening /dev/kvm: has the CPU model SVM or VMX?")?;
        let vm = kvm.create_vm().context("creating a virtual machine")?;
        let mut memory = MmapMut::map_anon(MEMORY)?;
        for (at, entry) in [(PML4, PDPT), (PDPT, PD), (PD, LARGE)] {
            put(&mut memory, at, &(entry | PRESENT_WRITABLE).to_le_bytes());
        }
        put(&mut memory, CODE_AT, &[ACCESSES, HLT].concat());
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: MEMORY as u64,
            userspace_addr: memory.as_mut_ptr().addr() as u64,
        };
        // SAFETY: the region is the whole mapping, which lives longer than the machine, and is used here only while its CPU does not
        // run: both take `&mut self`.
        unsafe { vm.set_user_memory_region(region) }.context("giving it memory")?;
        let vcpu = vm.create_vcpu(0).context("creating its CPU")?;
        let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
        vcpu.set_cpuid2(&cpuid).context("telling what it can do")?;
        let mut sregs = vcpu.get_sregs()?;
        let data = kvm_segment {
            limit: u32::MAX,
            selector: 16,
            type_: 3,
            present: 1,
            s: 1,
            db: 1,
            g: 1,
            ..kvm_segment::default()
        };
        sregs.cs = kvm_segment {
            selector: 8,
            type_: 11,
            db: 0,
            l: 1,
            ..data
        };
        (sregs.ds, sregs.es, sregs.ss) = (data, data, data);
        (sregs.fs, sregs.gs) = (data, data);
        (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (CR0, PML4, CR4, EFER);
        vcpu.set_sregs(&sregs).context("starting in 64-bit mode")?;
        Ok(Self {
            vcpu,
            _vm: vm,
            memory,
        })
    }

    /// Lets the guest write these values to DR0-DR3, DR6 and DR7, and returns what it reads there then.
    fn write_and_read(&mut self, values: [u64; 6]) -> Result<[u64; 6]> {
        self.start(values)?;
        match self.vcpu.run().context("running the guest")? {
            VcpuExit::Hlt => {}
            other => bail!("the guest stopped with {other:?}"),
        }
        let regs = self.vcpu.get_regs()?;
        Ok([regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi])
    }

    fn start(&self, [r8, r9, r10, r11, r13, r12]: [u64; 6]) -> Result<()> {
        let regs = kvm_regs {
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            rip: CODE_AT,
            rflags: RFLAGS,
            ..kvm_regs::default()
        };
        self.vcpu.set_regs(&regs).context("setting its registers")
    }

    /// One round with fresh values.
    pub(crate) fn round(&mut self, round: u64) -> Result<()> {
        let values = values(round);
        let found = self.write_and_read(values)?;
        ensure!(
            found == values,
            "round {round}: the guest wrote {values:x?} and read {found:x?}"
        );
        Ok(())
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        put(&mut self.memory, at, bytes);
    }

    fn get(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.memory[at as usize..][..8]);
        u64::from_le_bytes(bytes)
    }
}

/// What a guest writes to DR0-DR3, DR6 and DR7 in a round: all bits of DR0-DR3, and all four breakpoints enabled. The addresses are no
/// code or data of the guest, so that none could fire.
fn values(round: u64) -> [u64; 6] {
    let mut bytes = [0; 32];
    pattern::fill(round, 0, &mut bytes);
    let words = bytes.chunks_exact(8).map(|word| {
        let mut value = [0; 8];
        value.copy_from_slice(word);
        // Far from the page of code.
        u64::from_le_bytes(value) | MARK
    });
    let mut values = [0; 6];
    for (value, word) in values.iter_mut().zip(words.chain([DR6_IDLE, DR7_ALL])) {
        *value = word;
    }
    values
}

fn put(memory: &mut MmapMut, at: u64, bytes: &[u8]) {
    let at = at as usize;
    memory[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A breakpoint that the guest sets for itself. It has no handler, so a breakpoint that fires ends it.
pub(crate) fn debug_from_inside() -> Result<bool> {
    let mut guest = Guest::new()?;
    guest.start([HLT_AT, 0, 0, 0, DR6_IDLE, DR7_EXECUTE_0])?;
    let exit = guest.vcpu.run().context("running the guest")?;
    match exit {
        VcpuExit::Hlt => Ok(false),
        VcpuExit::Shutdown => Ok(true),
        other => bail!("the guest stopped with {other:?}"),
    }
}

/// A breakpoint that a debugger sets for the guest from outside.
pub(crate) fn debug_from_outside() -> Result<bool> {
    let mut guest = Guest::new()?;
    let mut debug = kvm_guest_debug {
        control: KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
        ..kvm_guest_debug::default()
    };
    debug.arch.debugreg[0] = HLT_AT;
    debug.arch.debugreg[7] = DR7_EXECUTE_0;
    if let Err(error) = guest.vcpu.set_guest_debug(&debug) {
        bail!(Refused(error.errno()));
    }
    guest.start([0, 0, 0, 0, DR6_IDLE, 0x400])?;
    let exit = guest.vcpu.run().context("running the guest")?;
    match exit {
        VcpuExit::Hlt => Ok(false),
        VcpuExit::Debug(_) => Ok(true),
        other => bail!("the guest stopped with {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breakpoint_is_on_the_last_instruction() {
        assert_eq!(HLT_AT - CODE_AT, ACCESSES.len() as u64);
    }
}
