// SPDX-License-Identifier: GPL-2.0
//! What any engine has to do whose keys are derived from S for each request, however it is written.
//!
//! K1 and K2 are AES-256 under S of the handle's iv, and no round key may wait in RAM. So one after the other come
//!
//! 1. the schedule of S: round keys 2 to 14, each of which takes the S-box of the one before it; AES's round is the fastest S-box that the
//!    cores here have, so that is 13 latencies of it; then the last round of K2's block under the last of these keys;
//! 2. the schedule of K2, likewise, and the last round of the first tweak;
//! 3. the first block's 14 rounds; and all blocks together fill the ports for AES.
//!
//! Everything else, loads and stores, and every XOR and shuffle on the way, is left out.

use super::core::Core;
use crate::workload::Workload;

/// Round keys of AES-256 that are made from others.
const LINKS: u32 = 13;

/// Rounds of AES-256.
const ROUNDS: u32 = 14;

/// The fewest cycles of any such engine with vectors of `width` bits.
pub fn floor(core: &Core, width: u32, workload: Workload) -> u32 {
    let round = core.aes(width);
    // All operations of a round may start on the same ports.
    let operations = round.operations.len() as u32;
    let ports = round.operations.iter().map(|ports| ports.count_ones());
    let ports = ports.max().unwrap_or(1);
    let first_tweak = 2 * (LINKS + 1) * round.latency;
    let vectors = (workload.total() as u32 * 8).div_ceil(width);
    let data = (ROUNDS * vectors * operations).div_ceil(ports) - 1 + round.latency;
    first_tweak + data.max(ROUNDS * round.latency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::core::{GOLDEN_COVE, ZEN3, ZEN4};

    #[test]
    fn two_schedules_and_the_rounds() {
        // 28 latencies of 3, then 8 vectors of 14 rounds, one a cycle, the last of which takes 3.
        let one = floor(&GOLDEN_COVE, 512, Workload::of(1, 512));
        assert_eq!(one, 84 + 8 * 14 - 1 + 3);
        // 28 latencies of 4, then 16 vectors of 14 rounds, two a cycle.
        let one = floor(&ZEN3, 256, Workload::of(1, 512));
        assert_eq!(one, 112 + 8 * 14 - 1 + 4);
        // The same in half as many vectors, each of them two operations.
        let one = floor(&ZEN4, 512, Workload::of(1, 512));
        assert_eq!(one, 112 + 8 * 14 - 1 + 4);
    }
}
