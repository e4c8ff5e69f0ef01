// SPDX-License-Identifier: GPL-2.0

//! Runs one of cryptsetup's own tests in a machine.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fs_err as fs;

use super::tests::{Program, Test};
use crate::cryptsetup_suite::{copy_image, TESTS};
use crate::guest::Guest;
use crate::machine::Config;
use crate::scenarios::lab::Lab;

/// Where a machine mounts the disk.
const ROOT: &str = "/suite";
/// RAM in MiB: some keyslots take 100 MB for their Argon2.
const MEMORY_MIB: u32 = 1024;
/// What a test that cannot be tried ends with.
pub(super) const SKIPPED: i32 = 77;
/// Lines of a test's output that an error quotes.
const QUOTED: usize = 12;

/// The disk with the tests, in a machine.
pub(super) struct Suite;

/// How a test ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: i32,
    pub(super) output: String,
    time: Duration,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.status {
            0 => "ok",
            SKIPPED => "skipped",
            _ => "FAILED",
        };
        write!(f, "{how} {:>4} s", self.time.as_secs())
    }
}

impl Ended {
    /// The last lines.
    pub(super) fn tail(&self) -> String {
        let lines: Vec<_> = self.output.lines().collect();
        lines[lines.len().saturating_sub(QUOTED)..].join("\n")
    }
}

impl Suite {
    /// Gives a machine a disk of its own with the tests, its first one.
    pub(super) fn add_to(lab: &Lab<'_>, config: Config, image: &str) -> Result<(Self, Config)> {
        let suite = lab.context.suite.as_ref();
        let suite = suite.context("there is no disk with cryptsetup's tests")?;
        let image = lab.dir.join(image);
        copy_image(suite, &image)?;
        let config = Config {
            disks: vec![image],
            memory_mib: MEMORY_MIB,
            ..config
        };
        Ok((Self, config))
    }

    /// Makes the disk the root of whatever [`Self::run`] starts.
    pub(super) fn mount(&self, guest: &mut Guest) -> Result<()> {
        let mount = |guest: &mut Guest, options: &[&str], what: &str, place: &str| {
            let place = format!("{ROOT}{place}");
            let argv = [&["busybox", "mount"][..], options, &[what, &place]].concat();
            guest.run_ok(&argv).map(drop)
        };
        guest.run_ok(&["busybox", "mkdir", "-p", ROOT])?;
        mount(guest, &["-t", "ext4"], "/dev/vda", "")?;
        mount(guest, &["-o", "bind"], "/dev", "/dev")?;
        mount(guest, &["-t", "proc"], "proc", "/proc")?;
        mount(guest, &["-t", "sysfs"], "sysfs", "/sys")?;
        mount(guest, &["-t", "tmpfs"], "tmpfs", "/run")?;
        // For expect(1).
        guest.run_ok(&["busybox", "mkdir", "-p", "/suite/dev/pts"])?;
        mount(guest, &["-t", "devpts"], "devpts", "/dev/pts")?;
        for program in [Program::OurCipher, Program::Broken] {
            let dir = format!("{ROOT}{}", program.dir());
            guest.run_ok(&["busybox", "mkdir", "-p", &dir])?;
            let path = format!("{dir}/cryptsetup");
            guest.write_file(&path, program.script().as_bytes())?;
            guest.run_ok(&["busybox", "chmod", "755", &path])?;
        }
        Ok(())
    }

    /// Runs a test as the suite's own Makefile would. What it printed is left in the lab's directory.
    pub(super) fn run(
        &self,
        lab: &Lab<'_>,
        machine: &str,
        guest: &mut Guest,
        test: &Test,
    ) -> Result<Ended> {
        let script = match test.change {
            "" => test.script.to_owned(),
            change => {
                let changed = format!("{}-changed", test.script);
                let sed = format!(
                    "cd {TESTS} && sed -e '{change}' {} > {changed} && chmod 755 {changed} && ! cmp -s {} {changed}",
                    test.script, test.script
                );
                guest.run_ok(&["busybox", "chroot", ROOT, "/bin/bash", "-c", &sed])?;
                changed
            }
        };
        let command = format!(
            "cd {TESTS} && export CRYPTSETUP_PATH={} TESTSUITE_NOSKIP=y && exec ./{script} 2>&1",
            test.program.dir()
        );
        let begin = Instant::now();
        // A session of its own, as whoever logs in has: the tests put keys in it.
        let argv = [
            &["busybox", "chroot", ROOT, "/bin/keyctl", "session", "-"][..],
            &["/bin/bash", "-c", &command],
        ]
        .concat();
        let ended = guest.run_within(&argv, test.limit_s)?;
        let ended = Ended {
            status: ended.status,
            output: ended.stdout + &ended.stderr,
            time: begin.elapsed(),
        };
        let log = format!("{machine}-{}.log", test.name.replace(' ', "-"));
        fs::write(lab.dir.join(log), &ended.output)?;
        Ok(ended)
    }
}
