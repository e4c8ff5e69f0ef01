// SPDX-License-Identifier: GPL-2.0
//! The fewest cycles in which a core can execute instructions in a given order, whatever it does.
//!
//! No operation starts before its operands are there (`ready`), nor before the core has read so far in the code; and after it starts, what
//! depends on it takes its time too (`tail`). And of n operations that need one of k ports, the last starts n/k - 1 cycles after the first at
//! the earliest. So for any `ready` r and `tail` t: of all operations with both at least as great the last one starts at r + n/k - 1, and
//! the end is t later. The highest of these sums, over all r, t and sets of ports, is the bound. The core is taken to look infinitely far
//! ahead, to choose ports perfectly and to find everything in its first cache; so it is a bound, and no prediction.

use std::collections::HashMap;

use anyhow::{Context, Result};
use iced_x86::{InstructionInfoFactory, Register};

use super::class::{class, has_memory, is_store, width, Class};
use super::core::{Core, Ports};
use super::walk::Step;

/// A bound, and what it is due to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Cycles.
    pub cycles: u32,
    /// Cycles of the longest chain of instructions that wait for each other.
    pub chain: u32,
    /// The ports that are the bottleneck; 0 if the chain is.
    pub ports: Ports,
}

/// Something that starts as a whole: an instruction, or its load.
#[derive(Debug)]
struct Node {
    ready: u32,
    latency: u32,
    /// From its start to the end of all that depends on it.
    tail: u32,
    operations: Vec<Ports>,
    /// Those whose results it takes.
    operands: Vec<usize>,
}

/// What instructions wait for, in the order of the code.
#[derive(Debug, Default)]
pub struct Schedule {
    nodes: Vec<Node>,
    /// The node that last wrote a register.
    registers: HashMap<Register, usize>,
    /// The node that last wrote sixteen bytes of memory.
    memory: HashMap<u64, usize>,
}

impl Schedule {
    /// The schedule of a trace.
    pub fn new(core: &Core, steps: &[Step]) -> Result<Self> {
        let mut schedule = Self::default();
        let mut info = InstructionInfoFactory::new();
        for (index, step) in (0..).zip(steps) {
            schedule
                .add(core, step, index / core.instructions, &mut info)
                .with_context(|| format!("{}: {}", core.name, step.instruction))?;
        }
        schedule.find_tails();
        Ok(schedule)
    }

