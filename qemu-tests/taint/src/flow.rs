// SPDX-License-Identifier: GPL-2.0
//! Follows every path through a function, and into the windows it calls, until nothing new comes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iced_x86::{
    EncodingKind, FlowControl, Instruction, InstructionInfo, InstructionInfoFactory, Mnemonic,
};

use crate::content::{Content, State, LANES};
use crate::function::{Function, Mark};
use crate::rule::{Finding, Rule};
use crate::step::Step;

/// Functions by name: what calls are followed into.
pub type Program = BTreeMap<String, Function>;

/// Calls within calls: more than the engines have, and recursion is noticed.
const DEPTH: usize = 4;

/// What became of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The rules that are broken.
    pub findings: BTreeSet<Finding>,
    /// Steps from one instruction to the next that some path takes, those in windows counted for each call.
    pub edges: u64,
    /// What is declared at instructions that are reached, by offset.
    pub declared: BTreeMap<u64, (Mark, String)>,
}

/// Follows the function called `name` from a call by ordinary code: nothing secret is in registers, but for a window that gets S.
pub fn check(program: &Program, function: &Function) -> Outcome {
    let mut state = State::entry();
    state.general[RDX].is_destination = true;
    state.general[RDI].may_point_to_secret = function
        .marks
        .values()
        .any(|mark| *mark == Mark::SecretArgument);
    if function.is_window() {
        for s in S_REGISTERS {
            state.vectors[s][0] = Content::Secret;
        }
    }
    let mut outcome = Outcome::default();
    let exit = follow(program, function, &state, 0, &mut outcome);
    for (offset, mark) in &function.marks {
        let at = function.instruction_at(*offset).unwrap_or_default();
        if *mark != Mark::SecretArgument && !outcome.declared.contains_key(offset) {
            let finding = finding(function, &at, Rule::Declaration, "no path comes here");
            outcome.findings.insert(finding);
        }
    }
    if exit.is_none() {
        let at = function.instruction_at(0).unwrap_or_default();
        let finding = finding(function, &at, Rule::Flow, "does not return");
        outcome.findings.insert(finding);
    }
    outcome
}

const RDX: usize = 2;
const RDI: usize = 7;
/// The vector registers in which S goes through a window.
const S_REGISTERS: [usize; 2] = [0, 1];

