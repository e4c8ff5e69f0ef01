// SPDX-License-Identifier: GPL-2.0

//! The instructions that encryption costs in the kernel: not exactly how many, but that they are spent where they should be.
//!
//! The figures themselves are printed by `cargo xtask bench --kernel`.

use anyhow::{ensure, Context as _, Result};

use super::lab::Lab;
use crate::cost::{self, Case, Figures, Kind};
use crate::volume::{STOCK, TRESOR};

/// The engine that takes several data units in a call; those without AVX load S for each anyway.
const BATCHING: &str = "avx";
/// By this, at least, batching must lower the instructions of a page of 512-byte sectors.
const BATCHING_FACTOR: f64 = 1.5;
/// What a request may cost around the engine, whatever its length.
const AROUND: u64 = 600;
/// What may be between the engine and the ends of its section.
const SECTION_AROUND: u64 = 200;
/// A window and the instructions until IRQs are on again.
const IRQS_OFF: u64 = 40;

pub(super) fn instructions(lab: &mut Lab<'_>) -> Result<()> {
    let figures = cost::measure(lab.context, &lab.dir, &|_| ())?;
    check(&figures).with_context(|| cost::text(&figures))
}

fn check(figures: &Figures) -> Result<()> {
    for case in &figures.cases {
        requests(figures, case).with_context(|| {
            format!(
                "{}, {}, {}-byte sectors, {:?}",
                case.engine, case.cipher, case.sector_size, case.direction
            )
        })?;
    }
    for direction in [cost::Direction::Encrypt, cost::Direction::Decrypt] {
        let page = |cipher: &str| {
            figures
                .cases
                .iter()
                .find(|case| {
                    case.cipher == cipher
                        && case.direction == direction
                        && case.sector_size == 512
                        && [BATCHING, "kernel"].contains(&case.engine)
                })
                .map(|case| case.page.total() as f64)
                .with_context(|| format!("{cipher} was not measured"))
        };
        let (batched, single) = (page(TRESOR)?, page(cost::UNBATCHED)?);
        ensure!(
            batched * BATCHING_FACTOR <= single,
            "batching makes {batched} instructions of {single} only"
        );
    }
    for it in &figures.stretches {
        ensure!(
            (figures.window..=IRQS_OFF).contains(&it.irqs_off),
            "{}: IRQs are off for {} instructions",
            it.engine,
            it.irqs_off
        );
        let engine = figures
            .cases
            .iter()
            .filter(|case| case.engine == it.engine)
            .map(|case| case.request.of(Kind::Engine))
            .max()
            .unwrap_or(0);
        ensure!(
            it.fpu_section <= engine + SECTION_AROUND,
            "{}: a section without preemption has {} instructions, though the engine needs only {engine} for 4096 bytes",
            it.engine,
            it.fpu_section
        );
    }
    Ok(())
}

fn requests(figures: &Figures, case: &Case) -> Result<()> {
    let units = 4096 / u64::from(case.sector_size);
    let expected = if case.cipher == TRESOR { 1 } else { units };
    ensure!(
        case.requests == expected,
        "{} requests for a page instead of {expected}",
        case.requests
    );
    let (engine, window) = (case.request.of(Kind::Engine), case.request.of(Kind::Window));
    ensure!(engine > 0, "the engine was not seen");
    if case.cipher == STOCK {
        ensure!(window == 0, "stock AES opened a window");
        return Ok(());
    }
    // What the plugin counts must be what a disassembler counts.
    let windows = if case.engine == BATCHING {
        1
    } else {
        units / case.requests
    };
    ensure!(
        window == windows * figures.window,
        "{window} instructions in {windows} windows of {}",
        figures.window
    );
    let around = case.request.total() - engine - window;
    ensure!(
        around <= windows * AROUND,
        "{around} instructions around the engine"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{Count, Direction, Stretches};

    /// Figures as they should be, from a window of 10 instructions.
    fn figures() -> Figures {
        let mut cases = Vec::new();
        for (cipher, engine, window) in [
            (TRESOR, BATCHING, 10),
            (cost::UNBATCHED, BATCHING, 10),
            (STOCK, "kernel", 0),
        ] {
            for direction in [Direction::Encrypt, Direction::Decrypt] {
                let requests = if cipher == TRESOR { 1 } else { 8 };
                let request = Count::new(&[(Kind::Engine, 1000), (Kind::Window, window)]);
                let page = Count::new(&[(Kind::Engine, 1000 * requests)]);
                cases.push(Case {
                    engine,
                    cipher,
                    sector_size: 512,
                    direction,
                    requests,
                    request,
                    page,
                });
            }
        }
        Figures {
            cases,
            stretches: vec![Stretches {
                engine: BATCHING,
                irqs_off: 14,
                fpu_section: 1100,
            }],
            window: 10,
        }
    }

    #[test]
    fn each_expectation_can_fail() {
        check(&figures()).expect("as it should be");
        let breakages: &[fn(&mut Figures)] = &[
            |it| it.cases[0].requests = 8,
            |it| it.cases[4].requests = 1,
            |it| it.cases[0].page = it.cases[2].page,
            |it| it.cases[0].request = Count::new(&[(Kind::Engine, 1000), (Kind::Window, 11)]),
            |it| it.cases[4].request = it.cases[0].request,
            |it| {
                let driver = (Kind::Driver, AROUND + 1);
                it.cases[2].request =
                    Count::new(&[(Kind::Engine, 1000), (Kind::Window, 10), driver]);
            },
            |it| it.stretches[0].irqs_off = 9,
            |it| it.stretches[0].irqs_off = IRQS_OFF + 1,
            |it| it.stretches[0].fpu_section = 1201,
        ];
        for (number, break_it) in breakages.iter().enumerate() {
            let mut broken = figures();
            break_it(&mut broken);
            assert!(check(&broken).is_err(), "breakage {number} was not noticed");
        }
    }
}
