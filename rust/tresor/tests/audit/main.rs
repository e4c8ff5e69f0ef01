// SPDX-License-Identifier: GPL-2.0
//! Reads every instruction of the assembled engines: the crate `taint` follows secrets through them
//! and has the rules.
//!
//! This CPU need not be able to run them. The controls change one instruction of a real engine and
//! expect the rule that is broken to be named.

mod changes;
mod foreign;
mod policies;
mod tables;

use changes::{changes, plain_code, Change};
use foreign::foreign;
use iced_x86::{Instruction, Mnemonic, Register};
use policies::{policy, MODES, UNLOCK, WRAP, XTS};
use tables::WITHOUT;
use taint::object_file::functions;
use taint::{check, is_wipe, Function, Mark, Program, Rule};
use tresor::user::Class;

/// The engines as user space runs them, and as the kernel assembles them: there a window also turns
/// IRQs off, and its caller turns them on again.
const FLAVOURS: [&str; 2] = [env!("TRESOR_USER_OBJECTS"), env!("TRESOR_KERNEL_OBJECTS")];

/// The functions of both flavours but those of the home of S, which have a test of their own.
fn engines() -> Vec<Function> {
    let read = |objects| functions(objects).unwrap();
    let mut functions: Vec<_> = FLAVOURS.into_iter().flat_map(read).collect();
    functions.retain(is_engine);
    functions
}

/// Whether a function is linked with the engines: `ENGINE_TEXT` of asm/window.inc, in user space and in the kernel.
fn is_engine(function: &Function) -> bool {
    [".text", ".kprobes.text"].contains(&function.section.as_str())
}

/// The windows that engines call: user space's own have the same contract.
fn windows() -> Program {
    let mut functions = functions(FLAVOURS[1]).unwrap();
    functions.retain(Function::is_window);
    functions
        .into_iter()
        .map(|function| (function.name.clone(), function))
        .collect()
}

