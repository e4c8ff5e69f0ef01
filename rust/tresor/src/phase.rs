// SPDX-License-Identifier: GPL-2.0

//! The life of S: which phases there are, and which follows which.

/// What the home of S is used for at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// No S: requests wait for a pass phrase.
    Locked = 0,
    /// A public S is there while the crypto API tests the ciphers.
    SelfTest = 1,
    /// S is being computed, and may be on some CPUs already.
    Unlocking = 2,
    /// S is there.
    Unlocked = 3,
    /// S is being wiped, and may be on some CPUs still.
    Locking = 4,
    /// No S, because the machine sleeps or has just woken up: the pass phrase is to be asked again.
    Suspended = 5,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Locked,
        Self::SelfTest,
        Self::Unlocking,
        Self::Unlocked,
        Self::Locking,
        Self::Suspended,
    ];

    /// The phase with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&phase| phase as u32 == number)
    }

    /// One word for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::SelfTest => "self-test",
            Self::Unlocking => "unlocking",
            Self::Unlocked => "unlocked",
            Self::Locking => "locking",
            Self::Suspended => "suspended",
        }
    }

    /// Whether it can last: the others end by themselves within seconds.
    pub const fn is_at_rest(self) -> bool {
        matches!(self, Self::Locked | Self::Unlocked | Self::Suspended)
    }

    /// Whether this phase may be followed by `next`.
    ///
    /// The phases at rest are left through one in which a single task works on the registers. The
    /// one exception is an emergency, in which there is no time for that.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Locked => matches!(next, Self::SelfTest | Self::Unlocking | Self::Locking),
            Self::SelfTest => matches!(next, Self::Locked),
            Self::Unlocking => matches!(next, Self::Unlocked | Self::Locked | Self::Suspended),
            // Once more, for CPUs that came later.
            Self::Unlocked => matches!(next, Self::Locking | Self::Locked | Self::Unlocking),
            Self::Locking => matches!(next, Self::Locked | Self::Suspended),
            Self::Suspended => matches!(next, Self::Unlocking | Self::Locking | Self::Locked),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::Phase;

    #[test]
    fn numbers_and_names_are_unique() {
        for (at, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, at);
            assert_eq!(Phase::from_number(phase as u32), Some(phase));
            let same: Vec<_> = Phase::ALL
                .into_iter()
                .filter(|other| other.name() == phase.name())
                .collect();
            assert_eq!(same, [phase]);
        }
        assert_eq!(Phase::from_number(Phase::ALL.len() as u32), None);
    }

    /// S comes only through a derivation, whatever path is taken.
    #[test]
    fn only_unlocking_leads_to_unlocked() {
        for phase in Phase::ALL {
            assert_eq!(
                phase.may_become(Phase::Unlocked),
                phase == Phase::Unlocking,
                "{phase:?}"
            );
        }
    }

    /// The self tests overwrite S, so they may begin only where there is none to come or to go.
    #[test]
    fn self_tests_begin_only_without_a_secret() {
        for phase in Phase::ALL {
            assert_eq!(
                phase.may_become(Phase::SelfTest),
                phase == Phase::Locked,
                "{phase:?}"
            );
        }
    }

    #[test]
    fn no_phase_is_a_dead_end_and_none_follows_itself() {
        for phase in Phase::ALL {
            assert!(!phase.may_become(phase));
            let mut reached = Vec::from([phase]);
            while let Some(next) = Phase::ALL.into_iter().find(|next| {
                !reached.contains(next) && reached.iter().any(|from| from.may_become(*next))
            }) {
                reached.push(next);
            }
            assert_eq!(reached.len(), Phase::ALL.len(), "from {phase:?}");
        }
    }
}
