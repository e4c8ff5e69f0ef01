// SPDX-License-Identifier: GPL-2.0

//! A client for the QEMU Machine Protocol: one JSON object per line, events in between are skipped.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use serde_json::{json, Value};

/// A command is answered at once, except where QEMU works on all of RAM.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to QEMU's monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Takes over a fresh connection: reads the greeting and leaves the negotiation mode.
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut qmp = Self {
            stream: BufReader::new(stream),
        };
        let greeting = qmp.receive()?;
        if greeting.get("QMP").is_none() {
            bail!("not a QEMU monitor: {greeting}");
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Executes a command and returns what it returns.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({"execute": command, "arguments": arguments});
        let mut line = request.to_string();
        line.push('\n');
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .with_context(|| format!("sending {command} to QEMU"))?;
        loop {
            let mut answer = self
                .receive()
                .with_context(|| format!("waiting for QEMU's answer to {command}"))?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                bail!("QEMU refused {command}: {error}");
            }
        }
    }

    /// Executes a command of the human monitor, for what QMP lacks, and returns its text.
    pub fn human(&mut self, command_line: &str) -> Result<String> {
        let value = self.execute(
            "human-monitor-command",
            json!({"command-line": command_line}),
        )?;
        match value {
            Value::String(text) => Ok(text),
            other => bail!("the human monitor answered {other} to {command_line}"),
        }
    }

    /// Stops all virtual CPUs: RAM and registers stand still.
    pub fn stop(&mut self) -> Result<()> {
        self.execute("stop", json!({})).map(drop)
    }

    /// Lets the virtual CPUs run (again).
    pub fn cont(&mut self) -> Result<()> {
        self.execute("cont", json!({})).map(drop)
    }

    /// Presses and releases keys of the PS/2 keyboard together, by QEMU's names (`["shift", "a"]`).
    pub fn press(&mut self, keys: &[&str]) -> Result<()> {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| json!({"type": "qcode", "data": key}))
            .collect();
        self.execute("send-key", json!({"keys": keys, "hold-time": 20}))
            .map(drop)
    }

    fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        let got = self
            .stream
            .read_line(&mut line)
            .context("reading from QEMU's monitor")?;
        if got == 0 {
            bail!("QEMU closed its monitor: the machine is gone");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU sent no JSON: {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays QEMU: `answers` are sent one per received line, the greeting before.
    fn qemu(answers: &'static [&'static str]) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        std::thread::spawn(move || {
            let mut peer = BufReader::new(theirs);
            let mut line = String::new();
            for answer in answers {
                peer.get_mut().write_all(answer.as_bytes()).expect("write");
                peer.read_line(&mut line).expect("read");
            }
        });
        ours
    }

    #[test]
    fn events_are_skipped_and_errors_reported() {
        let stream = qemu(&[
            "{\"QMP\": {}}\n",
            "{\"return\": {}}\n",
            "{\"event\": \"STOP\"}\n{\"return\": \"text\"}\n",
            "{\"error\": {\"class\": \"CommandNotFound\"}}\n",
        ]);
        let mut qmp = Qmp::new(stream).expect("negotiation");
        assert_eq!(qmp.human("info status").expect("answer"), "text");
        let error = qmp.stop().expect_err("an error");
        assert!(error.to_string().contains("CommandNotFound"), "{error:#}");
    }

    #[test]
    fn a_closed_monitor_is_an_error() {
        let mut qmp = Qmp::new(qemu(&["{\"QMP\": {}}\n", "{\"return\": {}}\n"])).expect("greeting");
        let error = qmp.cont().expect_err("closed");
        assert!(format!("{error:#}").contains("QEMU"), "{error:#}");
    }
}
