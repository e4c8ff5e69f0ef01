// SPDX-License-Identifier: GPL-2.0
//! Reads every instruction of the kernel's windows, of the routines that empty a home of S, and of
//! those that choose between the homes: the policies at the heads of `asm/window-dr.S`,
//! `asm/home.S` and amnesia's `asm/window-msr.S`, word by word.

use std::sync::LazyLock;

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};
use taint::object_file::functions;
use taint::{reads, writes, zeroed_register, Function};

/// The homes of S, by the ends of the names of their routines.
const HOMES: [&str; 4] = ["dr", "mce", "intel", "amd"];
/// What there is of each, and, without an end, what chooses between them.
const LOAD: &str = "tresor_load_s";
const STORE: &str = "tresor_store_s";
const CLEAR: &str = "tresor_clear_s";

/// The name of a home's routine.
fn of_home(routine: &str, home: &str) -> String {
    format!("{routine}_{home}")
}

fn is_load(window: &Function) -> bool {
    window.name.starts_with(LOAD)
}

/// `TRESOR_WINDOW_ENTRY` of `include/asm/tresor-window.inc`.
const ENTRY: u64 = 64;

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
    let source = |register: Register| match is_load(window) {
        true => register.is_dr(),
        false => [Register::XMM0, Register::XMM1].contains(&register),
    };
    let in_msrs = !window.name.ends_with("_dr");
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
            // The number of the next register.
            let is_number = in_msrs
                && instruction.mnemonic() == Mnemonic::Mov
                && instruction.op1_kind() == OpKind::Immediate32
                && register.full_register() == Register::RCX;
            let general = !register.is_gpr()
                || is_number
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
        let forbidden = match is_load(window) {
            true => Mnemonic::Wrmsr,
            false => Mnemonic::Rdmsr,
        };
        expect(
            instruction.mnemonic() != forbidden,
            "changes what it reads, or reads what it changes",
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
        let zeroed = last.and_then(zeroed_register);
        let cleared =
            zeroed.is_some_and(|zeroed| zeroed == register || zeroed.full_register() == register);
        expect(cleared, &format!("{register:?} is not cleared"), ret);
    }
    broken
}

/// All functions of the kernel's objects; reading them takes a while.
static FUNCTIONS: LazyLock<Vec<Function>> =
    LazyLock::new(|| functions(env!("TRESOR_KERNEL_OBJECTS")).unwrap());

fn functions_if(wanted: impl Fn(&Function) -> bool) -> Vec<Function> {
    FUNCTIONS
        .iter()
        .filter(|function| wanted(function))
        .cloned()
        .collect()
}

/// Everything in the section of windows.
fn section() -> Vec<Function> {
    functions_if(Function::is_window)
}

/// The windows of all homes.
fn windows() -> Vec<Function> {
    functions_if(|function| function.is_window() && ![LOAD, STORE].contains(&&*function.name))
}

#[test]
fn windows_keep_their_policy() {
    let windows = windows();
    let mut names: Vec<_> = windows.iter().map(|window| window.name.clone()).collect();
    names.sort_unstable();
    let mut expected: Vec<_> = HOMES
        .into_iter()
        .flat_map(|home| [of_home(LOAD, home), of_home(STORE, home)])
        .collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for window in &windows {
        assert_eq!(audit(window), Vec::<String>::new());
    }
}

/// What the guard in the kernel's entries relies on (`include/asm/tresor-window.inc`): wherever in a window an
/// address is, its start is that address with another lowest byte.
#[test]
fn every_window_starts_where_the_guard_goes() {
    let windows = section();
    for window in &windows {
        let size = window.code.len() as u64;
        for address in window.address..window.address + size {
            assert_eq!(address & !0xff | ENTRY, window.address, "{}", window.name);
        }
    }
    let blocks: std::collections::BTreeSet<_> = windows
        .iter()
        .map(|window| (&window.file, window.address >> 8))
        .collect();
    assert_eq!(blocks.len(), windows.len(), "two windows share a block");
}

