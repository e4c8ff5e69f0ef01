// SPDX-License-Identifier: GPL-2.0

//! The steps of these scenarios: lock, unlock as a person or from a file, and what must be seen.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use serde_json::Value;

use crate::console::PROMPT_OF_TRESORCTL;
use crate::guest::Guest;
use crate::machine::Machine;
use crate::scenarios::lab::{excerpt, PATIENCE};

/// Where the program that asks leaves its exit code.
const EXIT_CODE: &str = "/tmp/unlock-exit";
/// Lines by which a kernel complains.
const COMPLAINTS: &[&str] = &[
    "BUG:",
    "WARNING:",
    "UBSAN:",
    "Oops",
    "general protection",
    "scheduling while atomic",
    "hung_task",
    "blocked for more than",
    "Call Trace",
    "I/O error",
    "Out of memory",
];

pub(crate) fn lock(guest: &mut Guest) -> Result<()> {
    guest.run_ok(&["tresorctl", "lock"]).map(drop)
}

/// `tresorctl status --json`.
pub(super) fn status(guest: &mut Guest) -> Result<Value> {
    let text = guest.run_ok(&["tresorctl", "status", "--json"])?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}

/// Requests that wait for S.
pub(super) fn waiting(guest: &mut Guest) -> Result<u64> {
    status(guest)?["waiting_requests"]
        .as_u64()
        .context("no number of waiting requests")
}

pub(super) fn expect_state(guest: &mut Guest, phase: &str, cpus_with_key: u32) -> Result<()> {
    let status = status(guest)?;
    ensure!(
        status["phase"] == phase && status["cpus_with_key"] == cpus_with_key,
        "the driver should be {phase} with the key on {cpus_with_key} CPUs: {status}"
    );
    Ok(())
}

/// The load makes no progress any more, without an error, and requests wait.
pub(super) fn standstill(guest: &mut Guest) -> Result<()> {
    let begin = Instant::now();
    let mut before = guest.load_status()?;
    loop {
        sleep(Duration::from_secs(1));
        let now = guest.load_status()?;
        ensure!(now.errors == 0, "verified I/O failed: {now:?}");
        if now == before && waiting(guest)? > 0 {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            bail!("verified I/O goes on, or nothing waits: {now:?}");
        }
        before = now;
    }
}

/// A person who runs `tresorctl unlock` on the serial line, where nothing of the pass phrase stays.
pub(crate) struct Typed;

impl Typed {
    pub(crate) fn begin(machine: &mut Machine, guest: &mut Guest) -> Result<Self> {
        guest.write_file(EXIT_CODE, b"")?;
        let command = format!(
            "(tresorctl unlock </dev/ttyS0 >/dev/ttyS0 2>&1; echo $? >{EXIT_CODE}) </dev/null >/dev/null 2>&1 &"
        );
        guest.run_ok(&["busybox", "sh", "-c", &command])?;
        machine.console.wait_for(PROMPT_OF_TRESORCTL, PATIENCE)?;
        Ok(Self)
    }

    /// Types an answer to the prompt that is shown.
    pub(crate) fn answer(&self, machine: &mut Machine, pass_phrase: &[u8]) -> Result<()> {
        machine.console.type_line(pass_phrase)
    }

    /// As [`Self::answer`], for a wrong one after which the prompt is shown again.
    pub(crate) fn answer_wrong(&self, machine: &mut Machine, pass_phrase: &[u8]) -> Result<()> {
        self.answer(machine, pass_phrase)?;
        machine.console.wait_for("wrong pass phrase", PATIENCE)?;
        machine
            .console
            .wait_for(PROMPT_OF_TRESORCTL, PATIENCE)
            .map(drop)
    }

    pub(crate) fn expect_exit(self, guest: &mut Guest, code: &str) -> Result<()> {
        let begin = Instant::now();
        loop {
            let text = guest.read_text(EXIT_CODE)?;
            match text.trim() {
                "" => ensure!(
                    begin.elapsed() < PATIENCE,
                    "`tresorctl unlock` does not end"
                ),
                found => {
                    ensure!(
                        found == code,
                        "`tresorctl unlock` ended with {found} instead of {code}"
                    );
                    return Ok(());
                }
            }
            sleep(Duration::from_millis(200));
        }
    }
}

/// `tresorctl unlock` with the pass phrase in a file, for scenarios that do not search RAM.
pub(crate) fn unlock_with(
    guest: &mut Guest,
    options: &[&str],
    pass_phrase: &[u8],
    code: &str,
) -> Result<()> {
    guest.write_file("/tmp/pass-phrase", pass_phrase)?;
    let mut argv = vec![
        "tresorctl",
        "unlock",
        "--pass-phrase-file",
        "/tmp/pass-phrase",
    ];
    argv.extend(options);
    let ended = guest.run(&argv)?;
    ensure!(
        ended.status.to_string() == code,
        "`{}` ended with {} instead of {code}: {}",
        argv.join(" "),
        ended.status,
        ended.stderr
    );
    Ok(())
}

/// Nothing in the kernel's log is a complaint.
pub(crate) fn expect_quiet(guest: &mut Guest) -> Result<()> {
    let log = guest.dmesg()?;
    let complaint = log
        .lines()
        .find(|line| COMPLAINTS.iter().any(|text| line.contains(text)));
    if let Some(complaint) = complaint {
        bail!("the kernel complains: {complaint}\n{}", excerpt(&log));
    }
    Ok(())
}

/// Seconds from each SysRq-x to the line that says that all CPUs are wiped.
pub(super) fn times_of_wipes(log: &str) -> Result<Vec<f64>> {
    let times = |text: &str| -> Result<Vec<f64>> {
        log.lines()
            .filter(|line| line.contains(text))
            .map(|line| {
                let stamp = line
                    .split(['[', ']'])
                    .nth(1)
                    .context("a line without time")?;
                stamp
                    .trim()
                    .parse()
                    .with_context(|| format!("no time: {line}"))
            })
            .collect()
    };
    let begins = times("Wipe the key of encrypted disks")?;
    let ends = times("the key was wiped on all CPUs")?;
    ensure!(
        begins.len() == 2 && ends.len() == 2,
        "SysRq-x was logged {} times and its end {} times instead of twice",
        begins.len(),
        ends.len()
    );
    Ok(begins
        .iter()
        .zip(&ends)
        .map(|(begin, end)| end - begin)
        .collect())
}
