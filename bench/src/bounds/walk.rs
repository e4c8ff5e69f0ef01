// SPDX-License-Identifier: GPL-2.0
//! Which instructions a request executes, in order, without executing any of them: so a CPU need not have them.
//!
//! No engine branches on data, but on lengths, counts and the length of the key, which are known. So it is enough to calculate with general
//! registers, the flags and the stack; what comes from anywhere else is unknown, and a branch on it is an error. The one exception is
//! whether S is there: it is.

use std::collections::HashMap;

use anyhow::{bail, ensure, Context, Result};
use iced_x86::{
    ConditionCode, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register,
};

use super::binary::Binary;
use super::flags::{mask, Flags};

/// An executed instruction.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// It.
    pub instruction: Instruction,
    /// The address of its memory operand, where known.
    pub address: Option<u64>,
}

/// Where a function returns to when the request is done.
const RETURN: u64 = 0xdead_0000;

/// Where the stack is.
const STACK: u64 = 0x7fff_0000;

/// Far more than the longest request.
const MOST_STEPS: usize = 1_000_000;

/// The part of a CPU that control flow depends on.
#[derive(Debug)]
pub struct Walk<'a> {
    binary: &'a Binary,
    registers: HashMap<Register, u64>,
    flags: Option<Flags>,
    memory: HashMap<u64, u64>,
    steps: Vec<Step>,
}

impl<'a> Walk<'a> {
    /// Nothing is known yet.
    pub fn new(binary: &'a Binary) -> Self {
        Self {
            binary,
            registers: HashMap::new(),
            flags: None,
            memory: HashMap::new(),
            steps: Vec::new(),
        }
    }

    /// Makes the contents of memory known.
    pub fn set_memory(&mut self, address: u64, value: u64) {
        self.memory.insert(address, value);
    }

    /// Calls a function with arguments as in the C calling convention, and follows it until it returns.
    pub fn call(&mut self, name: &str, arguments: &[u64]) -> Result<()> {
        const IN_REGISTERS: [Register; 6] = [
            Register::RDI,
            Register::RSI,
            Register::RDX,
            Register::RCX,
            Register::R8,
            Register::R9,
        ];
        let mut stack = STACK;
        for (index, &argument) in arguments.iter().enumerate() {
            match IN_REGISTERS.get(index) {
                Some(&register) => {
                    self.registers.insert(register, argument);
                }
                None => {
                    self.memory.insert(stack + 8, argument);
                    stack += 8;
                }
            }
        }
        self.memory.insert(STACK, RETURN);
        self.registers.insert(Register::RSP, STACK);
        let mut ip = self.binary.function(name)?;
        let mut info = InstructionInfoFactory::new();
        while ip != RETURN {
            let instruction = self.binary.instruction(ip);
            let instruction = instruction.with_context(|| format!("{name}: no code at {ip:#x}"))?;
            ip = self
                .step(&instruction, &mut info)
                .with_context(|| format!("{name}: {instruction} at {ip:#x}"))?;
            ensure!(self.steps.len() < MOST_STEPS, "{name} does not end");
        }
        Ok(())
    }

    /// What was executed.
    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// Executes an instruction and returns the address of the next one.
    fn step(
        &mut self,
        instruction: &Instruction,
        info: &mut InstructionInfoFactory,
    ) -> Result<u64> {
        self.steps.push(Step {
            instruction: *instruction,
            address: self.address(instruction),
        });
        let next = instruction.next_ip();
        match instruction.flow_control() {
            FlowControl::Next => {}
            FlowControl::UnconditionalBranch => return Ok(instruction.near_branch_target()),
            FlowControl::ConditionalBranch => {
                let taken = self.condition(instruction.condition_code());
                let taken = taken.context("a branch on something that is not known")?;
                return Ok(if taken {
                    instruction.near_branch_target()
                } else {
                    next
                });
            }
            FlowControl::Call => {
                let stack = self.register(Register::RSP).context("no stack")? - 8;
                self.registers.insert(Register::RSP, stack);
                self.memory.insert(stack, next);
                return Ok(instruction.near_branch_target());
            }
            FlowControl::Return => {
                let stack = self.register(Register::RSP).context("no stack")?;
                self.registers.insert(Register::RSP, stack + 8);
                return self
                    .memory
                    .get(&stack)
                    .copied()
                    .context("a return to nowhere");
            }
            other => bail!("{other:?} is not followed"),
        }
        if !self.calculate(instruction) {
            self.forget(instruction, info);
        }
        Ok(next)
    }

