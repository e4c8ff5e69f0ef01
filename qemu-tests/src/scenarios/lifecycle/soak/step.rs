// SPDX-License-Identifier: GPL-2.0

//! What may happen in a soak, and a seed's choice of it.

use std::fmt;

use guest_init::pattern::splitmix64;

use crate::sleep::Sleep;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The machine sleeps, is searched, wakes up and asks; so many wrong pass phrases come before the right one.
    Sleep { how: Sleep, wrong: u32 },
    /// The same, but nobody types a pass phrase until the machine runs again.
    SleepAndAway { how: Sleep },
    /// A CPU goes offline, or comes online if it is off.
    Cpu { cpu: u32 },
    /// CPUs begin to come and go all the time, also while other steps are taken.
    StormBegins { seed: u32 },
    /// They stop it, and all are online.
    StormEnds,
    /// So many NMIs.
    Nmis(u32),
    /// The machine is locked for a moment; so many wrong pass phrases come before the right one.
    Lock { how: Lock, wrong: u32 },
    /// Others try to set breakpoints.
    Breakpoints,
    /// Somebody tries to hibernate the machine.
    Hibernate,
    /// Calls of the device at random.
    Hammer { seed: u64 },
    /// All RAM of the running machine is searched.
    Search,
}

/// How a running machine is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// `tresorctl lock`.
    Program,
    /// SysRq-x.
    SysRq,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sleep { how, wrong } => write!(f, "sleep {how}, {wrong} wrong pass phrases"),
            Self::SleepAndAway { how } => write!(f, "sleep {how}, and nobody is there"),
            Self::Cpu { cpu } => write!(f, "CPU {cpu} goes, or comes"),
            Self::StormBegins { .. } => write!(f, "CPUs begin to come and go"),
            Self::StormEnds => write!(f, "CPUs stay online"),
            Self::Nmis(count) => write!(f, "{count} NMIs"),
            Self::Lock { how, wrong } => {
                let by = match how {
                    Lock::Program => "tresorctl",
                    Lock::SysRq => "SysRq-x",
                };
                write!(f, "locked by {by}, {wrong} wrong pass phrases")
            }
            Self::Breakpoints => write!(f, "breakpoints of perf and ptrace"),
            Self::Hibernate => write!(f, "hibernation"),
            Self::Hammer { .. } => write!(f, "calls of the device at random"),
            Self::Search => write!(f, "all RAM is searched"),
        }
    }
}

/// Random steps that a seed repeats.
pub(super) struct Random {
    seed: u64,
    /// How many numbers were taken.
    taken: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, taken: 0 }
    }

    fn next(&mut self) -> u64 {
        let number = splitmix64(self.seed, self.taken);
        self.taken += 1;
        number
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit)) as u32
    }

    /// The next step of a machine with `cpus` CPUs, on which a storm may be under way.
    pub(super) fn step(&mut self, cpus: u32, storm: bool) -> Step {
        match self.below(16) {
            0..=3 => Step::Sleep {
                how: self.how(),
                wrong: [0, 0, 1, 2][self.below(4) as usize],
            },
            4 => Step::SleepAndAway { how: self.how() },
            5..=9 if storm => Step::StormEnds,
            5..=7 if cpus > 1 => Step::Cpu {
                cpu: 1 + self.below(cpus - 1),
            },
            8..=9 if cpus > 1 => Step::StormBegins {
                seed: self.below(32768),
            },
            10 => Step::Nmis(1 + self.below(40)),
            11..=12 => Step::Lock {
                how: [Lock::Program, Lock::SysRq][self.below(2) as usize],
                wrong: self.below(2),
            },
            13 => [Step::Breakpoints, Step::Hibernate][self.below(2) as usize],
            14 => Step::Hammer { seed: self.next() },
            _ => Step::Search,
        }
    }

    fn how(&mut self) -> Sleep {
        [Sleep::ToRam, Sleep::ToIdle][self.below(2) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::mem::discriminant;

    use super::super::{CPUS_OF_FEW, FEW, SEED_OF_FEW};
    use super::*;

    /// Kinds of [`Step`].
    const KINDS: usize = 11;

    fn steps(seed: u64, cpus: u32, count: u32) -> Vec<Step> {
        let mut random = Random::new(seed);
        let mut storm = false;
        (0..count)
            .map(|_| {
                let step = random.step(cpus, storm);
                match step {
                    Step::StormBegins { .. } => storm = true,
                    Step::StormEnds => storm = false,
                    _ => (),
                }
                step
            })
            .collect()
    }

    fn kinds(steps: &[Step]) -> usize {
        let kinds: HashSet<_> = steps.iter().map(discriminant).collect();
        kinds.len()
    }

    #[test]
    fn a_seed_takes_the_same_steps_again_and_another_one_others() {
        assert_eq!(steps(7, 4, 50), steps(7, 4, 50));
        assert_ne!(steps(7, 4, 50), steps(8, 4, 50));
    }

    #[test]
    fn every_kind_of_step_is_taken_also_in_the_short_soak() {
        assert_eq!(kinds(&steps(1, 4, 300)), KINDS);
        assert_eq!(kinds(&steps(SEED_OF_FEW, CPUS_OF_FEW, FEW)), KINDS);
    }
}
