// SPDX-License-Identifier: GPL-2.0

//! The homes that S can have in a machine, and how QEMU shows those in model-specific registers.
//!
//! No command of QEMU's shows machine-check banks. But they are part of what it sends to another QEMU when a machine moves there. So the
//! machine is stopped and sent to a file, without its RAM, which is in a file of its own; after the state of the devices the stream has a
//! description of it, which says where the banks of each CPU are. Then the machine goes on. The guest has no part in that.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use fs_err as fs;
use serde_json::{json, Value};
use zeroize::Zeroizing;

use crate::machine::Machine;
use crate::registers::{self, DebugRegisters};

/// Where S lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Home {
    /// DR0-DR3.
    #[default]
    DebugRegisters,
    /// ADDR and MISC of the machine-check banks 8 and 9.
    MachineCheck,
    /// Performance counters of a CPU of Intel's, which QEMU does not have.
    IntelCounters,
}

impl Home {
    /// What the kernel's command line says of it.
    pub(crate) fn parameter(self) -> &'static str {
        match self {
            Self::DebugRegisters => "",
            Self::MachineCheck => " tresor.store=msr:mce",
            Self::IntelCounters => " tresor.store=msr",
        }
    }

    /// How the names of its windows end.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::DebugRegisters => "_dr",
            Self::MachineCheck => "_mce",
            Self::IntelCounters => "_intel",
        }
    }
}

/// Index of the registers of the home among CTL, STATUS, ADDR and MISC of each bank: 0x422, 0x423, 0x426 and 0x427 from 0x400 on.
const PLACES: [usize; 4] = [0x22, 0x23, 0x26, 0x27];
/// QEMU's CPUs have ten banks of four registers.
const BANKS: usize = 40;
/// How long the machine may take to be sent: it is some hundred kilobytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The registers of every CPU in which S would be, with DR7.
pub fn registers(machine: &mut Machine) -> Result<Vec<DebugRegisters>> {
    let mut cpus = registers::parse(&machine.qmp.human(registers::COMMAND)?)?;
    if machine.home() == Home::MachineCheck {
        let stream = send(machine)?;
        for cpu in &mut cpus {
            let banks = banks(&stream, cpu.cpu)?;
            for (value, place) in cpu.dr.iter_mut().zip(PLACES) {
                *value = banks[place];
            }
        }
    }
    Ok(cpus)
}

/// The state of the machine's devices as QEMU would send it. The machine does what it did before, then; but one that sleeps in S3 cannot be
/// read in this way: QEMU 10.0 crashes when it is to go on sleeping.
fn send(machine: &mut Machine) -> Result<Zeroizing<Vec<u8>>> {
    let path = machine.ram().with_file_name("state");
    let before = machine.qmp.execute("query-status", json!({}))?;
    ensure!(
        before["status"] != "suspended",
        "a machine that sleeps cannot be sent and go on"
    );
    let goes_on = before["running"] == true;
    if goes_on {
        machine.qmp.stop()?;
    }
    // RAM is in a file that is shared: it is left out.
    machine.qmp.execute(
        "migrate-set-capabilities",
        json!({"capabilities": [{"capability": "x-ignore-shared", "state": true}]}),
    )?;
    let uri = format!("file:{}", path.display());
    machine.qmp.execute("migrate", json!({"uri": uri}))?;
    let begin = Instant::now();
    loop {
        let status = machine.qmp.execute("query-migrate", json!({}))?;
        match status["status"].as_str() {
            Some("completed") => break,
            Some("failed" | "cancelled") => bail!("QEMU does not send its state: {status}"),
            _ => ensure!(
                begin.elapsed() < PATIENCE,
                "QEMU is still sending: {status}"
            ),
        }
        sleep(Duration::from_millis(5));
    }
    let stream = Zeroizing::new(fs::read(&path)?);
    fs::remove_file(&path)?;
    if goes_on {
        machine.qmp.cont()?;
    }
    Ok(stream)
}

