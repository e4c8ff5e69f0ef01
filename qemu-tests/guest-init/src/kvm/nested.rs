// SPDX-License-Identifier: GPL-2.0

//! A virtual machine that is a hypervisor itself: it starts a guest with VMRUN, which writes and reads back all of its debug registers.
//!
//! The hypervisor ("L1") intercepts nothing but the guest's ("L2") VMMCALL, so each access to a debug register is one of L2 to its own.
//! Layout and numbers of a VMCB: AMD64 Architecture Programmer's Manual, volume 2, appendix B and C.

use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::{kvm_msr_entry, Msrs};
use kvm_ioctls::VcpuExit;

use super::{values, Guest, ACCESSES, CODE_AT, DR6_IDLE, EFER, PML4, RFLAGS};

/// The bit of EFER without which there is no VMRUN.
const SVME: u64 = 1 << 12;
const MSR_VM_HSAVE_PA: u32 = 0xc001_0117;

/// L1: starts L2, and stops when L2 has ended.
const HYPERVISOR: &[u8] = &[
    0x0f, 0x01, 0xd8, // vmrun
    0xf4, // hlt
];
/// L2: remembers the DR7 that it begins with; after the accesses come its end.
const BEGIN: &[u8] = &[0x41, 0x0f, 0x21, 0xfe]; // mov %dr7, %r14
const END: &[u8] = &[0x0f, 0x01, 0xd9]; // vmmcall

const L2_AT: u64 = 0x11000;
const VMCB_AT: u64 = 0x12000;
const HSAVE_AT: u64 = 0x13000;

// Offsets in a VMCB and what is written there.
const INTERCEPTS: u64 = 0x010;
const VMRUN_AND_VMMCALL: u64 = 3;
const ASID: u64 = 0x058;
/// What L1 has not changed since L2 ran last.
const CLEAN: u64 = 0x0c0;
const CLEAN_DR: u64 = 1 << 6;
const EXIT_CODE: u64 = 0x070;
const EXIT_VMMCALL: u64 = 0x081;
/// ES, CS, SS, DS: selector, attributes, limit, base.
const SEGMENTS: [(u64, u64); 4] = [
    (0x400, DATA),
    (0x410, 0xffff_ffff_0a9b_0008),
    (0x420, DATA),
    (0x430, DATA),
];
const DATA: u64 = 0xffff_ffff_0c93_0010;
const AT_EFER: u64 = 0x4d0;
const AT_CR4: u64 = 0x548;
const AT_CR3: u64 = 0x550;
const AT_CR0: u64 = 0x558;
const AT_DR7: u64 = 0x560;
const AT_DR6: u64 = 0x568;
const AT_RFLAGS: u64 = 0x570;
const AT_RIP: u64 = 0x578;
const AT_RAX: u64 = 0x5f8;

/// The DR7 with which L1 starts L2: breakpoints 1 and 3, at addresses that are still zero or of the round before.
const DR7_FROM_L1: u64 = 0x488;

/// A virtual machine with a hypervisor in it.
pub(crate) struct Nested(Guest);

impl Nested {
    pub(crate) fn new() -> Result<Self> {
        let mut guest = Guest::new()?;
        let mut sregs = guest.vcpu.get_sregs()?;
        sregs.efer |= SVME;
        guest
            .vcpu
            .set_sregs(&sregs)
            .context("turning SVM on in a virtual machine: is kvm_amd.nested off?")?;
        let hsave = kvm_msr_entry {
            index: MSR_VM_HSAVE_PA,
            data: HSAVE_AT,
            ..kvm_msr_entry::default()
        };
        let set = guest.vcpu.set_msrs(&Msrs::from_entries(&[hsave])?)?;
        ensure!(set == 1, "the virtual machine has no VM_HSAVE_PA");
        guest.put(CODE_AT, HYPERVISOR);
        guest.put(L2_AT, &[BEGIN, ACCESSES, END].concat());
        for (at, value) in [
            (INTERCEPTS, VMRUN_AND_VMMCALL),
            (ASID, 1),
            (AT_EFER, EFER | SVME),
            (AT_CR4, sregs.cr4),
            (AT_CR3, PML4),
            (AT_CR0, sregs.cr0),
        ]
        .iter()
        .chain(&SEGMENTS)
        {
            guest.put(VMCB_AT + at, &value.to_le_bytes());
        }
        Ok(Self(guest))
    }

    /// One round with fresh values: L2 finds what L1 gave it and what it wrote, and L1 finds what L2 left.
    pub(crate) fn round(&mut self, round: u64) -> Result<()> {
        let guest = &mut self.0;
        let values = values(round);
        // In every second round L1 leaves them as they are, and says so.
        let (dr7, clean) = match round % 2 {
            0 => (DR7_FROM_L1, 0),
            _ => (guest.get(VMCB_AT + AT_DR7), CLEAN_DR),
        };
        for (at, value) in [
            (CLEAN, clean),
            (EXIT_CODE, 0),
            (AT_DR7, dr7),
            (AT_DR6, DR6_IDLE),
            (AT_RFLAGS, RFLAGS),
            (AT_RIP, L2_AT),
            (AT_RAX, 0),
        ] {
            guest.put(VMCB_AT + at, &u64::to_le_bytes(value));
        }
        guest.start(values)?;
        let mut regs = guest.vcpu.get_regs()?;
        regs.rax = VMCB_AT;
        guest.vcpu.set_regs(&regs)?;
        match guest.vcpu.run().context("running the hypervisor")? {
            VcpuExit::Hlt => {}
            other => bail!("the hypervisor stopped with {other:?}"),
        }
        let exit = guest.get(VMCB_AT + EXIT_CODE);
        ensure!(
            exit == EXIT_VMMCALL,
            "round {round}: the guest in the guest ended with {exit:#x}"
        );
        let regs = guest.vcpu.get_regs()?;
        ensure!(
            regs.r14 == dr7,
            "round {round}: the guest in the guest began with DR7 {:#x} instead of {dr7:#x}",
            regs.r14
        );
        // VMRUN keeps all general registers but rax.
        let [rax, dr6, dr7] = [AT_RAX, AT_DR6, AT_DR7].map(|at| guest.get(VMCB_AT + at));
        let found = [rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi];
        ensure!(
            found == values && [dr6, dr7] == values[4..],
            "round {round}: the guest in the guest wrote {values:x?}, read {found:x?} and left DR6 {dr6:#x}, DR7 {dr7:#x}"
        );
        Ok(())
    }
}
