// SPDX-License-Identifier: GPL-2.0

//! Requests and replies: one JSON object per line on the virtio port [`PORT`].
//!
//! The guest speaks first ([`Reply::Ready`]); then every request gets exactly one reply. Nothing secret travels here: keys reach the
//! guest on a disk of their own, pass phrases through its consoles.

use serde::{Deserialize, Serialize};

/// Name of the virtio-serial port.
pub const PORT: &str = "tresor.agent";

/// What the host asks the guest to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Runs a program to its end. Reply: [`Reply::Ran`].
    Run {
        /// Program and arguments; the program is looked up in PATH.
        argv: Vec<String>,
        /// After so many seconds it is killed and the request fails.
        timeout_s: u64,
    },
    /// Writes a whole file (created or truncated). Reply: [`Reply::Done`].
    WriteFile {
        /// Absolute path in the guest.
        path: String,
        /// Content in hex.
        data: String,
    },
    /// Reads a whole file, also from procfs and sysfs. Reply: [`Reply::File`].
    ReadFile {
        /// Absolute path in the guest.
        path: String,
    },
    /// Writes test content over a file or block device and syncs it. Reply: [`Reply::Done`].
    FillPattern {
        /// Absolute path in the guest.
        path: String,
        /// Stream of [`crate::pattern`].
        seed: u64,
        /// Bytes to write from the start.
        len: u64,
    },
    /// Compares a file or block device with test content, past the page cache. Reply: [`Reply::Checked`].
    CheckPattern {
        /// Absolute path in the guest.
        path: String,
        /// Stream of [`crate::pattern`].
        seed: u64,
        /// Bytes to compare; a shorter file is a difference.
        len: u64,
    },
    /// Starts a thread that writes and verifies a part of a block device with O_DIRECT until [`Request::StopLoad`]. Reply: [`Reply::Done`].
    StartLoad {
        /// Block device.
        path: String,
        /// CPU that the thread is bound to, if any.
        cpu: Option<usize>,
        /// First byte of its part (a multiple of 4096).
        start: u64,
        /// Bytes of its part (a multiple of 64 KiB).
        len: u64,
    },
    /// What the load threads have done so far. Reply: [`Reply::Load`].
    LoadStatus,
    /// Ends all load threads. Reply: [`Reply::Load`] with their sum.
    StopLoad,
    /// Syncs and resets the machine. No reply.
    Reboot,
}

/// What the guest answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// PID 1 runs and waits for requests.
    Ready {
        /// `uname -r`.
        kernel: String,
        /// CPUs online.
        cpus: usize,
    },
    /// The program ended.
    Ran {
        /// Exit status, or 128 + signal number.
        status: i32,
        /// Its standard output (invalid UTF-8 replaced).
        stdout: String,
        /// Its standard error (invalid UTF-8 replaced).
        stderr: String,
    },
    /// Done, nothing to tell.
    Done,
    /// Content of a file in hex.
    File {
        /// The bytes in hex.
        data: String,
    },
    /// Result of a comparison.
    Checked {
        /// First byte that differs, none if all are equal.
        difference: Option<u64>,
    },
    /// State of the load threads.
    Load(LoadReport),
    /// The request could not be carried out.
    Failed {
        /// What happened.
        message: String,
    },
}

/// Sum of what all load threads did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Threads that run now.
    pub threads: usize,
    /// Bytes written, read back and found equal.
    pub verified: u64,
    /// Reads and writes that failed, and blocks that came back different.
    pub errors: u64,
    /// The first of these errors.
    pub first_error: Option<String>,
}
