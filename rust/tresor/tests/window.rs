// SPDX-License-Identifier: GPL-2.0
//! Reads every instruction of the kernel's windows: the policy at the head of `asm/window-dr.S`,
//! word by word.

mod common;

use common::audit::{reads, writes};
use common::object::{functions, Function};
use common::wipe::zeroed;
use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

/// The section that the kernel's linker script places between two symbols.
const WINDOWS: &str = ".tresor.window.text";

/// Returns what the window does against its policy.
fn audit(window: &Function) -> Vec<String> {
    let instructions = window.instructions();
    let mut broken = Vec::new();
    let mut expect = |holds: bool, what: &str, at: &Instruction| {
        if !holds {
            broken.push(format!("{what}: {}+{:#x}: {at}", window.name, at.ip()));
        }
    };
    let mut factory = InstructionInfoFactory::new();
    let (ret, body) = instructions.split_last().unwrap();
    expect(
        ret.flow_control() == FlowControl::Return,
        "ends with another instruction than ret",
        ret,
    );
    expect(
        body[0].mnemonic() == Mnemonic::Endbr64,
        "does not begin with endbr64",
        &body[0],
    );
    expect(
        body[1].mnemonic() == Mnemonic::Cli,
        "does not turn IRQs off first",
        &body[1],
    );

    // A window that is started again must find what it reads: S's home for load, S's registers for
    // store.
    let source = |register: Register| match window.name.as_str() {
        "tresor_load_s" => register.is_dr(),
        _ => [Register::XMM0, Register::XMM1].contains(&register),
    };
    for instruction in body {
        let info = factory.info(instruction);
        expect(info.used_memory().is_empty(), "uses memory", instruction);
        expect(
            instruction.flow_control() == FlowControl::Next,
            "jumps",
            instruction,
        );
        for used in info
            .used_registers()
            .iter()
            .filter(|used| writes(used.access()))
        {
            let register = used.register();
            let general = !register.is_gpr()
                || [Register::RAX, Register::RDX].contains(&register.full_register());
            expect(
                general,
                "writes another general register than rax and rdx",
                instruction,
            );
            expect(!source(register), "changes what it reads", instruction);
        }
        let reads_dr = info
            .used_registers()
            .iter()
            .any(|used| used.register().is_dr() && reads(used.access()));
        expect(
            !reads_dr || source(Register::DR0),
            "reads a debug register",
            instruction,
        );
    }
    for register in [Register::RAX, Register::RDX, Register::XMM2] {
        let last = body.iter().rev().find(|&instruction| {
            factory
                .info(instruction)
                .used_registers()
                .iter()
                .any(|used| {
                    writes(used.access())
                        && (used.register() == register
                            || used.register().full_register() == register)
                })
        });
        let cleared = last.is_some_and(|last| {
            zeroed(last) == Some(register) || general_zeroed(last) == Some(register)
        });
        expect(cleared, &format!("{register:?} is not cleared"), ret);
    }
    broken
}

/// The general register that `instruction` sets to zero.
fn general_zeroed(instruction: &Instruction) -> Option<Register> {
    let same = instruction.op1_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register();
    let whole = instruction.op0_register().is_gpr32() || instruction.op0_register().is_gpr64();
    (instruction.mnemonic() == Mnemonic::Xor && same && whole)
        .then(|| instruction.op0_register().full_register())
}

fn windows() -> Vec<Function> {
    let mut functions = functions(env!("TRESOR_KERNEL_OBJECTS"));
    functions.retain(|function| function.section == WINDOWS);
    functions
}

#[test]
fn windows_keep_their_policy() {
    let windows = windows();
    let mut names: Vec<_> = windows.iter().map(|window| window.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["tresor_load_s", "tresor_store_s"]);
    for window in &windows {
        assert_eq!(audit(window), Vec::<String>::new());
    }
}

/// S's pieces go to and come from the debug registers in the order of the format.
#[test]
fn every_debug_register_is_used_once() {
    for window in windows() {
        let s_registers: Vec<_> = window
            .instructions()
            .iter()
            .flat_map(|instruction| [instruction.op0_register(), instruction.op1_register()])
            .filter(|register| register.is_dr() && *register != Register::DR7)
            .collect();
        assert_eq!(
            s_registers,
            [Register::DR0, Register::DR1, Register::DR2, Register::DR3],
            "{}",
            window.name
        );
    }
}

#[test]
fn control_every_change_is_noticed() {
    let no_operation: &[u8] = &[];
    for window in windows() {
        let instructions = window.instructions();
        let find = |mnemonic: Mnemonic, register: Register| {
            let found = |i: &&Instruction| {
                i.mnemonic() == mnemonic
                    && (register == Register::None || i.op0_register() == register)
            };
            *instructions.iter().find(found).unwrap()
        };
        let changes = [
            (
                find(Mnemonic::Cli, Register::None),
                no_operation,
                "does not turn IRQs off first",
            ),
            (
                find(Mnemonic::Endbr64, Register::None),
                no_operation,
                "does not begin with endbr64",
            ),
            (
                find(Mnemonic::Xor, Register::EAX),
                no_operation,
                "RAX is not cleared",
            ),
            (
                find(Mnemonic::Xor, Register::EDX),
                no_operation,
                "RDX is not cleared",
            ),
            (
                find(Mnemonic::Pxor, Register::XMM2),
                no_operation,
                "XMM2 is not cleared",
            ),
            (
                find(Mnemonic::Xor, Register::EAX),
                &[0x50, 0x58][..],
                "uses memory",
            ), // push, pop %rax
            (
                find(Mnemonic::Pxor, Register::XMM2),
                &[0x48, 0x89, 0xc1][..],
                "writes another general register",
            ), // mov %rax, %rcx
            (
                find(Mnemonic::Xor, Register::EAX),
                &[0xeb, 0x00][..],
                "jumps",
            ),
            match window.name.as_str() {
                "tresor_load_s" => (
                    find(Mnemonic::Pxor, Register::XMM2),
                    &[0x0f, 0x23, 0xc0][..],
                    "changes what it reads",
                ), // mov %rax, %dr0
                _ => (
                    find(Mnemonic::Pxor, Register::XMM2),
                    &[0x66, 0x0f, 0xef, 0xc0][..],
                    "changes what it reads",
                ), // pxor %xmm0, %xmm0
            },
        ];
        for (instruction, code, expected) in changes {
            let mut broken = window.clone();
            broken.replace(&instruction, code);
            let found = audit(&broken);
            assert!(
                found.iter().any(|text| text.starts_with(expected)),
                "{}: {expected}: {found:?}",
                window.name
            );
        }
    }
}