/// The machine-check banks of one CPU in what QEMU has sent.
fn banks(stream: &[u8], cpu: u32) -> Result<Zeroizing<[u64; BANKS]>> {
    let devices = description(stream)?;
    let device = devices["devices"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|device| device["name"] == "cpu" && device["instance_id"] == cpu)
        .with_context(|| format!("QEMU has sent no CPU {cpu}"))?;
    let version = number(&device["version"])?;
    // A section begins with its name, the instance and the version.
    let mut head = vec![3];
    head.extend(b"cpu");
    head.extend(cpu.to_be_bytes());
    head.extend(u32::try_from(version)?.to_be_bytes());
    let start = memchr::memmem::find(stream, &head).context("the section of a CPU")? + head.len();
    let mut offset = 0;
    for field in device["fields"].as_array().into_iter().flatten() {
        if field["name"] == "env.mce_banks" {
            ensure!(
                field["array_len"] == BANKS && field["size"] == 8,
                "QEMU's machine-check banks have another form: {field}"
            );
            let from = start + offset;
            let bytes = stream.get(from..from + 8 * BANKS);
            let bytes = bytes.context("a short stream")?;
            let mut found = Zeroizing::new([0; BANKS]);
            for (value, bytes) in found.iter_mut().zip(bytes.chunks_exact(8)) {
                *value = u64::from_be_bytes(bytes.try_into()?);
            }
            return Ok(found);
        }
        let count = match &field["array_len"] {
            Value::Null => 1,
            len => number(len)?,
        };
        offset += number(&field["size"])? * count;
    }
    bail!("QEMU has sent no machine-check banks of CPU {cpu}")
}

/// What the stream says of itself, at its end: its length as four bytes, and that much JSON.
fn description(stream: &[u8]) -> Result<Value> {
    let start = memchr::memmem::rfind(stream, b"{\"configuration\"")
        .context("QEMU has sent no description of its state: another version?")?;
    let len = stream.get(start - 4..start).context("no length")?;
    let len = u32::from_be_bytes(len.try_into()?) as usize;
    let text = stream.get(start..start + len).context("a short stream")?;
    serde_json::from_slice(text).context("QEMU's description of its state")
}

fn number(value: &Value) -> Result<usize> {
    let number = value.as_u64().context("no number where QEMU has one")?;
    Ok(number.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream with two CPUs that have a word and the banks, register n of CPU c being 0x100 * c + n.
    fn stream() -> Vec<u8> {
        let mut stream = b"QEVM".to_vec();
        for cpu in 0..2_u32 {
            stream.extend([4, 0, 0, 0, 9, 3]);
            stream.extend(b"cpu");
            stream.extend(cpu.to_be_bytes());
            stream.extend(12_u32.to_be_bytes());
            stream.extend([0xff; 12]);
            for register in 0..40 {
                stream.extend((u64::from(cpu) * 0x100 + register).to_be_bytes());
            }
        }
        let cpu = |instance: u32| {
            json!({"name": "cpu", "instance_id": instance, "version": 12, "fields": [
                {"name": "env.x", "size": 4, "array_len": 3},
                {"name": "env.mce_banks", "size": 8, "array_len": 40},
            ]})
        };
        let devices = json!({"devices": [cpu(0), cpu(1)]}).to_string();
        let text = format!("{{\"configuration\": {{}}, {}", &devices[1..]);
        stream.extend((text.len() as u32).to_be_bytes());
        stream.extend(text.as_bytes());
        stream
    }

    #[test]
    fn banks_are_found_in_the_stream() {
        let of = |cpu| PLACES.map(|place| banks(&stream(), cpu).unwrap()[place]);
        assert_eq!(of(0), [0x22, 0x23, 0x26, 0x27]);
        assert_eq!(of(1), [0x122, 0x123, 0x126, 0x127]);
    }

    #[test]
    fn another_stream_is_an_error() {
        assert!(banks(&stream(), 2).is_err());
        assert!(banks(b"QEVM", 0).is_err());
        let text = String::from_utf8_lossy(&stream()).replace("mce_banks", "mce_other");
        assert!(banks(text.as_bytes(), 0).is_err());
        let whole = stream();
        assert!(banks(&whole[..whole.len() - 1], 0).is_err());
    }
}
