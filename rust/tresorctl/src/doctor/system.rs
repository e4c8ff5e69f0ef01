// SPDX-License-Identifier: GPL-2.0
//! The files by which the kernel tells of itself, below any directory.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::OFlags;

/// More of the kernel's log than its buffer holds.
const LOG_LIMIT: usize = 1 << 20;

/// A system, by its /proc, /sys, /dev and /boot.
pub(crate) struct System {
    root: PathBuf,
    /// The flags of the first CPU.
    flags: BTreeSet<String>,
    /// The words of the kernel's command line.
    cmdline: Vec<String>,
    /// The line of the lockdown state.
    lockdown: String,
}

impl System {
    /// Fails unless there is a /proc with a CPU in it.
    pub(crate) fn new(root: &Path) -> anyhow::Result<Self> {
        let mut system = Self {
            root: root.to_owned(),
            flags: BTreeSet::new(),
            cmdline: Vec::new(),
            lockdown: String::new(),
        };
        let cpuinfo = system.read("proc/cpuinfo").with_context(|| {
            format!(
                "{} cannot be read: is /proc mounted?",
                root.join("proc/cpuinfo").display()
            )
        })?;
        system.flags = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("flags")?.split_once(':'))
            .map(|(_, flags)| flags.split_whitespace().map(str::to_owned).collect())
            .context("/proc/cpuinfo has no line with flags: is this an x86 machine?")?;
        system.cmdline = system
            .read("proc/cmdline")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        system.lockdown = system
            .read("sys/kernel/security/lockdown")
            .unwrap_or_default();
        Ok(system)
    }

    /// A file's text without the white space around it; none if it cannot be read.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.root.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// The names in a directory, sorted; none if there is no such directory.
    pub(crate) fn list(&self, path: &str) -> Option<Vec<String>> {
        let mut names: Vec<_> = fs::read_dir(self.root.join(path))
            .ok()?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Some(names)
    }

    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    /// Whether a word of the command line begins so.
    pub(crate) fn cmdline_has(&self, beginning: &str) -> bool {
        self.cmdline.iter().any(|word| word.starts_with(beginning))
    }

    /// The lockdown level in force, or an empty text.
    pub(crate) fn lockdown(&self) -> &str {
        let chosen = self.lockdown.split_once('[').map_or("", |(_, rest)| rest);
        chosen.split_once(']').map_or("", |(level, _)| level)
    }

    /// Whether the configuration of the running kernel, if its file is there, has a line.
    pub(crate) fn config_has(&self, line: &str) -> bool {
        self.read("proc/sys/kernel/osrelease")
            .and_then(|release| self.read(&format!("boot/config-{release}")))
            .is_some_and(|config| config.lines().any(|it| it == line))
    }

    /// Whether the running kernel has a module that can be loaded by its name.
    pub(crate) fn has_module(&self, module: &str) -> bool {
        let Some(release) = self.read("proc/sys/kernel/osrelease") else {
            return false;
        };
        // A line is `misc/vboxdrv.ko.xz: ...`.
        let list = self.read(&format!("lib/modules/{release}/modules.dep"));
        list.is_some_and(|list| {
            list.lines().any(|line| {
                let path = line.split(':').next().unwrap_or_default();
                let name = path.rsplit('/').next().unwrap_or_default();
                name.split_once(".ko")
                    .is_some_and(|(name, _)| name == module)
            })
        })
    }

    /// What is still in the kernel's log; empty if it may not be read.
    pub(crate) fn log(&self) -> String {
        let mut options = fs::OpenOptions::new();
        // At the end it would wait for the next line.
        options
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32);
        let Ok(mut file) = options.open(self.root.join("dev/kmsg")) else {
            return String::new();
        };
        let mut log = Vec::new();
        // One record a read; more than fits is an error, as is the end.
        let mut record = [0; 8192];
        while let Ok(got @ 1..) = file.read(&mut record) {
            log.extend_from_slice(&record[..got]);
            if log.len() > LOG_LIMIT {
                break;
            }
        }
        String::from_utf8_lossy(&log).into_owned()
    }
}