/// How a function's calls and jumps end.
enum Next<'a> {
    /// The instructions that may come next, by offset.
    Within(Vec<u64>),
    /// First this function, then the next instruction.
    Call(&'a Function),
    /// This function, which returns to the caller.
    TailCall(&'a Function),
    Return,
    Nowhere(&'static str),
}

/// Follows `function` from `entry`; returns the registers at its returns, or none if no path returns.
fn follow(
    program: &Program,
    function: &Function,
    entry: &State,
    depth: usize,
    outcome: &mut Outcome,
) -> Option<State> {
    let code = Code::new(function);
    let mut before: BTreeMap<u64, State> = BTreeMap::from([(0, entry.clone())]);
    let mut work = vec![0];
    while let Some(offset) = work.pop() {
        let Some((instruction, info)) = code.at(offset) else {
            continue;
        };
        let mut state = before[&offset].clone();
        let step = code.step(instruction, info);
        step.apply(&mut state, &mut |_, _| ());
        let targets = match next(program, function, instruction) {
            Next::Within(targets) => targets,
            Next::Call(callee) if depth < DEPTH => {
                let mut ignored = Outcome::default();
                let Some(after) = follow(program, callee, &state, depth + 1, &mut ignored) else {
                    continue;
                };
                state = after;
                vec![instruction.next_ip()]
            }
            _ => continue,
        };
        for target in targets {
            let changed = match before.get_mut(&target) {
                Some(known) => known.join(&state),
                None => {
                    before.insert(target, state.clone());
                    true
                }
            };
            if changed {
                work.push(target);
            }
        }
    }
    report(program, &code, &before, depth, outcome)
}

/// The last round, with what is known now of each instruction: what it breaks, and where paths go.
fn report(
    program: &Program,
    code: &Code<'_>,
    before: &BTreeMap<u64, State>,
    depth: usize,
    outcome: &mut Outcome,
) -> Option<State> {
    let function = code.function;
    let mut exit: Option<State> = None;
    for (offset, state) in before {
        let Some((instruction, info)) = code.at(*offset) else {
            let nothing = Instruction::default();
            let found = finding(function, &nothing, Rule::Flow, "runs out of its code");
            outcome.findings.insert(Finding {
                offset: *offset,
                ..found
            });
            continue;
        };
        let mut broken = |rule, detail: &str| {
            outcome
                .findings
                .insert(finding(function, instruction, rule, detail));
        };
        let step = code.step(instruction, info);
        let mut after = state.clone();
        step.apply(&mut after, &mut broken);
        if step.branches_on_secret(state) {
            broken(Rule::SecretBranch, "");
        }
        if let Some(mark) = function.mark(instruction) {
            let text = instruction.to_string();
            outcome.declared.insert(*offset, (mark, text));
        }
        match next(program, function, instruction) {
            Next::Within(targets) => outcome.edges += targets.len() as u64,
            Next::Call(callee) if depth < DEPTH => {
                let mut inner = Outcome::default();
                follow(program, callee, &after, depth + 1, &mut inner);
                outcome.findings.extend(inner.findings);
                outcome.edges += inner.edges + 2;
            }
            Next::TailCall(callee) if depth < DEPTH => {
                let mut inner = Outcome::default();
                let returned = follow(program, callee, &after, depth + 1, &mut inner);
                outcome.findings.extend(inner.findings);
                outcome.edges += inner.edges + 1;
                if let Some(returned) = returned {
                    for (rule, detail) in left(function, &returned, code.kind(before), depth) {
                        let found = finding(function, instruction, rule, &detail);
                        outcome.findings.insert(found);
                    }
                    join(&mut exit, &returned);
                }
            }
            Next::Call(_) | Next::TailCall(_) => broken(Rule::Flow, "calls too deep"),
            Next::Nowhere(why) => broken(Rule::Flow, why),
            Next::Return => {
                for (rule, detail) in left(function, state, code.kind(before), depth) {
                    broken(rule, &detail);
                }
                join(&mut exit, state);
            }
        }
    }
    for unreached in code.unreached(before) {
        let found = finding(function, unreached, Rule::Flow, "no path comes here");
        outcome.findings.insert(found);
    }
    exit
}

/// Adds one more way out.
fn join(exit: &mut Option<State>, state: &State) {
    match exit {
        Some(exit) => {
            exit.join(state);
        }
        None => *exit = Some(state.clone()),
    }
}

fn next<'a>(program: &'a Program, function: &Function, instruction: &Instruction) -> Next<'a> {
    let target = instruction.near_branch_target();
    // Before it is linked, a jump to another place has a zero offset, and a relocation says where it goes.
    let symbol = function.symbol(instruction);
    let inside = symbol.is_none() && target < function.code.len() as u64;
    match instruction.flow_control() {
        FlowControl::Next => Next::Within(vec![instruction.next_ip()]),
        FlowControl::Return => Next::Return,
        FlowControl::UnconditionalBranch if symbol == Some(RETURN_THUNK) => Next::Return,
        FlowControl::UnconditionalBranch if inside => Next::Within(vec![target]),
        FlowControl::ConditionalBranch if inside => {
            Next::Within(vec![instruction.next_ip(), target])
        }
        FlowControl::Call if instruction.mnemonic() == Mnemonic::Call => {
            match symbol.and_then(|name| program.get(name)) {
                Some(callee) => Next::Call(callee),
                None => Next::Nowhere("calls something else than a window"),
            }
        }
        FlowControl::UnconditionalBranch if instruction.mnemonic() == Mnemonic::Jmp => {
            match symbol.and_then(|name| program.get(name)) {
                Some(callee) => Next::TailCall(callee),
                None => Next::Nowhere("jumps out of the function"),
            }
        }
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            Next::Nowhere("jumps out of the function")
        }
        _ => Next::Nowhere("control goes somewhere that the code does not say"),
    }
}

/// What RET is in a kernel with mitigations: it only returns, see `Documentation/dev-tools/tresor-proof.rst`.
const RETURN_THUNK: &str = "__x86_return_thunk";

