// SPDX-License-Identifier: GPL-2.0
//! `tresorctl status`.

use serde::Serialize;
use tresor::phase::Phase;
use tresor::uapi::{self, Status};

use crate::device::Device;

/// Options of `status`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The state in words for programs. Fields may be added, not changed.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Report {
    phase: &'static str,
    cpus: u32,
    cpus_with_key: u32,
    waiting_requests: u32,
    requests_fail: bool,
    engine: String,
    slot: Option<SlotReport>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct SlotReport {
    id: String,
    iterations: u32,
}

/// Prints the state.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let report = Report::of(&Device::open()?.status()?);
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.text());
    }
    Ok(())
}

impl Report {
    fn of(status: &Status) -> Self {
        let engine = status.engine.split(|&byte| byte == 0).next();
        Self {
            phase: Phase::from_number(status.phase).map_or("unknown", Phase::name),
            cpus: status.cpus,
            cpus_with_key: status.cpus_with_key,
            waiting_requests: status.waiting,
            requests_fail: status.flags & uapi::STATUS_FAILS != 0,
            engine: String::from_utf8_lossy(engine.unwrap_or_default()).into_owned(),
            slot: (status.flags & uapi::STATUS_HAS_SLOT != 0).then(|| SlotReport {
                id: status
                    .slot_id
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
                iterations: status.iterations,
            }),
        }
    }

    fn text(&self) -> String {
        let requests = match (self.requests_fail, self.waiting_requests) {
            (true, _) => "fail while there is no key".to_owned(),
            (false, waiting) => format!("{waiting} wait for the key"),
        };
        let slot = match &self.slot {
            Some(slot) => format!("{}, {} iterations", slot.id, slot.iterations),
            None => "none on the kernel command line".to_owned(),
        };
        format!(
            "state:    {}\nkey:      on {} of {} CPUs\nrequests: {requests}\nengine:   {}\nslot:     {slot}\n",
            self.phase, self.cpus_with_key, self.cpus, self.engine
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            phase: Phase::Locked as u32,
            cpus: 4,
            waiting: 17,
            flags: uapi::STATUS_HAS_SLOT,
            iterations: 1000,
            slot_id: [0xab, 1, 2, 3, 4, 5, 6, 7],
            engine: *b"vaes\0\0\0\0\0\0\0\0\0\0\0\0",
            ..Status::default()
        }
    }

    #[test]
    fn text_tells_everything() {
        assert_eq!(
            Report::of(&status()).text(),
            "state:    locked\nkey:      on 0 of 4 CPUs\nrequests: 17 wait for the key\n\
             engine:   vaes\nslot:     ab01020304050607, 1000 iterations\n"
        );
    }

    #[test]
    fn json_is_stable() {
        let status = Status {
            phase: 99,
            flags: uapi::STATUS_FAILS,
            ..status()
        };
        assert_eq!(
            serde_json::to_string(&Report::of(&status)).unwrap(),
            r#"{"phase":"unknown","cpus":4,"cpus_with_key":0,"waiting_requests":17,"requests_fail":true,"engine":"vaes","slot":null}"#
        );
    }
}