/// S's pieces go to and come from the debug registers in the order of the format.
#[test]
fn every_debug_register_is_used_once() {
    for window in windows() {
        if !window.name.ends_with("_dr") {
            continue;
        }
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
            // The last one: some clear registers on the way, too.
            *instructions.iter().rfind(found).unwrap()
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
                &[0x89, 0xc0],
                "RAX is not cleared",
            ), // mov %eax, %eax: it may have been cleared before that, too
            (
                find(Mnemonic::Xor, Register::EDX),
                &[0x89, 0xd2],
                "RDX is not cleared",
            ), // mov %edx, %edx
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
            match is_load(&window) {
                true if window.name.ends_with("_dr") => (
                    find(Mnemonic::Pxor, Register::XMM2),
                    &[0x0f, 0x23, 0xc0][..],
                    "changes what it reads",
                ), // mov %rax, %dr0
                true => (
                    find(Mnemonic::Pxor, Register::XMM2),
                    &[0x0f, 0x30][..],
                    "changes what it reads",
                ), // wrmsr
                false => (
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

fn function(name: &str) -> Function {
    functions_if(|function| function.name == name)
        .pop()
        .unwrap_or_else(|| panic!("there is no {name}"))
}

/// The routine that empties DR0-DR3.
fn clear() -> Function {
    function(&of_home(CLEAR, "dr"))
}

/// What the routine does, in order, and against its policy.
fn audit_clear(clear: &Function) -> Vec<String> {
    let mut broken = Vec::new();
    let mut factory = InstructionInfoFactory::new();
    let (mut irqs_off, mut rax, mut saved) = (false, None, false);
    let mut emptied = Vec::new();
    let mut expect = |holds: bool, what: &str, at: &Instruction| {
        if !holds {
            broken.push(format!("{what}: {at}"));
        }
    };
    for at in &clear.instructions() {
        match at.mnemonic() {
            Mnemonic::Endbr64 | Mnemonic::Ret | Mnemonic::Nop => {}
            Mnemonic::Pushfq => saved = true,
            Mnemonic::Popfq => {
                expect(saved, "restores flags that were not saved", at);
                irqs_off = false;
            }
            Mnemonic::Cli => {
                expect(saved, "turns IRQs off for good", at);
                irqs_off = true;
            }
            Mnemonic::Mov if at.op0_register().is_dr() => {
                let register = at.op0_register();
                expect(irqs_off, "writes with IRQs on", at);
                expect(
                    at.op1_register() == Register::RAX,
                    "writes something else",
                    at,
                );
                let value = if register == Register::DR7 { 0x400 } else { 0 };
                expect(rax == Some(value), "writes something else", at);
                emptied.push(register);
            }
            Mnemonic::Mov if at.op1_kind() == OpKind::Immediate32 => {
                expect(
                    at.op0_register() == Register::EAX,
                    "changes another register",
                    at,
                );
                rax = Some(at.immediate32());
            }
            _ if zeroed_register(at) == Some(Register::EAX) => rax = Some(0),
            _ => {
                let info = factory.info(at);
                let used = info.used_registers().iter().map(|used| used.register());
                let used: Vec<_> = used.collect();
                expect(false, &format!("is no part of emptying ({used:?})"), at);
            }
        }
    }
    let all = [
        Register::DR7,
        Register::DR0,
        Register::DR1,
        Register::DR2,
        Register::DR3,
    ];
    if emptied != all {
        broken.push(format!("empties {emptied:?}"));
    }
    if irqs_off {
        broken.push("leaves IRQs off".to_owned());
    }
    broken
}

#[test]
fn clear_empties_the_home_at_once() {
    assert_eq!(audit_clear(&clear()), Vec::<String>::new());
    assert_eq!(clear().section, ".noinstr.text");
}

#[test]
fn control_every_change_of_clear_is_noticed() {
    let clear = clear();
    let skipped = [Mnemonic::Endbr64, Mnemonic::Ret];
    for instruction in clear.instructions() {
        if skipped.contains(&instruction.mnemonic()) {
            continue;
        }
        let mut broken = clear.clone();
        broken.replace(&instruction, &[]);
        assert_ne!(audit_clear(&broken), Vec::<String>::new(), "{instruction}");
        // pxor %xmm0, %xmm0; or a byte of it: nothing that belongs there.
        let code = &[0x66, 0x0f, 0xef, 0xc0][..];
        if instruction.len() >= code.len() {
            broken.replace(&instruction, code);
            assert_ne!(audit_clear(&broken), Vec::<String>::new(), "{instruction}");
        }
    }
}

/// The routines that empty the other homes: %eax and %edx are zero, and each WRMSR has its number.
#[test]
fn clear_empties_each_register_of_the_other_homes() {
    for home in &HOMES[1..] {
        let clear = function(&of_home(CLEAR, home));
        assert_eq!(
            emptied(&clear),
            stored(&function(&of_home(STORE, home))),
            "{home}"
        );
        assert_eq!(clear.section, ".noinstr.text");
        for instruction in clear.instructions() {
            if [Mnemonic::Endbr64, Mnemonic::Ret].contains(&instruction.mnemonic()) {
                continue;
            }
            let mut broken = clear.clone();
            broken.replace(&instruction, &[]);
            assert_ne!(emptied(&broken), emptied(&clear), "{instruction}");
        }
    }
}

/// The numbers of the registers that a window writes.
fn stored(store: &Function) -> Option<Vec<u32>> {
    let mut number = None;
    let written = store.instructions().into_iter().filter_map(|at| {
        if at.op0_register() == Register::ECX {
            number = Some(at.immediate32());
        }
        (at.mnemonic() == Mnemonic::Wrmsr).then_some(number)
    });
    written.collect()
}

/// The numbers of the registers that a routine empties, with IRQs off; none if it does anything else.
fn emptied(clear: &Function) -> Option<Vec<u32>> {
    let (mut saved, mut irqs_off, mut rax, mut rdx) = (false, false, false, false);
    let mut number = None;
    let mut numbers = Vec::new();
    for at in clear.instructions() {
        match at.mnemonic() {
            Mnemonic::Endbr64 | Mnemonic::Nop => {}
            Mnemonic::Pushfq => saved = true,
            Mnemonic::Cli if saved => irqs_off = true,
            Mnemonic::Popfq if saved => (saved, irqs_off) = (false, false),
            Mnemonic::Mov if at.op0_register() == Register::ECX => number = Some(at.immediate32()),
            Mnemonic::Wrmsr if irqs_off && rax && rdx => numbers.push(number.take()?),
            Mnemonic::Ret => return (!saved && !irqs_off).then_some(numbers),
            _ if zeroed_register(&at) == Some(Register::EAX) => rax = true,
            _ if zeroed_register(&at) == Some(Register::EDX) => rdx = true,
            _ => return None,
        }
    }
    None
}

/// What chooses between the homes compares one word of memory with numbers, jumps to routines of homes,
/// and otherwise only clears registers: so nothing of S is in a general register in it.
#[test]
fn choices_only_compare_and_jump() {
    for name in [LOAD, STORE, CLEAR] {
        let choice = function(name);
        let mut gone = Vec::new();
        for at in choice.instructions() {
            match at.mnemonic() {
                Mnemonic::Endbr64 | Mnemonic::Ret | Mnemonic::Jne => {}
                Mnemonic::Cmp => {
                    assert!(at.op0_kind() == OpKind::Memory && at.is_ip_rel_memory_operand());
                    assert_eq!(choice.symbol(&at), Some("tresor_home"));
                    assert_eq!(usize::from(at.immediate8()), gone.len(), "{name}");
                }
                Mnemonic::Jmp => gone.push(choice.symbol(&at).unwrap().to_owned()),
                _ => assert!(zeroed_register(&at).is_some(), "{name}: {at}"),
            }
        }
        assert_eq!(gone, HOMES.map(|home| of_home(name, home)));
    }
}
