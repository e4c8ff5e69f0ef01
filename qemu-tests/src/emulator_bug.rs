// SPDX-License-Identifier: GPL-2.0

//! A failure of the emulator itself, which says nothing about the driver in it.
//!
//! QEMU 10.0 with several threads sometimes aborts while a machine boots, when one virtual CPU changes
//! the memory map and another looks an address up. On a busy host a virtual CPU sometimes does not
//! start when Linux wakes up and wants it back, so that the machine goes on with one CPU less than a
//! scenario expects. And on a busy host a machine sometimes stands still in the midst of its boot,
//! before it asks for a pass phrase or starts a program, without a word; why is not known. These
//! three, and no other failure, make the work be done again; it is said each time. What always fails
//! so still fails, at the last try.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use fs_err as fs;

use crate::console::{DAMAGED, INIT_STARTED, PANIC, PROMPT};

/// The assertion that fails, as QEMU prints it.
const ASSERTION: &str = "iotlb_to_section: Assertion";
/// What Linux says when a CPU that it wants to start gives no sign of life for 10 s.
const NO_CPU: &str = "failed to report alive state";
/// What shows that a kernel has come to the end of its boot: it asks, or says what program it starts.
const BOOTED: [&str; 2] = [PROMPT, INIT_STARTED];
/// What a kernel says that stands still because of a fault in it.
const TROUBLE: [&str; 5] = [PANIC, "BUG:", "Oops", "WARNING:", DAMAGED];
/// File times come from a coarser clock, which lags behind.
const CLOCK_LAG: Duration = Duration::from_millis(20);
/// How often the work is done at most.
const TRIES: u32 = 3;

/// Does `work`, whose machines leave their logs below `dir`, and does it again if it failed because
/// QEMU crashed, did not start a CPU, or a machine never came to the end of its boot. `name` says what
/// it is.
pub(crate) fn retry<T>(name: &str, dir: &Path, mut work: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..TRIES {
        let start = SystemTime::now();
        match work() {
            Err(error) if crashed(dir, start) => {
                eprintln!("{name}: QEMU itself crashed ({ASSERTION} failed), once more: {error:#}");
            }
            Err(error) if lacked_cpu(dir, start) => {
                eprintln!("{name}: QEMU did not start a CPU ({NO_CPU}), once more: {error:#}");
            }
            Err(error) if stood_still(dir, start) => {
                eprintln!("{name}: a machine stood still in its boot, once more: {error:#}");
            }
            result => return result,
        }
    }
    work()
}

/// Whether QEMU says that it crashed.
fn crashed(dir: &Path, start: SystemTime) -> bool {
    any_log(dir, start, "qemu.log", |text| text.contains(ASSERTION))
}

/// Whether a kernel says that a CPU did not start.
fn lacked_cpu(dir: &Path, start: SystemTime) -> bool {
    any_log(dir, start, "serial.log", |text| text.contains(NO_CPU))
}

/// Whether a kernel began to boot and neither came to the end nor said that something is wrong.
fn stood_still(dir: &Path, start: SystemTime) -> bool {
    any_log(dir, start, "serial.log", |text| {
        let said = |what: &str| text.contains(what);
        said("Linux version") && !BOOTED.into_iter().any(said) && !TROUBLE.into_iter().any(said)
    })
}

/// Whether a log called `name` below `dir` that was written since `start` is as `wanted` says.
fn any_log(dir: &Path, start: SystemTime, name: &str, wanted: fn(&str) -> bool) -> bool {
    let Ok(entries) = fs::read_dir(dir) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return any_log(&path, start, name, wanted);
        }
        let recent = || entry.metadata().and_then(|data| data.modified());
        path.file_name().is_some_and(|file| file == name)
            && recent().is_ok_and(|written| written + CLOCK_LAG >= start)
            && fs::read(&path).is_ok_and(|log| wanted(&String::from_utf8_lossy(&log)))
    })
}

#[cfg(test)]
mod tests {
    use anyhow::{anyhow, Result};

    use super::{retry, ASSERTION, BOOTED, NO_CPU, PROMPT, TRIES, TROUBLE};

    /// How often work is done that always fails and logs `log`.
    fn runs(file: &str, log: &str) -> u32 {
        let dir = tempfile::tempdir().unwrap();
        let machine = dir.path().join("machine");
        std::fs::create_dir(&machine).unwrap();
        let mut runs = 0;
        let result: Result<()> = retry("test", dir.path(), || {
            runs += 1;
            std::fs::write(machine.join(file), log).unwrap();
            Err(anyhow!("failed"))
        });
        assert!(result.is_err(), "a failure stays one");
        runs
    }

    #[test]
    fn only_the_crash_of_qemu_is_tried_again() {
        let crash = format!("physmem.c:1: {ASSERTION} `x' failed.\n");
        assert_eq!(runs("qemu.log", &crash), TRIES);
        assert_eq!(runs("qemu.log", "some other assertion failed\n"), 1);
        assert_eq!(runs("qemu.log", ""), 1);
    }

    #[test]
    fn a_cpu_that_does_not_start_is_tried_again() {
        let awake = format!("Linux version 7.3.4\n{PROMPT}\nsmpboot: Booting\n");
        assert_eq!(
            runs("serial.log", &format!("{awake}CPU1 {NO_CPU}\n")),
            TRIES
        );
        assert_eq!(runs("serial.log", &format!("{awake}CPU1 is up\n")), 1);
    }

    #[test]
    fn a_machine_that_booted_or_complained_is_not_tried_again() {
        let early = "[    0.000000] Linux version 7.3.4\n[    1.02] clocksource: tsc\n";
        assert_eq!(runs("serial.log", early), TRIES);
        for later in BOOTED.into_iter().chain(TROUBLE) {
            assert_eq!(runs("serial.log", &format!("{early}{later}\n")), 1);
        }
        assert_eq!(runs("serial.log", ""), 1);
    }

    #[test]
    fn a_log_from_before_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("qemu.log"), ASSERTION).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut runs = 0;
        let result: Result<()> = retry("test", dir.path(), || {
            runs += 1;
            Err(anyhow!("failed"))
        });
        assert!(result.is_err());
        assert_eq!(runs, 1);
    }
}
