// SPDX-License-Identifier: GPL-2.0
//! The machine that a measurement is about, and staying on one CPU of it.

use std::fmt;

use anyhow::{Context, Result};
use rustix::thread::{sched_getcpu, sched_setaffinity, CpuSet};
use time::OffsetDateTime;

use crate::clock;

/// Features that decide which engines can run, in the order of /proc/cpuinfo's authors.
const FEATURES: [&str; 15] = [
    "hypervisor",
    "ssse3",
    "sse4_1",
    "aes",
    "avx",
    "avx2",
    "bmi2",
    "sha_ni",
    "vaes",
    "vpclmulqdq",
    "avx512f",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "gfni",
];

/// What a reader has to know about the machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Model name, family, model and stepping.
    pub cpu: String,
    /// Those of its features that decide which engines can run.
    pub features: String,
    /// Of its time stamp counter.
    pub ticks_per_second: f64,
    /// Today, UTC.
    pub date: String,
}

impl Machine {
    /// Looks at this machine.
    pub fn look() -> Result<Self> {
        let text = fs_err::read_to_string("/proc/cpuinfo")?;
        let field = |name: &str| field(&text, name).unwrap_or("unknown");
        let flags: Vec<&str> = field("flags").split_whitespace().collect();
        let features: Vec<&str> = FEATURES
            .into_iter()
            .filter(|feature| flags.contains(feature))
            .collect();
        Ok(Self {
            cpu: format!(
                "{} (family {}, model {}, stepping {})",
                field("model name"),
                field("cpu family"),
                field("model"),
                field("stepping")
            ),
            features: features.join(" "),
            ticks_per_second: clock::ticks_per_second(),
            date: OffsetDateTime::now_utc().date().to_string(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "machine  {}", self.cpu)?;
        writeln!(f, "flags    {}", self.features)?;
        writeln!(f, "date     {}", self.date)
    }
}

/// The value of a field in the first CPU's part of /proc/cpuinfo.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// Keeps the calling thread on the CPU it is on: the caches and counters of another one would be in the figures.
pub fn stay_on_this_cpu() -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(sched_getcpu());
    sched_setaffinity(None, &cpus).context("cannot stay on one CPU")
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_of_cpuinfo() {
        let text = "cpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n\nmodel\t\t: 3\n";
        assert_eq!(field(text, "model"), Some("2"));
        assert_eq!(field(text, "model name"), Some("AMD EPYC"));
        assert_eq!(field(text, "mod"), None);
    }
}
