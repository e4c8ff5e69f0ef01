// SPDX-License-Identifier: GPL-2.0

//! Scenarios that every run would be too long with.

use super::Scenario;

/// Some of them.
#[derive(Debug)]
pub struct OnRequest {
    /// What their names contain.
    scenarios: &'static str,
    /// A filter asks for them if it contains one of these.
    words: &'static [&'static str],
    /// Why they are skipped otherwise, and how to ask.
    pub why: &'static str,
}

impl OnRequest {
    /// Whether a filter asks for them.
    pub fn is_asked_for(&self, filter: &str) -> bool {
        self.words.iter().any(|word| filter.contains(word))
    }
}

const ON_REQUEST: [OnRequest; 3] = [
    OnRequest {
        scenarios: "newer_qemu",
        words: &["newer_qemu"],
        why: "needs QEMU 11.1, a download: `cargo xtask test qemu::newer_qemu`, or `prove --full`",
    },
    OnRequest {
        scenarios: "whole_cryptsetup_suite",
        words: &["whole_cryptsetup_suite"],
        why: "takes half an hour: `cargo xtask test whole_cryptsetup_suite`",
    },
    OnRequest {
        scenarios: "cryptsetup_suite",
        words: &["cryptsetup_suite", "amnesia"],
        why: "takes three minutes: `cargo xtask test cryptsetup_suite`, or `amnesia`",
    },
];

impl Scenario {
    /// Whether it runs only when it is asked for, or in the long run of the proof; most run always.
    pub fn on_request(&self) -> Option<&'static OnRequest> {
        ON_REQUEST
            .iter()
            .find(|some| self.name.contains(some.scenarios))
    }
}

#[cfg(test)]
mod tests {
    use super::super::all;
    use super::ON_REQUEST;

    #[test]
    fn whoever_names_a_scenario_asks_for_it() {
        let mut found = 0;
        for scenario in all() {
            let Some(some) = scenario.on_request() else {
                continue;
            };
            found += 1;
            assert!(some.is_asked_for(&scenario.name), "{}", scenario.name);
            assert!(!some.is_asked_for("qemu"), "{}", scenario.name);
        }
        assert!(found >= ON_REQUEST.len());
    }
}