/// What is left in registers at a return that should not be. A window that an engine called gives S back in its registers.
fn left(
    function: &Function,
    state: &State,
    kind: Option<EncodingKind>,
    depth: usize,
) -> Vec<(Rule, String)> {
    let mut left = Vec::new();
    let mut secret = |what: String, content: Content| {
        if content == Content::Secret {
            left.push((Rule::SecretLeft, what));
        }
    };
    for (number, value) in state.general.iter().enumerate() {
        secret(format!("general register {number}"), value.content);
    }
    secret("flags".to_owned(), state.flags);
    secret("MXCSR".to_owned(), state.mxcsr);
    if depth > 0 {
        return left;
    }
    for (number, lanes) in state.vectors.iter().enumerate() {
        if function.is_window() && S_REGISTERS.contains(&number) {
            continue;
        }
        for (lane, content) in lanes.iter().enumerate() {
            secret(format!("vector register {number}, lane {lane}"), *content);
        }
    }
    for (number, content) in state.masks.iter().enumerate() {
        secret(format!("mask register {number}"), *content);
    }
    if function.is_window() {
        return left;
    }
    let (registers, lanes) = match kind {
        None => (0, 0),
        Some(EncodingKind::Legacy) => (16, 1),
        Some(EncodingKind::VEX) => (16, LANES),
        Some(_) => (32, LANES),
    };
    let mut not_zero = |what: String, content: Content| {
        if content == Content::Public {
            left.push((Rule::NotWiped, what));
        }
    };
    for (number, register) in state.vectors.iter().enumerate().take(registers) {
        for (lane, content) in register.iter().enumerate().take(lanes) {
            not_zero(format!("vector register {number}, lane {lane}"), *content);
        }
    }
    for (number, content) in state.masks.iter().enumerate() {
        not_zero(format!("mask register {number}"), *content);
    }
    left
}

fn finding(function: &Function, at: &Instruction, rule: Rule, detail: &str) -> Finding {
    Finding {
        function: function.name.clone(),
        offset: at.ip(),
        instruction: at.to_string(),
        rule,
        detail: detail.to_owned(),
    }
}

/// A function's instructions, decoded one after the other. A jump into the middle of one would not be found here, and is a finding.
struct Code<'a> {
    function: &'a Function,
    instructions: Vec<(Instruction, InstructionInfo)>,
    index: HashMap<u64, usize>,
    /// Where jumps go.
    targets: BTreeSet<u64>,
}

impl<'a> Code<'a> {
    fn new(function: &'a Function) -> Self {
        let mut factory = InstructionInfoFactory::new();
        let instructions: Vec<_> = function
            .instructions()
            .into_iter()
            .map(|instruction| {
                let info = factory.info(&instruction).clone();
                (instruction, info)
            })
            .collect();
        let index = (0..)
            .zip(&instructions)
            .map(|(number, (instruction, _))| (instruction.ip(), number))
            .collect();
        let jumps = instructions.iter().filter(|(instruction, _)| {
            matches!(
                instruction.flow_control(),
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
            )
        });
        let targets = jumps
            .map(|(instruction, _)| instruction.near_branch_target())
            .collect();
        Self {
            function,
            instructions,
            index,
            targets,
        }
    }

    fn at(&self, offset: u64) -> Option<(&Instruction, &InstructionInfo)> {
        let (instruction, info) = self.instructions.get(*self.index.get(&offset)?)?;
        (!instruction.is_invalid()).then_some((instruction, info))
    }

    fn step<'s>(&'s self, instruction: &'s Instruction, info: &'s InstructionInfo) -> Step<'s> {
        let number = self.index.get(&instruction.ip());
        let previous = number
            .filter(|_| !self.targets.contains(&instruction.ip()))
            .and_then(|number| self.instructions.get(number.checked_sub(1)?))
            .map(|(previous, _)| previous);
        Step {
            function: self.function,
            instruction,
            info,
            previous,
        }
    }

    /// The widest kind of vector registers that the reached instructions use, or the windows, which are SSE code; none if there is
    /// neither.
    fn kind(&self, before: &BTreeMap<u64, State>) -> Option<EncodingKind> {
        let reached = before.keys().filter_map(|offset| self.at(*offset));
        let on_vectors = reached.filter(|(instruction, info)| {
            let mut used = info.used_registers().iter();
            used.any(|used| used.register().is_vector_register() || used.register().is_k())
                || instruction.flow_control() == FlowControl::Call
        });
        let order = |kind: &EncodingKind| match kind {
            EncodingKind::Legacy => 0,
            EncodingKind::VEX => 1,
            _ => 2,
        };
        on_vectors
            .map(|(instruction, _)| instruction.encoding())
            .max_by_key(order)
    }

    /// Instructions that no path reaches, but for what fills up the places before jump targets.
    fn unreached<'s>(
        &'s self,
        before: &'s BTreeMap<u64, State>,
    ) -> impl Iterator<Item = &'s Instruction> {
        let filler = |instruction: &Instruction| {
            matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
        };
        self.instructions
            .iter()
            .map(|(instruction, _)| instruction)
            .filter(move |instruction| !before.contains_key(&instruction.ip()))
            .filter(move |instruction| !filler(instruction))
    }
}
