// SPDX-License-Identifier: GPL-2.0

//! A crash of the emulator itself, which says nothing about the kernel in it.
//!
//! QEMU 10.0 with several threads sometimes aborts while a machine boots, when one virtual CPU changes
//! the memory map and another looks an address up. That one message, and no other failure, makes the
//! work be done again; it is said each time.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use fs_err as fs;

/// The assertion that fails, as QEMU prints it.
const ASSERTION: &str = "iotlb_to_section: Assertion";
/// File times come from a coarser clock, which lags behind.
const CLOCK_LAG: Duration = Duration::from_millis(20);
/// How often the work is done at most.
const TRIES: u32 = 3;

/// Does `work`, whose machines leave their logs below `dir`, and does it again if it failed because
/// QEMU crashed. `name` says what it is.
pub(crate) fn retry<T>(name: &str, dir: &Path, mut work: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..TRIES {
        let start = SystemTime::now();
        match work() {
            Err(error) if crashed(dir, start) => {
                eprintln!("{name}: QEMU itself crashed ({ASSERTION} failed), once more: {error:#}");
            }
            result => return result,
        }
    }
    work()
}

/// Whether a log below `dir` that was written since `start` has the message.
fn crashed(dir: &Path, start: SystemTime) -> bool {
    let Ok(entries) = fs::read_dir(dir) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return crashed(&path, start);
        }
        let recent = || entry.metadata().and_then(|data| data.modified());
        path.file_name().is_some_and(|name| name == "qemu.log")
            && recent().is_ok_and(|written| written + CLOCK_LAG >= start)
            && fs::read_to_string(&path).is_ok_and(|text| text.contains(ASSERTION))
    })
}

#[cfg(test)]
mod tests {
    use anyhow::{anyhow, Result};

    use super::{retry, ASSERTION, TRIES};

    /// How often work is done that always fails and logs `log`.
    fn runs(log: &str) -> u32 {
        let dir = tempfile::tempdir().unwrap();
        let machine = dir.path().join("machine");
        std::fs::create_dir(&machine).unwrap();
        let mut runs = 0;
        let result: Result<()> = retry("test", dir.path(), || {
            runs += 1;
            std::fs::write(machine.join("qemu.log"), log).unwrap();
            Err(anyhow!("failed"))
        });
        assert!(result.is_err(), "a failure stays one");
        runs
    }

    #[test]
    fn only_the_crash_of_qemu_is_tried_again() {
        assert_eq!(
            runs(&format!("physmem.c:1: {ASSERTION} `x' failed.\n")),
            TRIES
        );
        assert_eq!(runs("some other assertion failed\n"), 1);
        assert_eq!(runs(""), 1);
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
