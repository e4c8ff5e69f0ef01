// SPDX-License-Identifier: GPL-2.0
//! How fast this machine derives keys, with the code that the kernel will use.

use std::time::{Duration, Instant};

use tresor::kdf::{PASS_PHRASE_BUFFER, SALT};
use tresor::reference;
use tresor::slot::ITERATIONS_MIN;

/// Long enough for the clock and for a CPU to reach its full frequency.
const ENOUGH: Duration = Duration::from_millis(100);

/// PBKDF2 iterations in a time, by a named implementation.
pub(crate) struct Speed {
    /// What was measured, for people.
    pub(crate) what: String,
    iterations: u32,
    time: Duration,
}

impl Speed {
    /// Measures the implementation that the kernel would take on this CPU.
    pub(crate) fn measure() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(engine) = tresor::user::Unlock::all().first() {
            let salt_block = tresor::kdf::salt_block(&[0; SALT]);
            // No slot has this MAC: the engine only computes, and keeps nothing.
            let slot = [0; tresor::slot::ENGINE_BLOCK];
            let run = |iterations: u32| {
                let _wrong = engine.unlock(
                    &[0; PASS_PHRASE_BUFFER],
                    0,
                    &salt_block,
                    iterations.into(),
                    &slot,
                );
            };
            return Self::time(format!("in registers ({})", engine.name()), run);
        }
        Self::time(
            "in software, as this CPU cannot run the kernel's code".to_owned(),
            |iterations| {
                reference::pass_phrase_key(&[0; PASS_PHRASE_BUFFER], &[0; SALT], iterations);
            },
        )
    }

    fn time(what: String, run: impl Fn(u32)) -> Self {
        let mut iterations = ITERATIONS_MIN;
        loop {
            let start = Instant::now();
            run(iterations);
            let time = start.elapsed();
            if time >= ENOUGH || iterations > u32::MAX / 2 {
                return Self {
                    what,
                    iterations,
                    time,
                };
            }
            iterations *= 2;
        }
    }

    /// Returns how many iterations take about `time`, within what a slot may have.
    pub(crate) fn iterations_in(&self, time: Duration) -> u32 {
        let iterations =
            u128::from(self.iterations) * time.as_nanos() / self.time.as_nanos().max(1);
        u32::try_from(iterations)
            .unwrap_or(u32::MAX)
            .max(ITERATIONS_MIN)
    }

    /// Returns about how long `iterations` take.
    pub(crate) fn time_of(&self, iterations: u32) -> Duration {
        self.time
            .mul_f64(f64::from(iterations) / f64::from(self.iterations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed() -> Speed {
        Speed {
            what: String::new(),
            iterations: 50_000,
            time: Duration::from_millis(100),
        }
    }

    #[test]
    fn iterations_follow_time() {
        assert_eq!(speed().iterations_in(Duration::from_secs(2)), 1_000_000);
        assert_eq!(speed().time_of(1_000_000), Duration::from_secs(2));
    }

    #[test]
    fn iterations_stay_within_the_format() {
        assert_eq!(speed().iterations_in(Duration::ZERO), ITERATIONS_MIN);
        assert_eq!(
            speed().iterations_in(Duration::from_secs(1 << 40)),
            u32::MAX
        );
    }

    #[test]
    fn measured_speed_is_from_a_run_that_took_long_enough() {
        assert!(Speed::measure().time >= ENOUGH);
    }
}