    /// Does what is known of an instruction on general registers; false if it is none of those.
    fn calculate(&mut self, instruction: &Instruction) -> bool {
        use Mnemonic::*;
        let destination = self.operand(instruction, 0);
        let source = (instruction.op_count() > 1)
            .then(|| self.operand(instruction, 1))
            .flatten();
        let both = destination.zip(source);
        let bits = 8 * size(instruction) as u32;
        let same = instruction.op_count() == 2
            && instruction.op0_kind() == OpKind::Register
            && instruction.op1_kind() == OpKind::Register
            && instruction.op0_register() == instruction.op1_register();
        match instruction.mnemonic() {
            Mov | Movzx => self.write(instruction, source),
            Lea => self.write(instruction, self.address(instruction)),
            Add => {
                let sum = both.map(|(a, b)| a.wrapping_add(b));
                self.flags = both.map(|(a, b)| Flags::of_add(a, b, bits));
                self.write(instruction, sum);
            }
            Sub | Cmp => {
                self.flags = both.map(|(a, b)| Flags::of_sub(a, b, bits));
                if instruction.mnemonic() == Sub {
                    self.write(instruction, both.map(|(a, b)| a.wrapping_sub(b)));
                }
            }
            And | Test | Or | Xor => {
                let result = both.map(|(a, b)| match instruction.mnemonic() {
                    Or => a | b,
                    Xor => a ^ b,
                    _ => a & b,
                });
                let result = if instruction.mnemonic() == Xor && same {
                    Some(0)
                } else {
                    result
                };
                self.flags = result.map(|result| Flags::of(result, bits));
                if instruction.mnemonic() != Test {
                    self.write(instruction, result);
                }
            }
            Inc | Dec => {
                let carry = self.flags.is_some_and(|flags| flags.carry());
                let step = |value| match instruction.mnemonic() {
                    Inc => (Flags::of_add(value, 1, bits), value.wrapping_add(1)),
                    _ => (Flags::of_sub(value, 1, bits), value.wrapping_sub(1)),
                };
                let result = destination.map(step);
                self.flags = result.map(|(flags, _)| flags.with_carry(carry));
                self.write(instruction, result.map(|(_, value)| value));
            }
            Shl | Shr | Neg | Bts => {
                let result = match instruction.mnemonic() {
                    Neg => destination.map(u64::wrapping_neg),
                    Bts => both.map(|(a, b)| a | 1 << (b % u64::from(bits))),
                    Shl => both.map(|(a, b)| a << (b & 63)),
                    _ => both.map(|(a, b)| a >> (b & 63)),
                };
                // Nothing branches on them.
                self.flags = None;
                self.write(instruction, result);
            }
            Cmove | Cmovne => {
                let value = match self.condition(instruction.condition_code()) {
                    Some(true) => source,
                    Some(false) => destination,
                    None => None,
                };
                self.write(instruction, value);
            }
            // Whether S is there.
            Ptest | Vptest => self.flags = Some(Flags::of(1, 64)),
            _ => return false,
        }
        true
    }

    /// Whatever else an instruction writes is unknown after it.
    fn forget(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) {
        for used in info.info(instruction).used_registers() {
            if taint::writes(used.access()) {
                self.registers.remove(&used.register().full_register());
            }
        }
        if instruction.rflags_modified() != 0 {
            self.flags = None;
        }
    }

    fn condition(&self, code: ConditionCode) -> Option<bool> {
        self.flags?.meet(code)
    }

    fn register(&self, register: Register) -> Option<u64> {
        let value = self.registers.get(&register.full_register())?;
        Some(value & mask(8 * register.size() as u32))
    }

    fn address(&self, instruction: &Instruction) -> Option<u64> {
        let memory = (0..instruction.op_count())
            .any(|operand| instruction.op_kind(operand) == OpKind::Memory);
        if !memory || instruction.segment_prefix() != Register::None {
            return None;
        }
        if instruction.is_ip_rel_memory_operand() {
            return Some(instruction.ip_rel_memory_address());
        }
        let part = |register| match register {
            Register::None => Some(0),
            register => self.register(register),
        };
        let index = part(instruction.memory_index())?;
        let scaled = index.wrapping_mul(u64::from(instruction.memory_index_scale()));
        let base = part(instruction.memory_base())?;
        Some(
            base.wrapping_add(scaled)
                .wrapping_add(instruction.memory_displacement64()),
        )
    }

    fn operand(&self, instruction: &Instruction, operand: u32) -> Option<u64> {
        match instruction.op_kind(operand) {
            OpKind::Register => self.register(instruction.op_register(operand)),
            OpKind::Memory => {
                let value = self.memory.get(&self.address(instruction)?)?;
                Some(value & mask(8 * instruction.memory_size().size() as u32))
            }
            _ => instruction.try_immediate(operand).ok(),
        }
    }

    fn write(&mut self, instruction: &Instruction, value: Option<u64>) {
        let register = instruction.op0_register();
        match (instruction.op0_kind(), value) {
            // A write of four bytes zeroes the rest; narrower ones do not occur where it matters.
            (OpKind::Register, Some(value)) if register.size() >= 4 => {
                let value = value & mask(8 * register.size() as u32);
                self.registers.insert(register.full_register(), value);
            }
            (OpKind::Register, _) => {
                self.registers.remove(&register.full_register());
            }
            (_, value) => {
                if let Some(address) = self.address(instruction) {
                    match value {
                        Some(value) => self.memory.insert(address, value),
                        None => self.memory.remove(&address),
                    };
                }
            }
        }
    }
}

/// Bytes of the first operand.
fn size(instruction: &Instruction) -> usize {
    match instruction.op0_kind() {
        OpKind::Register => instruction.op0_register().size(),
        _ => instruction.memory_size().size(),
    }
}
