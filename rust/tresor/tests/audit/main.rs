// SPDX-License-Identifier: GPL-2.0
//! Reads every instruction of the assembled engines: see `common/audit.rs` for the rules.
//!
//! This CPU need not be able to run them. The controls change one instruction of a real engine and
//! expect the audit to name the rule that is broken.

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod policies;
mod tables;

use changes::{changes, plain_code, Change};
use common::audit::{audit, results, Rule};
use common::object::{functions, Function};
use common::wipe::{unwiped_returns, zeroes, Registers};
use iced_x86::Mnemonic;
use policies::{policy, UNLOCK, XTS};
use tresor::user::Class;

/// The engines as user space runs them, and as the kernel assembles them: there a window also turns
/// IRQs off, and its caller turns them on again.
const FLAVOURS: [&str; 2] = [env!("TRESOR_USER_OBJECTS"), env!("TRESOR_KERNEL_OBJECTS")];

/// The functions of both flavours but the windows, which have a test of their own.
fn engines() -> impl Iterator<Item = Function> {
    let functions = FLAVOURS.into_iter().flat_map(functions);
    functions.filter(|function| function.section == ".text")
}

/// The rules that are broken, each once.
fn broken_rules(function: &Function) -> Vec<Rule> {
    let mut rules: Vec<_> = audit(function, policy(function).0)
        .into_iter()
        .map(|(rule, _)| rule)
        .collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[test]
fn every_engine_keeps_the_rules() {
    let mut names: Vec<_> = engines().map(|function| function.name).collect();
    names.sort_unstable();
    let xts = XTS.iter().flat_map(|(class, ..)| {
        ["enc_128", "dec_128", "enc_256", "dec_256"]
            .map(|operation| format!("tresor_xts_{class}_{operation}"))
    });
    let both = xts.chain(UNLOCK.map(|(name, _)| name.to_owned()));
    let mut expected: Vec<_> = both.flat_map(|name| [name.clone(), name]).collect();
    expected.extend(["tresor_clear_s", "tresor_set_public_s"].map(str::to_owned));
    expected.sort_unstable();
    assert_eq!(names, expected);
    for function in engines() {
        assert_eq!(audit(&function, policy(&function).0), []);
    }
}

/// No class without a policy, and no policy of an engine that the library does not have.
#[test]
fn policies_are_those_of_the_classes() {
    let classes: Vec<_> = Class::ALL.map(Class::name).into();
    let policies: Vec<_> = XTS.iter().map(|(class, ..)| *class).collect();
    assert_eq!(policies, classes);
}

#[test]
fn stores_are_those_of_finished_blocks() {
    for function in engines() {
        let (policy, expected) = policy(&function);
        let stores = results(&function, policy);
        assert_eq!(stores.len(), expected, "{}: {stores:#?}", function.name);
    }
}

#[test]
fn control_each_broken_rule_is_named() {
    for function in engines() {
        let place = plain_code(&function);
        let without = |code: &[u8]| {
            let mut changed = function.clone();
            changed.replace_all(&place, code);
            broken_rules(&changed)
        };
        // In a function that does nothing but wipe, the place is one of a wipe.
        let always = without(&[]);
        assert!(always.is_empty() || function.name.ends_with("_s"));
        for Change { code, text, rules } in changes(policy(&function).0) {
            let mut expected = [&always[..], &rules].concat();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(without(&code), expected, "{} with {text}", function.name);
        }
    }
}

/// Takes away each wipe before each return, one at a time.
#[test]
fn control_every_single_wipe_counts() {
    for function in engines() {
        let instructions = function.instructions();
        let wiped = policy(&function).0.wiped;
        let mut returns = 0;
        for (at, _) in instructions
            .iter()
            .enumerate()
            .filter(|(_, instruction)| instruction.mnemonic() == Mnemonic::Ret)
        {
            returns += 1;
            let wipes: Vec<_> = instructions[..at]
                .iter()
                .rev()
                .skip_while(|instruction| zeroes(instruction) == Registers::NONE)
                .take_while(|instruction| zeroes(instruction) != Registers::NONE)
                .collect();
            assert!(!wipes.is_empty(), "{}", function.name);
            for wipe in wipes {
                let mut broken = function.clone();
                broken.replace(wipe, &[]);
                let left = unwiped_returns(&broken, &broken.instructions(), &wiped);
                assert!(!left.is_empty(), "{}: {wipe}", function.name);
            }
        }
        assert!(returns > 0, "{}", function.name);
    }
}

/// Half a wipe is none: upper halves are looked at, too.
#[test]
fn control_half_a_wipe_is_noticed() {
    let mut seen = 0;
    for function in engines() {
        let wipe = function
            .instructions()
            .into_iter()
            .rfind(|instruction| instruction.mnemonic() == Mnemonic::Vzeroall);
        if let Some(wipe) = wipe {
            let mut broken = function.clone();
            broken.replace(&wipe, &[0xc5, 0xf8, 0x77]); // vzeroupper
            assert_eq!(broken_rules(&broken), [Rule::Wipe], "{}", function.name);
            seen += 1;
        }
    }
    assert!(seen > 0);
}
