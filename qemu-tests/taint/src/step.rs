// SPDX-License-Identifier: GPL-2.0
//! What one instruction does to the registers, and which rules it breaks.

use iced_x86::{
    EncodingKind, FlowControl, Instruction, InstructionInfo, Mnemonic, OpAccess, OpKind, Register,
    RflagsBits, UsedMemory,
};

use crate::content::{Content, State, Value, LANES};
use crate::function::{Function, Mark};
use crate::rule::Rule;
use crate::table::{class, Class};
use crate::zero::zeroed;

/// The flags that calculations set.
const STATUS: u32 = RflagsBits::OF
    | RflagsBits::SF
    | RflagsBits::ZF
    | RflagsBits::AF
    | RflagsBits::CF
    | RflagsBits::PF;

/// One instruction of a function, with what it uses.
pub(crate) struct Step<'a> {
    pub(crate) function: &'a Function,
    pub(crate) instruction: &'a Instruction,
    pub(crate) info: &'a InstructionInfo,
    /// The instruction before it, if nothing jumps in between.
    pub(crate) previous: Option<&'a Instruction>,
}

/// Receives a rule that is broken, and the detail.
pub(crate) type Report<'a> = &'a mut dyn FnMut(Rule, &str);

impl Step<'_> {
    /// Changes `state` as the instruction does. Jumps, calls and returns do nothing here but what they do to the stack.
    pub(crate) fn apply(&self, state: &mut State, report: Report<'_>) {
        let instruction = self.instruction;
        let mark = self.function.mark(instruction);
        let Some(class) = class(instruction.mnemonic()).filter(|_| !self.uses_strange_register())
        else {
            report(Rule::Unknown, "");
            self.write(state, Content::Secret, report);
            return;
        };
        if let Some(zero) = zeroed(instruction) {
            for (register, lanes) in zero.vectors {
                state.vectors[register][lanes].fill(Content::Zero);
            }
            if let Some(mask) = zero.mask {
                state.masks[mask] = Content::Zero;
            }
            if let Some(general) = zero.general {
                state.general[general] = Value::of(Content::Zero);
                state.flags = Content::Public;
            }
            return;
        }
        self.check_addresses(state, report);
        let mut source = self.source(state, class);
        if class == Class::SaveState {
            source = source.max(state.extended());
        }
        self.check_time(state, class, source, report);
        if class == Class::Port {
            report(Rule::Port, "");
        }
        self.check_stores(state, source, report);
        match mark {
            Some(Mark::Block | Mark::SecretArgument) | None => (),
            Some(Mark::Verdict) => {
                if !self.gives_verdict(class) {
                    report(Rule::Declaration, "no flag depends on a vector register");
                }
            }
            Some(Mark::Byte) => {
                if self.is_finished_byte() {
                    source = Content::Public;
                } else {
                    report(
                        Rule::Declaration,
                        "not one byte that the instruction before leaves alone",
                    );
                }
            }
        }
        if mark == Some(Mark::Block) && !self.stores() {
            report(Rule::Declaration, "no store");
        }
        self.write(state, source, report);
        self.write_flags(state, class, source, mark);
    }

    /// Only general, vector, mask and debug registers are followed; segment and control registers are read.
    fn uses_strange_register(&self) -> bool {
        !self.info.used_registers().iter().all(|used| {
            let register = used.register();
            register.is_gpr()
                || register.is_vector_register()
                || register.is_k()
                || register.is_dr()
                || register.is_ip()
                || ((register.is_segment_register() || register.is_cr()) && !writes(used.access()))
        })
    }

    /// The worst of all that is read.
    fn source(&self, state: &State, class: Class) -> Content {
        let mut worst = Content::Public;
        for used in self.info.used_registers() {
            if reads(used.access()) {
                worst = worst.max(of_register(state, used.register()));
            }
        }
        for memory in self.info.used_memory() {
            if reads(memory.access()) {
                worst = worst.max(of_memory(state, memory));
            }
        }
        if class != Class::Control && self.instruction.rflags_read() & STATUS != 0 {
            worst = worst.max(state.flags);
        }
        if self.instruction.mnemonic() == Mnemonic::Pushfq {
            worst = worst.max(state.flags);
        }
        if class == Class::ReadMsr {
            worst = Content::Secret;
        }
        worst
    }

    fn check_addresses(&self, state: &State, report: Report<'_>) {
        for memory in self.info.used_memory() {
            for register in [memory.base(), memory.index()] {
                if of_register(state, register) == Content::Secret {
                    report(Rule::SecretAddress, &format!("{register:?}"));
                }
            }
        }
        let mask = self.instruction.op_mask();
        if !self.info.used_memory().is_empty() && of_register(state, mask) == Content::Secret {
            report(Rule::SecretAddress, "whether there is an access");
        }
    }

    fn check_time(&self, state: &State, class: Class, source: Content, report: Report<'_>) {
        let depends = match class {
            Class::Shift => self.count(state) == Content::Secret,
            Class::Divide | Class::StringMove => source == Content::Secret,
            Class::Float => {
                let declared = self.function.mark(self.instruction) == Some(Mark::Verdict);
                source == Content::Secret && !declared
            }
            _ => false,
        };
        if depends {
            report(Rule::SecretTiming, "");
        }
    }

    /// What the count of a shift depends on: the last operand.
    fn count(&self, state: &State) -> Content {
        let last = self.instruction.op_count() - 1;
        match self.instruction.op_kind(last) {
            OpKind::Register => of_register(state, self.instruction.op_register(last)),
            OpKind::Memory => {
                let memory = self.info.used_memory().iter();
                let loaded = memory.map(|memory| of_memory(state, memory)).max();
                loaded.unwrap_or(Content::Public)
            }
            _ => Content::Public,
        }
    }

    fn stores(&self) -> bool {
        let mut memory = self.info.used_memory().iter();
        memory.any(|memory| writes(memory.access()))
    }

    fn check_stores(&self, state: &State, source: Content, report: Report<'_>) {
        if !self.stores() {
            return;
        }
        if self.function.mark(self.instruction) == Some(Mark::Block) {
            if !self.is_plain_store() {
                report(Rule::Declaration, "not a plain store of a register");
            }
            let base = self.instruction.memory_base();
            let destination = base.is_gpr64()
                && state.general[base.number()].is_destination
                && self.instruction.segment_prefix() == Register::None;
            if !destination {
                report(Rule::Destination, "");
            }
            return;
        }
        // A call stores its return address, which is public; where it goes is checked elsewhere.
        let is_public = self.instruction.mnemonic() == Mnemonic::Call;
        if source == Content::Secret {
            report(Rule::SecretStored, "");
        } else if !is_public && self.instruction.mnemonic() != Mnemonic::Pushfq {
            report(Rule::UndeclaredStore, "");
        }
    }

    fn is_plain_store(&self) -> bool {
        let plain = matches!(
            self.instruction.mnemonic(),
            Mnemonic::Mov
                | Mnemonic::Movdqu
                | Mnemonic::Vmovdqu
                | Mnemonic::Vmovdqu8
                | Mnemonic::Vmovdqu32
                | Mnemonic::Vmovdqu64
                | Mnemonic::Pextrb
        );
        plain
            && self.instruction.op0_kind() == OpKind::Memory
            && self.instruction.op1_kind() == OpKind::Register
    }

    fn gives_verdict(&self, class: Class) -> bool {
        let on_vectors = (0..self.instruction.op_count()).any(|op| {
            self.instruction.op_kind(op) == OpKind::Register
                && self.instruction.op_register(op).is_vector_register()
        });
        on_vectors && (class == Class::Float || self.instruction.rflags_modified() & STATUS != 0)
    }

    /// One byte of a result on its way out: the instruction before clears all others of the vector register, whose lowest four go to a
    /// general one.
    fn is_finished_byte(&self) -> bool {
        let moves = self.instruction.mnemonic() == Mnemonic::Movd
            && self.instruction.op0_register().is_gpr32()
            && self.instruction.op1_register().is_xmm();
        let only_first = |clear: &Instruction| {
            let constant = self.function.constants.get(&clear.ip());
            clear.mnemonic() == Mnemonic::Pand
                && clear.is_ip_rel_memory_operand()
                && clear.op0_register() == self.instruction.op1_register()
                && constant == Some(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        };
        moves && self.previous.is_some_and(only_first)
    }

    fn write(&self, state: &mut State, source: Content, report: Report<'_>) {
        let class = class(self.instruction.mnemonic());
        let value = self.value(state, source);
        for used in self.info.used_registers() {
            let register = used.register();
            if !writes(used.access()) {
                continue;
            }
            if register.full_register() == Register::RSP {
                if !matches!(class, Some(Class::Stack | Class::Control)) {
                    report(Rule::Flow, "moves the stack pointer");
                }
            } else if register.is_gpr() {
                let old = &mut state.general[register.number()];
                let part = !(register.is_gpr32() || register.is_gpr64());
                let conditional = used.access() != OpAccess::Write && !reads(used.access());
                let kept = if part || conditional {
                    old.content
                } else {
                    Content::Zero
                };
                *old = Value {
                    content: source.max(kept),
                    is_destination: value.is_destination && !part && !conditional,
                    may_point_to_secret: value.may_point_to_secret
                        || (old.may_point_to_secret && (part || conditional)),
                };
                if old.content == Content::Secret && !self.function.is_window() {
                    report(Rule::SecretInGeneral, &format!("{register:?}"));
                }
            } else if register.is_vector_register() {
                // An address of secret memory in a vector register is not followed, so it counts as secret.
                let result = if value.may_point_to_secret {
                    Content::Secret
                } else {
                    source
                };
                self.write_vector(state, register, result);
            } else if register.is_k() {
                state.masks[register.number()] = source;
            }
        }
    }

    fn write_vector(&self, state: &mut State, register: Register, source: Content) {
        let instruction = self.instruction;
        // The list of used registers has the whole register where AVX zeroes the rest; the operand says what is really written.
        let operand = instruction.op0_register();
        let named = if operand.full_register() == register.full_register() {
            operand
        } else {
            register
        };
        let lanes = &mut state.vectors[register.number()];
        let written = width(named);
        let keeps = if instruction.encoding() == EncodingKind::Legacy {
            class(instruction.mnemonic()) != Some(Class::SseMove)
        } else {
            lanes[written..].fill(Content::Zero);
            instruction.op_mask() != Register::None && !instruction.zeroing_masking()
        };
        for lane in &mut lanes[..written] {
            *lane = if keeps { source.max(*lane) } else { source };
        }
    }

    /// What the destination of an instruction on general registers gets: an address stays what it is when public numbers move it on.
    fn value(&self, state: &State, source: Content) -> Value {
        let instruction = self.instruction;
        let mut value = Value::of(source);
        let registers: Vec<Value> = self
            .info
            .used_registers()
            .iter()
            .filter(|used| reads(used.access()) && used.register().is_gpr())
            .map(|used| state.general[used.register().number()])
            .collect();
        let loads = !self.info.used_memory().is_empty();
        value.may_point_to_secret = !loads
            && registers
                .iter()
                .any(|register| register.may_point_to_secret);
        let destinations = registers.iter().filter(|value| value.is_destination);
        let of = |register: Register| {
            register.is_gpr64() && state.general[register.number()].is_destination
        };
        value.is_destination = source != Content::Secret
            && destinations.count() == 1
            && match instruction.mnemonic() {
                Mnemonic::Mov => of(instruction.op1_register()),
                Mnemonic::Add | Mnemonic::Sub => {
                    of(instruction.op0_register()) && instruction.op1_kind() != OpKind::Memory
                }
                Mnemonic::Lea => of(instruction.memory_base()),
                _ => false,
            };
        value
    }

    fn write_flags(&self, state: &mut State, class: Class, source: Content, mark: Option<Mark>) {
        let result = if mark == Some(Mark::Verdict) {
            Content::Public
        } else {
            source
        };
        if class == Class::Float {
            state.mxcsr = state.mxcsr.max(result);
        }
        let modified = self.instruction.rflags_modified() & STATUS;
        if modified == STATUS && class != Class::Shift {
            state.flags = result;
        } else if modified != 0 {
            state.flags = state.flags.max(result);
        }
    }

    /// Whether a jump that may or may not be taken depends on a secret.
    pub(crate) fn branches_on_secret(&self, state: &State) -> bool {
        self.instruction.flow_control() == FlowControl::ConditionalBranch
            && state.flags == Content::Secret
    }
}

/// How many lanes a vector register of this name has.
fn width(register: Register) -> usize {
    match register {
        register if register.is_xmm() => 1,
        register if register.is_ymm() => 2,
        _ => LANES,
    }
}

fn of_register(state: &State, register: Register) -> Content {
    let number = register.number();
    if register.is_gpr() {
        state.general[number].content
    } else if register.is_vector_register() {
        let lanes = state.vectors[number][..width(register)].iter().max();
        lanes.copied().unwrap_or(Content::Public)
    } else if register.is_k() {
        state.masks[number]
    } else if matches!(
        register,
        Register::DR0 | Register::DR1 | Register::DR2 | Register::DR3
    ) {
        Content::Secret
    } else {
        Content::Public
    }
}

fn of_memory(state: &State, memory: &UsedMemory) -> Content {
    let points = |register: Register| {
        register.is_gpr() && state.general[register.number()].may_point_to_secret
    };
    if points(memory.base()) || points(memory.index()) {
        Content::Secret
    } else {
        Content::Public
    }
}

/// Whether an access reads, perhaps.
pub fn reads(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

/// Whether an access writes, perhaps.
pub fn writes(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}
