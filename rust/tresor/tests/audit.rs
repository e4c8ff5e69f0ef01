// SPDX-License-Identifier: GPL-2.0
//! Reads every instruction of the assembled engines: see `common/audit.rs` for the rules.
//!
//! The controls change one instruction of a real engine and expect the audit to name the rule that
//! is broken.

mod common;

use common::audit::{audit, results, zeroed, Policy, Rule};
use common::object::{functions, Function};
use iced_x86::{Instruction, Register};

/// The engines as user space runs them, and as the kernel assembles them: there a window also turns
/// IRQs off, and its caller turns them on again.
const FLAVOURS: [&str; 2] = [env!("TRESOR_USER_OBJECTS"), env!("TRESOR_KERNEL_OBJECTS")];

/// XTS: one decision (no S).
const XTS: Policy = Policy {
    destination: Some(Register::R10),
    declassified: 1,
};
/// Unlocking: three decisions (wrong MAC, zero S, S not kept); nothing goes to memory.
const UNLOCK: Policy = Policy {
    destination: None,
    declassified: 3,
};

/// What the self tests of the kernel need: no decision, nothing to memory.
const SELF_TEST: Policy = Policy {
    destination: None,
    declassified: 0,
};

fn policy(function: &Function) -> &'static Policy {
    match function.name.as_str() {
        name if name.starts_with("tresor_xts_") => &XTS,
        name if name.starts_with("tresor_unlock_") => &UNLOCK,
        _ => &SELF_TEST,
    }
}

/// The functions of both flavours but the windows, which have a test of their own.
fn engines() -> impl Iterator<Item = Function> {
    let functions = FLAVOURS.into_iter().flat_map(functions);
    functions.filter(|function| function.section == ".text")
}

/// The last wipe of %xmm8: five bytes, as the changes of the controls need.
fn last_wipe(function: &Function) -> Instruction {
    let last = function
        .instructions()
        .into_iter()
        .rev()
        .find(|instruction| zeroed(instruction) == Some(Register::XMM8));
    let last = last.expect("every engine wipes xmm8");
    assert_eq!(last.len(), 5);
    last
}

#[test]
fn every_engine_keeps_the_rules() {
    let mut names: Vec<_> = engines().map(|function| function.name).collect();
    names.sort_unstable();
    let expected = [
        "tresor_clear_s",
        "tresor_set_public_s",
        "tresor_unlock_shani",
        "tresor_unlock_shani",
        "tresor_unlock_ssse3",
        "tresor_unlock_ssse3",
        "tresor_xts_aesni_dec_128",
        "tresor_xts_aesni_dec_128",
        "tresor_xts_aesni_dec_256",
        "tresor_xts_aesni_dec_256",
        "tresor_xts_aesni_enc_128",
        "tresor_xts_aesni_enc_128",
        "tresor_xts_aesni_enc_256",
        "tresor_xts_aesni_enc_256",
    ];
    assert_eq!(names, expected);
    for function in engines() {
        assert_eq!(audit(&function, policy(&function)), []);
    }
}

/// Eight blocks of the bulk, one of the single step, two of ciphertext stealing: all that an XTS
/// engine writes.
#[test]
fn stores_are_those_of_finished_blocks() {
    for function in engines() {
        let stores = results(&function, policy(&function));
        println!("{}: {stores:#?}", function.name);
        assert_eq!(
            stores.len(),
            if function.name.contains("xts") {
                8 + 1 + 2
            } else {
                0
            },
            "{}",
            function.name
        );
    }
}

#[test]
fn control_each_broken_rule_is_named() {
    let changes: [(&[u8], &str, &[Rule]); 9] = [
        (&[], "nop", &[Rule::Wipe]),
        (
            &[0x0f, 0x11, 0x44, 0x24, 0xc0],
            "movups %xmm0, -64(%rsp)",
            &[Rule::Store, Rule::Wipe],
        ),
        (
            &[0xf3, 0x0f, 0x7f, 0x06],
            "movdqu %xmm0, (%rsi)",
            &[Rule::Store, Rule::Wipe],
        ),
        (
            &[0x41, 0x53, 0x41, 0x5b],
            "push %r11; pop %r11",
            &[Rule::Store, Rule::Wipe],
        ),
        (
            &[0x66, 0x4c, 0x0f, 0x7e, 0xc0],
            "movq %xmm8, %rax",
            &[Rule::Leak, Rule::Wipe],
        ),
        (
            &[0x66, 0x0f, 0xd7, 0xc0],
            "pmovmskb %xmm0, %eax",
            &[Rule::Leak, Rule::Wipe],
        ),
        (
            &[0xc5, 0xf8, 0x77],
            "vzeroupper",
            &[Rule::ForeignRegister, Rule::Wipe],
        ),
        (
            &[0x66, 0x0f, 0x2e, 0xc1],
            "ucomisd %xmm1, %xmm0",
            &[Rule::Declassified, Rule::Wipe],
        ),
        (
            &[0xff, 0xd0],
            "call *%rax",
            &[Rule::Store, Rule::Flow, Rule::Wipe],
        ),
    ];
    for function in engines() {
        for (code, text, expected) in changes {
            let mut broken = function.clone();
            broken.replace(&last_wipe(&function), code);
            let mut rules: Vec<_> = audit(&broken, policy(&function))
                .into_iter()
                .map(|(rule, _)| rule)
                .collect();
            let mut expected = expected.to_vec();
            for rules in [&mut rules, &mut expected] {
                rules.sort_by_key(|rule| format!("{rule:?}"));
                rules.dedup();
            }
            assert_eq!(rules, expected, "{} with {text}", function.name);
        }
    }
}

#[test]
fn control_every_single_wipe_counts() {
    for function in engines() {
        let wipes: Vec<_> = function
            .instructions()
            .into_iter()
            .filter(|instruction| zeroed(instruction).is_some())
            .collect();
        let mut caught = 0;
        for wipe in &wipes {
            let mut broken = function.clone();
            broken.replace(wipe, &[]);
            caught += usize::from(!audit(&broken, policy(&function)).is_empty());
        }
        let returns = function
            .instructions()
            .iter()
            .filter(|instruction| instruction.mnemonic() == iced_x86::Mnemonic::Ret)
            .count();
        assert_eq!(caught, 16 * returns, "{}", function.name);
    }
}
