// SPDX-License-Identifier: GPL-2.0
//! The requests whose bounds are asked: of an engine of ours, and of the kernel's, both as the measurement makes them (XTS-AES-256,
//! encryption).

use anyhow::{ensure, Context, Result};
use iced_x86::FlowControl;

use super::binary::Binary;
use super::class::{is_last_round, is_store, width};
use super::core::Core;
use super::schedule::{Bound, Schedule};
use super::walk::{Step, Walk};
use crate::workload::Workload;

/// An engine, by the names of its functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Ours: the class.
    Ours(&'static str),
    /// The kernel's with AVX: the suffix.
    KernelAvx(&'static str),
    /// The kernel's without.
    KernelSse,
}

const HANDLE: u64 = 0x10_0000;
const KEY: u64 = 0x20_0000;
const TWEAK_KEY: u64 = 0x21_0000;
const TWEAK: u64 = 0x30_0000;
const SRC: u64 = 0x100_0000;
const DST: u64 = 0x200_0000;

/// Where `struct crypto_aes_ctx` has the length of its key.
const KEY_LENGTH: u64 = 480;

/// What an engine executes for a workload. One that has no call for several data units makes a request of each, which are alike: then the
/// steps are those of one.
#[derive(Debug)]
pub struct Request {
    steps: Vec<Step>,
    /// Bytes of a request.
    bytes: u64,
    /// How many of them the workload is.
    pub requests: u32,
}

impl Request {
    /// Follows an engine of `binary`.
    pub fn of(binary: &Binary, engine: Engine, workload: Workload) -> Result<Self> {
        let (len, units) = (workload.bytes as u64, workload.units as u64);
        let mut walk = Walk::new(binary);
        for key in [KEY, TWEAK_KEY] {
            walk.set_memory(key + KEY_LENGTH, 32);
        }
        let requests = match engine {
            Engine::Ours(class) => {
                let name = format!("tresor_xts_{class}_enc_256");
                walk.call(&name, &[HANDLE, SRC, DST, len, TWEAK, 0, units])?;
                1
            }
            Engine::KernelAvx(suffix) => {
                walk.call("aes_xts_encrypt_iv", &[TWEAK_KEY, TWEAK])?;
                let name = format!("aes_xts_encrypt_{suffix}");
                walk.call(&name, &[KEY, SRC, DST, len, TWEAK])?;
                workload.units
            }
            Engine::KernelSse => {
                walk.call("aesni_enc", &[TWEAK_KEY, TWEAK, TWEAK])?;
                walk.call("aesni_xts_enc", &[KEY, DST, SRC, len, TWEAK])?;
                workload.units
            }
        };
        let request = Self {
            steps: walk.into_steps(),
            bytes: workload.total() as u64 / requests as u64,
            requests: u32::try_from(requests)?,
        };
        request.check()?;
        Ok(request)
    }

    /// Every block must have been stored, and gone through a last round of AES: else the steps are not those of the request.
    fn check(&self) -> Result<()> {
        let blocks = self.bytes / 16;
        let stored = stored(&self.steps);
        ensure!(
            stored == self.bytes,
            "{stored} of {} bytes are stored",
            self.bytes
        );
        let rounds = self
            .steps
            .iter()
            .filter(|step| is_last_round(&step.instruction));
        let lanes: u64 = rounds
            .map(|step| u64::from(width(&step.instruction) / 128))
            .sum();
        ensure!(
            lanes > blocks,
            "{lanes} last rounds for {blocks} blocks and a tweak"
        );
        Ok(())
    }

    /// The fewest cycles on a core for the whole workload.
    pub fn bound(&self, core: &Core) -> Result<Bound> {
        let bound = Schedule::new(core, &self.steps)?.bound();
        Ok(Bound {
            cycles: bound.cycles * self.requests,
            chain: bound.chain * self.requests,
            ..bound
        })
    }

    /// When the first finished block can be stored, by latencies alone: what each request pays before its data, and one block.
    pub fn first_block(&self, core: &Core) -> Result<u32> {
        let mut seen = (false, false);
        // A store before the first block's last round is none of a finished block.
        let first = self.steps.iter().position(|step| {
            seen.0 |= step.address == Some(SRC);
            seen.1 |= seen.0 && is_last_round(&step.instruction);
            seen.1 && step.address == Some(DST) && is_store(&step.instruction)
        });
        let first = first.context("no block is stored")?;
        Ok(Schedule::new(core, &self.steps[..=first])?.last_starts())
    }

    /// The loop in which the engine does most of the data.
    pub fn main_loop(&self) -> Result<Loop<'_>> {
        Loop::find(&self.steps)
    }
}

/// Bytes of the destination that are stored at least once.
fn stored(steps: &[Step]) -> u64 {
    let mut blocks = std::collections::BTreeSet::new();
    for step in steps.iter().filter(|step| is_store(&step.instruction)) {
        let Some(address) = step
            .address
            .filter(|address| (DST..2 * DST).contains(address))
        else {
            continue;
        };
        let size = step.instruction.memory_size().size() as u64;
        blocks.extend(address / 16..(address + size).div_ceil(16));
    }
    16 * blocks.len() as u64
}

/// A turn of a loop.
#[derive(Debug)]
pub struct Loop<'a> {
    /// Its instructions.
    pub steps: &'a [Step],
    /// Bytes of data that it does.
    pub bytes: u64,
}

impl<'a> Loop<'a> {
    /// Finds the one that the trace goes through most often.
    pub fn find(steps: &'a [Step]) -> Result<Self> {
        let mut backwards = std::collections::BTreeMap::<u64, Vec<usize>>::new();
        for (index, pair) in steps.windows(2).enumerate() {
            let jump = &pair[0].instruction;
            let jumps = matches!(
                jump.flow_control(),
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
            );
            if jumps && pair[1].instruction.ip() <= jump.ip() {
                backwards.entry(jump.ip()).or_default().push(index);
            }
        }
        let turns = backwards
            .into_values()
            .max_by_key(Vec::len)
            .unwrap_or_default();
        let [.., before, end] = turns.as_slice() else {
            anyhow::bail!("no loop is gone through twice");
        };
        let steps = &steps[before + 1..=*end];
        let bytes = stored(steps);
        ensure!(
            bytes > 0,
            "the loop that is gone through most often stores no data"
        );
        Ok(Self { steps, bytes })
    }

    /// The fewest cycles for each of many turns: what a hundred of them take more than fifty, none waiting but as the code says.
    pub fn cycles(&self, core: &Core) -> Result<(f64, Bound)> {
        let turns = |count| -> Result<Bound> {
            Ok(Schedule::new(core, &self.steps.repeat(count))?.bound())
        };
        let (few, many) = (turns(20)?, turns(40)?);
        Ok((f64::from(many.cycles - few.cycles) / 20.0, many))
    }
}
