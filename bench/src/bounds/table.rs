// SPDX-License-Identifier: GPL-2.0
//! The bounds beside the bars, for a terminal.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use super::binary::Binary;
use super::core::{names, Core, CORES};
use super::floor::floor;
use super::recorded;
use super::request::{Engine, Request};
use crate::bars::Bar;
use crate::competitor::kernel_library;
use crate::competitor::TRESOR_WAY;
use crate::workload::Workload;

const METHOD: &str = "\
XTS-AES-256, encryption, cycles. The code that is linked here, and the kernel's, followed for each request; for each core the fewest cycles
that its ports and latencies allow, if it looked infinitely far ahead and chose ports perfectly. Measured figures, where there are any, are
those of Documentation/security/tresor/performance.rst.
  any        no engine that derives its keys from S can be faster: two schedules one after the other, then the rounds of the data
  code       this code cannot be faster; chain: its longest chain of instructions that wait for each other
  at most    the ratio to the baseline as measured, if ours ran at its bound, and the fences around it cost nothing
  alike      the ratio if a request lost beside its bound just what one of the baseline's loses
  loses      cycles that a request took more than its bound: what it may lose and still meet the bar, and what a baseline's request loses
  both at their bounds: where nothing was measured; no limit, as the baseline is slower than its bound, too";

/// An engine of ours and its rivals.
struct Pair {
    class: &'static str,
    /// Bits of its vectors.
    width: u32,
    kernel: Engine,
    avx512: bool,
}

const PAIRS: [Pair; 5] = [
    Pair {
        class: "avx512",
        width: 512,
        kernel: Engine::KernelAvx("vaes_avx512"),
        avx512: true,
    },
    Pair {
        class: "avx512vl",
        width: 128,
        kernel: Engine::KernelAvx("aesni_avx"),
        avx512: true,
    },
    Pair {
        class: "vaes",
        width: 256,
        kernel: Engine::KernelAvx("vaes_avx2"),
        avx512: false,
    },
    Pair {
        class: "avx",
        width: 128,
        kernel: Engine::KernelAvx("aesni_avx"),
        avx512: false,
    },
    Pair {
        class: "aesni",
        width: 128,
        kernel: Engine::KernelSse,
        avx512: false,
    },
];

impl Pair {
    fn runs_on(&self, core: &Core) -> bool {
        core.avx512 || !self.avx512
    }
}

/// The text, with the kernel's engines from a kernel tree.
pub fn text(kernel_tree: &Path) -> Result<String> {
    let ours = Binary::this_program()?;
    let kernel = kernel_library(kernel_tree)?;
    let kernel = Binary::read(&kernel.path)?;
    let mut out = format!("{METHOD}\n");
    for core in CORES {
        write!(out, "\n{}\n", core.name)?;
        for pair in PAIRS.iter().filter(|pair| pair.runs_on(core)) {
            let engine = Engine::Ours(pair.class);
            let name = format!("tresor-{}", pair.class);
            out += &shape(core, &ours, engine, &name)?;
        }
        for pair in PAIRS
            .iter()
            .filter(|pair| pair.runs_on(core) && pair.class != "avx512vl")
        {
            out += &shape(
                core,
                &kernel,
                pair.kernel,
                &format!("kernel for {}", pair.class),
            )?;
        }
        for bar in Bar::ALL {
            let class = bar.class();
            let pair = PAIRS.iter().find(|pair| pair.class == class);
            let pair = pair.with_context(|| format!("{class} has no rival"))?;
            if pair.runs_on(core) {
                out += &beside(core, bar, pair, &ours, &kernel)?;
            }
        }
    }
    Ok(out)
}

/// What the engine's requests consist of.
fn shape(core: &Core, binary: &Binary, engine: Engine, name: &str) -> Result<String> {
    let request = Request::of(binary, engine, Workload::of(1, 16384))?;
    let first = request.first_block(core)?;
    let turn = request.main_loop()?;
    let (cycles, bound) = turn.cycles(core)?;
    let why = match bound.ports {
        0 => "the chain".to_owned(),
        ports => format!("ports {}", names(ports)),
    };
    Ok(format!(
        "  {name:<16} first block stored after {first:>4}; a turn of the main loop: {:>4} bytes, {cycles:>6.1} by {why} ({:.3} a byte)\n",
        turn.bytes,
        cycles / turn.bytes as f64,
    ))
}

/// A bar, and whether it can be met.
fn beside(core: &Core, bar: Bar, pair: &Pair, ours: &Binary, kernel: &Binary) -> Result<String> {
    let workload = bar.workload();
    let any = f64::from(floor(core, pair.width, workload));
    let code = Request::of(ours, Engine::Ours(pair.class), workload)?.bound(core)?;
    let mut line = format!(
        "  {:<6} {:>6} >= {:<5} any {any:>4}  code {:>4} (chain {:>4})",
        pair.class,
        workload.to_string(),
        bar.at_least(),
        code.cycles,
        code.chain,
    );
    let code = f64::from(code.cycles);
    let way = bar.baseline() == TRESOR_WAY;
    let name = if way { "way" } else { pair.class };
    let rival = Request::of(kernel, pair.kernel, workload)?;
    let bound = f64::from(rival.bound(core)?.cycles);
    match recorded::cycles(core, name, workload) {
        Some((took, baseline)) => {
            let room = baseline / bar.at_least() - code;
            // What TRESOR's way loses beside its bound is not known.
            let lost = (!way).then(|| (baseline - bound) / f64::from(rival.requests));
            let verdict = Verdict::of(bar.at_least(), baseline / any, baseline / code, room, lost);
            write!(
                line,
                "  at most: any {:.3} code {:.3}; got {:.3}{}; loses {:.0}, may lose {room:.0}, baseline {}: {}",
                baseline / any,
                baseline / code,
                baseline / took,
                lost.map_or(String::new(), |lost| {
                    format!(" alike {:.3}", baseline / (code + lost))
                }),
                took - code,
                lost.map_or("-".to_owned(), |lost| format!("{lost:.0}")),
                verdict.text(),
            )?;
        }
        None if way => line += "  the baseline was not measured there",
        None => write!(
            line,
            "  baseline {bound:>4}; both at their bounds: any {:.3} code {:.3}",
            bound / any,
            bound / code
        )?,
    }
    line.push('\n');
    Ok(line)
}

/// Whether a bar can be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    NoEngine,
    NotThisCode,
    NotAlike,
    Room,
}

impl Verdict {
    /// From the highest ratios of any engine and of this code, and the cycles that the code may lose beside its bound and that a request of
    /// the baseline loses.
    fn of(at_least: f64, any: f64, code: f64, room: f64, lost: Option<f64>) -> Self {
        if any < at_least {
            Self::NoEngine
        } else if code < at_least {
            Self::NotThisCode
        } else if lost.is_some_and(|lost| room < lost) {
            Self::NotAlike
        } else {
            Self::Room
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::NoEngine => "out of any engine's reach",
            Self::NotThisCode => "out of this code's reach",
            Self::NotAlike => "out of reach unless it loses less than the baseline",
            Self::Room => "not excluded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let verdict = |any, code, room| Verdict::of(0.9, any, code, room, Some(50.0));
        assert_eq!(verdict(0.8, 0.7, -100.0), Verdict::NoEngine);
        assert_eq!(verdict(1.0, 0.8, -50.0), Verdict::NotThisCode);
        assert_eq!(verdict(1.1, 1.0, 20.0), Verdict::NotAlike);
        assert_eq!(verdict(1.1, 1.0, 50.0), Verdict::Room);
    }
}