    fn add(
        &mut self,
        core: &Core,
        step: &Step,
        front: u32,
        info: &mut InstructionInfoFactory,
    ) -> Result<()> {
        let instruction = &step.instruction;
        let class = class(instruction).context("no cost is known for it")?;
        let bits = width(instruction);
        let cost = (core.cost)(class, bits);
        let info = info.info(instruction);
        // General registers are public and there early: nothing here waits for one.
        let read = info
            .used_registers()
            .iter()
            .filter(|used| taint::reads(used.access()));
        let mut operands: Vec<usize> = read
            .filter_map(|used| {
                self.registers
                    .get(&used.register().full_register())
                    .copied()
            })
            .collect();
        let granules = granules(step);
        let (load, store) = (core.memory)(bits);
        let vector = class != Class::Free;
        let memory = has_memory(instruction);
        if memory && vector && !is_store(instruction) {
            let writers = granules
                .iter()
                .filter_map(|granule| self.memory.get(granule).copied());
            let writers = writers.collect();
            let node = self.push(front, core.load_latency, vec![load], writers);
            operands.push(node);
        }
        let operations = if memory && vector && is_store(instruction) {
            vec![store]
        } else {
            cost.operations.to_vec()
        };
        let node = self.push(front, cost.latency, operations, operands);
        if memory && is_store(instruction) {
            for granule in granules {
                self.memory.insert(granule, node);
            }
        }
        for used in info.used_registers() {
            let register = used.register();
            // What only counts as an instruction has its result at once.
            if taint::writes(used.access()) && vector_or_mask(register) {
                self.registers.insert(register.full_register(), node);
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        front: u32,
        latency: u32,
        operations: Vec<Ports>,
        operands: Vec<usize>,
    ) -> usize {
        let ready = operands
            .iter()
            .map(|&operand| self.nodes[operand].ready + self.nodes[operand].latency)
            .fold(front, u32::max);
        self.nodes.push(Node {
            ready,
            latency,
            tail: latency,
            operations,
            operands,
        });
        self.nodes.len() - 1
    }

    fn find_tails(&mut self) {
        for index in (0..self.nodes.len()).rev() {
            let tail = self.nodes[index].tail;
            for operand in self.nodes[index].operands.clone() {
                let operand = &mut self.nodes[operand];
                operand.tail = operand.tail.max(operand.latency + tail);
            }
        }
    }

    /// When the last instruction has its operands, at the earliest.
    pub fn last_starts(&self) -> u32 {
        self.nodes.last().map_or(0, |node| node.ready)
    }

    /// The bound.
    pub fn bound(&self) -> Bound {
        let ends = self.nodes.iter().map(|node| node.ready + node.tail);
        let chain = ends.max().unwrap_or(0);
        let mut bound = Bound {
            cycles: chain,
            chain,
            ports: 0,
        };
        for ports in self.port_sets() {
            let cycles = self.bound_of(ports);
            if cycles > bound.cycles {
                bound = Bound {
                    cycles,
                    ports,
                    ..bound
                };
            }
        }
        bound
    }

    /// Every set of ports that operations have, and the unions of them.
    fn port_sets(&self) -> Vec<Ports> {
        let mut sets: Vec<Ports> = Vec::new();
        for &ports in self.nodes.iter().flat_map(|node| &node.operations) {
            if sets.contains(&ports) {
                continue;
            }
            let unions: Vec<Ports> = sets.iter().map(|set| set | ports).chain([ports]).collect();
            sets.extend(unions);
            sets.sort_unstable();
            sets.dedup();
        }
        sets
    }

    /// The bound by the operations that can start on these ports only.
    fn bound_of(&self, ports: Ports) -> u32 {
        let mut operations: Vec<(u32, usize)> = Vec::new();
        let mut longest = 0;
        for node in &self.nodes {
            // The parts of an instruction need not all wait for its operands, nor all come before its result.
            let tail = match node.operations.len() {
                1 => node.tail,
                _ => node.tail - node.latency.saturating_sub(1).min(node.tail),
            };
            longest = longest.max(tail as usize);
            let fitting = node
                .operations
                .iter()
                .filter(|&&operation| operation & !ports == 0);
            operations.extend(fitting.map(|_| (node.ready, tail as usize)));
        }
        operations.sort_unstable_by(|a, b| b.cmp(a));
        let mut with_tail = vec![0_u32; longest + 1];
        let mut bound = 0;
        let mut rest = operations.as_slice();
        while let Some(&(ready, _)) = rest.first() {
            while let Some((&(_, tail), after)) =
                rest.split_first().filter(|((r, _), _)| *r == ready)
            {
                with_tail[tail] += 1;
                rest = after;
            }
            let mut count = 0;
            for (tail, &operations) in with_tail.iter().enumerate().rev() {
                if operations > 0 {
                    count += operations;
                    let last = ready + count.div_ceil(ports.count_ones()) - 1;
                    bound = bound.max(last + tail as u32);
                }
            }
        }
        bound
    }
}

fn vector_or_mask(register: Register) -> bool {
    register.is_vector_register() || register.is_k()
}

/// The sixteen-byte pieces of memory that a step touches.
fn granules(step: &Step) -> Vec<u64> {
    let Some(address) = step.address else {
        return Vec::new();
    };
    let size = step.instruction.memory_size().size().max(1) as u64;
    (address / 16..=(address + size - 1) / 16).collect()
}
