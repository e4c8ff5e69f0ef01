// SPDX-License-Identifier: GPL-2.0
//! Reads every instruction of the routines for a CPU that stops for good: what each wipes, on the
//! kind of CPU that it is for.

use iced_x86::{Instruction, Mnemonic, Register};
use taint::object_file::functions;
use taint::{zeroed_register, Function};

fn function(name: &str) -> Function {
    let mut functions = functions(env!("TRESOR_KERNEL_OBJECTS")).unwrap();
    functions.retain(|function| function.name == name);
    functions.pop().unwrap()
}

/// Vector and mask registers that are set to zero by name, in order; the kind by its first letter.
fn wiped(end: &Function) -> Vec<(char, usize)> {
    let kind = |register: Register| match register {
        register if register.is_xmm() => Some('x'),
        register if register.is_zmm() => Some('z'),
        register if register.is_k() => Some('k'),
        _ => None,
    };
    let registers = end.instructions();
    let registers = registers.iter().filter_map(zeroed_register);
    registers
        .filter_map(|register| Some((kind(register)?, register.number())))
        .collect()
}

fn wipes_upper_halves(end: &Function) -> bool {
    let vzeroall = |i: &Instruction| i.mnemonic() == Mnemonic::Vzeroall;
    end.instructions().iter().any(vzeroall)
}

/// Whether a routine wipes all that its kind of CPU has.
fn is_complete(end: &Function) -> bool {
    let all = |kind: char, numbers: std::ops::Range<usize>| numbers.map(move |n| (kind, n));
    let expected: Vec<_> = match end.name.as_str() {
        "tresor_end_sse" => all('x', 0..16).collect(),
        "tresor_end_avx" => Vec::new(),
        _ => all('z', 16..32).chain(all('k', 0..8)).collect(),
    };
    wiped(end) == expected && wipes_upper_halves(end) == (end.name != "tresor_end_sse")
}

const ROUTINES: [&str; 3] = ["tresor_end_sse", "tresor_end_avx", "tresor_end_avx512"];

#[test]
fn each_kind_of_cpu_is_wiped() {
    for name in ROUTINES {
        let end = function(name);
        assert!(is_complete(&end), "{name}");
        assert_eq!(end.section, ".noinstr.text", "{name}");
        let last = end.instructions().last().map(Instruction::mnemonic);
        assert_eq!(last, Some(Mnemonic::Jmp), "{name}");
    }
}

#[test]
fn control_each_wipe_that_is_missing_is_noticed() {
    let mut tried = 0;
    for end in ROUTINES.map(function) {
        for instruction in end.instructions() {
            let vector = |register: Register| !register.is_gpr();
            if zeroed_register(&instruction).is_some_and(vector)
                || instruction.mnemonic() == Mnemonic::Vzeroall
            {
                let mut broken = end.clone();
                broken.replace(&instruction, &[]);
                assert!(!is_complete(&broken), "{instruction}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 16 + 1 + 1 + 16 + 8);
}
