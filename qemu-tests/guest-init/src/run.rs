// SPDX-License-Identifier: GPL-2.0

//! Runs one program to its end, with a time limit, and keeps all it prints.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::thread::{sleep, spawn, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use guest_init::protocol::Reply;

pub(crate) fn run(argv: &[String], timeout_s: u64) -> Result<Reply> {
    let [program, args @ ..] = argv else {
        bail!("an empty command");
    };
    let mut child = Command::new(program)
        .args(args)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        // There is no udev to make the nodes below /dev/mapper.
        .env("DM_DISABLE_UDEV", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    // A thread per pipe: whichever the program fills first, nobody waits for the other.
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begin.elapsed() > Duration::from_secs(timeout_s) {
            child.kill()?;
            child.wait()?;
            bail!("{argv:?} did not end within {timeout_s} s");
        }
        sleep(Duration::from_millis(2));
    };
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(Reply::Ran {
        status: code.context("a status without code and signal")?,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    spawn(move || {
        let mut out = Vec::new();
        // A read error ends the text early; the exit status still tells the result.
        drop(pipe.read_to_end(&mut out));
        out
    })
}

fn text(reader: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = reader
        .and_then(|thread| thread.join().ok())
        .unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