/// The rules that are broken, each once.
fn broken_rules(windows: &Program, function: &Function) -> Vec<Rule> {
    let findings = check(windows, function).findings;
    let mut rules: Vec<_> = findings.into_iter().map(|finding| finding.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[test]
fn every_engine_keeps_the_rules() {
    let engines = engines();
    let mut names: Vec<_> = engines.iter().map(|engine| engine.name.clone()).collect();
    names.sort_unstable();
    let xts = XTS.iter().flat_map(|(class, ..)| {
        ["enc_128", "dec_128", "enc_256", "dec_256"]
            .map(|operation| format!("tresor_xts_{class}_{operation}"))
    });
    let both = xts
        .chain(mode_names())
        .chain(wrap_names())
        .chain(UNLOCK.map(|(name, _)| name.to_owned()));
    let mut expected: Vec<_> = both.flat_map(|name| [name.clone(), name]).collect();
    expected.push("tresor_set_public_s".to_owned());
    expected.sort_unstable();
    assert_eq!(names, expected);
    let windows = windows();
    for function in &engines {
        let broken: Vec<_> = check(&windows, function)
            .findings
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(broken, Vec::<String>::new());
    }
}

#[test]
fn the_home_of_s_keeps_the_rules() {
    // Jumps to the routines of the homes are followed, too.
    let all = functions(FLAVOURS[1]).unwrap().into_iter();
    let windows: Program = all
        .map(|function| (function.name.clone(), function))
        .collect();
    let mut home = functions(FLAVOURS[1]).unwrap();
    // The end of a CPU has a test of its own: it ends with a jump to the routine that empties the home.
    home.retain(|function| !is_engine(function) && !function.name.starts_with("tresor_end_"));
    // Load, store and clear of four homes, and of what chooses between them.
    assert_eq!(home.len(), 3 * (4 + 1));
    for function in home {
        assert_eq!(broken_rules(&windows, &function), [], "{}", function.name);
    }
}

#[test]
fn engines_have_only_instructions_of_their_class() {
    for function in engines() {
        let foreign = foreign(&function, policy(&function).0);
        assert_eq!(foreign, Vec::<String>::new());
    }
}

/// The names of the functions of all modes but XTS.
fn mode_names() -> impl Iterator<Item = String> {
    MODES.into_iter().flat_map(|(class, _)| {
        [128, 192, 256].into_iter().flat_map(move |bits| {
            let both = ["ecb", "cbc", "essiv_cbc"]
                .into_iter()
                .flat_map(move |mode| {
                    ["enc", "dec"]
                        .map(|operation| format!("tresor_{mode}_{class}_{operation}_{bits}"))
                });
            both.chain([format!("tresor_ctr_{class}_{bits}")])
        })
    })
}

/// The names of the functions of wrapped handles.
fn wrap_names() -> impl Iterator<Item = String> {
    MODES
        .into_iter()
        .flat_map(|(class, _)| WRAP.map(|(name, ..)| format!("tresor_wrap_{name}_{class}")))
}

/// No class without a policy, and no policy of an engine that the library does not have.
#[test]
fn policies_are_those_of_the_classes() {
    let classes: Vec<_> = Class::ALL.map(Class::name).into();
    let policies: Vec<_> = XTS.iter().map(|(class, ..)| *class).collect();
    assert_eq!(policies, classes);
}

/// How many instructions of `function` the source declares to be `mark`.
fn declared(function: &Function, mark: Mark) -> Vec<Instruction> {
    let mut instructions = function.instructions();
    instructions.retain(|instruction| function.mark(instruction) == Some(mark));
    instructions
}

#[test]
fn declared_are_finished_blocks_and_few_decisions() {
    for function in engines() {
        let (policy, stores) = policy(&function);
        let name = &function.name;
        assert_eq!(declared(&function, Mark::Block).len(), stores, "{name}");
        let mut verdicts = declared(&function, Mark::Verdict);
        // Where SSE4.1 is missing, a conversion comes before the comparison.
        verdicts.retain(|instruction| instruction.rflags_modified() != 0);
        assert_eq!(verdicts.len(), policy.verdicts, "{name}");
        let secret = declared(&function, Mark::SecretArgument).len();
        let has_secret =
            name.starts_with("tresor_unlock_") || name.starts_with("tresor_wrap_mask_");
        assert_eq!(secret == 1, has_secret, "{name}");
    }
}

#[test]
fn control_each_broken_rule_is_named() {
    let windows = windows();
    for function in engines() {
        let place = plain_code(&function);
        let without = |code: &[u8]| {
            let mut changed = function.clone();
            changed.replace_all(&place, code);
            changed
        };
        let (policy, stores) = policy(&function);
        // The self tests' secret is public, and there is no other instruction on vectors than wipes.
        let secrets = function.name != "tresor_set_public_s";
        let always = broken_rules(&windows, &without(&[]));
        assert!(
            !secrets || always.is_empty(),
            "{}: {always:?}",
            function.name
        );
        for Change { code, text, rules } in changes(policy, stores > 0, secrets) {
            let found = broken_rules(&windows, &without(&code));
            for rule in rules {
                assert!(
                    found.contains(&rule),
                    "{} with {text}: {rule:?} not in {found:?}",
                    function.name
                );
            }
        }
        for (feature, code, text) in WITHOUT {
            if !policy.features.contains(feature) {
                assert_ne!(foreign(&without(code), policy), [""; 0], "{text}");
            }
        }
    }
}

/// Without the instruction that clears the other bytes, the one byte that goes to memory through a
/// general register is a leak.
#[test]
fn control_only_a_single_byte_may_pass() {
    let windows = windows();
    let mut seen = 0;
    for function in engines() {
        let instructions = function.instructions();
        for pair in instructions.windows(2) {
            if function.mark(&pair[1]) != Some(Mark::Byte) {
                continue;
            }
            assert_eq!(pair[1].op0_register(), Register::EAX);
            let mut broken = function.clone();
            broken.replace(&pair[0], &[]);
            let rules = broken_rules(&windows, &broken);
            let expected = [Rule::SecretInGeneral, Rule::Declaration];
            assert!(
                expected.iter().all(|rule| rules.contains(rule)),
                "{}: {rules:?}",
                function.name
            );
            seen += 1;
        }
    }
    // Three key sizes, as user space and as the kernel assembles them.
    assert_eq!(seen, 2 * 3);
}

/// Takes away each wipe before each return, one at a time.
#[test]
fn control_every_single_wipe_counts() {
    let windows = windows();
    for function in engines() {
        let instructions = function.instructions();
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
                .skip_while(|instruction| !is_wipe(instruction))
                .take_while(|instruction| is_wipe(instruction))
                .collect();
            assert!(!wipes.is_empty(), "{}", function.name);
            // A window that is called after the wipe, or just before, zeroes a register itself.
            let window_follows = instructions[..at].iter().rev().take(8);
            let window_follows = window_follows
                .take_while(|instruction| !is_wipe(instruction))
                .any(|instruction| instruction.mnemonic() == Mnemonic::Call);
            let window_zeroes = window_follows || function.name == "tresor_set_public_s";
            let again = |wipe: &Instruction| window_zeroes && wipe.op0_register() == Register::XMM2;
            for wipe in wipes.into_iter().filter(|wipe| !again(wipe)) {
                let mut broken = function.clone();
                broken.replace(wipe, &[]);
                let rules = broken_rules(&windows, &broken);
                let noticed = |rule| [Rule::SecretLeft, Rule::NotWiped].contains(rule);
                assert!(
                    !rules.is_empty() && rules.iter().all(noticed),
                    "{}: {wipe}: {rules:?}",
                    function.name
                );
            }
        }
        assert!(returns > 0, "{}", function.name);
    }
}

/// Half a wipe is none: upper halves are looked at, too.
#[test]
fn control_half_a_wipe_is_noticed() {
    let windows = windows();
    let mut seen = 0;
    for function in engines() {
        let wipe = function
            .instructions()
            .into_iter()
            .rfind(|instruction| instruction.mnemonic() == Mnemonic::Vzeroall);
        if let Some(wipe) = wipe {
            let mut broken = function.clone();
            broken.replace(&wipe, &[0xc5, 0xf8, 0x77]); // vzeroupper
            let rules = broken_rules(&windows, &broken);
            let noticed = [Rule::SecretLeft, Rule::NotWiped];
            assert!(
                rules.iter().any(|rule| noticed.contains(rule)),
                "{}",
                function.name
            );
            seen += 1;
        }
    }
    assert!(seen > 0);
}
