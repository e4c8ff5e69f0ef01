// SPDX-License-Identifier: GPL-2.0

//! QEMU's gdbstub: stops the machine at an instruction of one's choice.
//!
//! The GDB remote serial protocol, as much of it as that takes: packets `$DATA#SUM`, each acknowledged by `+`. While the
//! machine is stopped here, its CPUs stand still and its RAM may be read.

use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};

/// To the next stop; a machine under TCG on a busy host is slow.
const PATIENCE: Duration = Duration::from_secs(90);

/// Numbers of registers in QEMU's description of an x86-64 CPU.
const RIP: u32 = 16;
const EFLAGS: u32 = 17;

/// A connection. The machine is stopped when it begins, and stays as it is when this is dropped.
#[derive(Debug)]
pub struct Gdb {
    stream: BufReader<UnixStream>,
}

impl Gdb {
    /// Takes over the connection; QEMU stops the machine by itself.
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut gdb = Self {
            stream: BufReader::new(stream),
        };
        // Only the answer shows that the machine has stopped.
        let reason = gdb.command("?")?;
        ensure!(
            is_stop(&reason),
            "the gdbstub began with {reason:?} instead of a stopped machine"
        );
        Ok(gdb)
    }

    /// Stops the machine whenever a CPU comes to `address`, before it executes what is there.
    pub fn set_breakpoint(&mut self, address: u64) -> Result<()> {
        self.expect_ok(&format!("Z1,{address:x},1"))
    }

    /// Takes the breakpoint away.
    pub fn clear_breakpoint(&mut self, address: u64) -> Result<()> {
        self.expect_ok(&format!("z1,{address:x},1"))
    }

    /// Lets the machine run until a breakpoint and returns where it stopped.
    pub fn run(&mut self) -> Result<u64> {
        self.let_run()?;
        self.wait_stop()
    }

    /// Lets the machine run until it comes to `address`.
    pub fn run_to(&mut self, address: u64) -> Result<()> {
        self.set_breakpoint(address)?;
        let rip = self.run()?;
        self.clear_breakpoint(address)?;
        ensure!(
            rip == address,
            "the machine stopped at {rip:#x} instead of {address:#x}"
        );
        Ok(())
    }

    /// Lets the machine run, without waiting.
    pub fn let_run(&mut self) -> Result<()> {
        self.send("c")
    }

    /// Waits until the running machine stops at a breakpoint and returns where.
    pub fn wait_stop(&mut self) -> Result<u64> {
        let reason = self
            .receive()
            .context("waiting for the machine to come to a breakpoint")?;
        ensure!(
            is_stop(&reason),
            "the gdbstub said {reason:?} instead of a stop"
        );
        self.rip()
    }

    /// Stops the running machine.
    pub fn interrupt(&mut self) -> Result<()> {
        self.stream.get_mut().write_all(&[3])?;
        self.wait_stop().map(drop)
    }

    /// Ends the connection and lets the stopped machine run on.
    pub fn detach(mut self) -> Result<()> {
        self.expect_ok("D")
    }

    /// Executes one instruction, without interrupts, and returns where the CPU is then.
    pub fn step(&mut self) -> Result<u64> {
        self.send("s")?;
        self.wait_stop()
    }

    /// The CPU's instruction pointer.
    pub fn rip(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.register(RIP)?))
    }

    /// Sets bits of the CPU's flags.
    pub fn set_flags(&mut self, bits: u32) -> Result<()> {
        let flags = u32::from_le_bytes(self.register(EFLAGS)?) | bits;
        self.expect_ok(&format!("P{EFLAGS:x}={}", hex::encode(flags.to_le_bytes())))
    }

    fn register<const N: usize>(&mut self, number: u32) -> Result<[u8; N]> {
        let answer = self.command(&format!("p{number:x}"))?;
        hex::decode(&answer)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .with_context(|| format!("the gdbstub gave {answer:?} as register {number}"))
    }

    fn expect_ok(&mut self, command: &str) -> Result<()> {
        let answer = self.command(command)?;
        ensure!(
            answer == "OK",
            "the gdbstub answered {answer:?} to {command}"
        );
        Ok(())
    }

    fn command(&mut self, command: &str) -> Result<String> {
        self.send(command)?;
        self.receive()
            .with_context(|| format!("waiting for the gdbstub's answer to {command}"))
    }

    fn send(&mut self, data: &str) -> Result<()> {
        let packet = format!("${data}#{:02x}", checksum(data.as_bytes()));
        self.stream
            .get_mut()
            .write_all(packet.as_bytes())
            .context("sending to the gdbstub")
    }

    /// The next packet, acknowledged.
    fn receive(&mut self) -> Result<String> {
        while self.byte()? != b'$' {
            // Acknowledgements of what was sent.
        }
        let mut data = Vec::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => data.push(byte),
            }
        }
        let sum = [self.byte()?, self.byte()?];
        if sum != *format!("{:02x}", checksum(&data)).as_bytes() {
            bail!("a packet of the gdbstub is damaged");
        }
        self.stream.get_mut().write_all(b"+")?;
        String::from_utf8(data).context("the gdbstub sent no text")
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.stream
            .read_exact(&mut byte)
            .context("reading from QEMU's gdbstub")?;
        Ok(byte[0])
    }
}

fn is_stop(reply: &str) -> bool {
    reply.starts_with(['T', 'S'])
}

fn checksum(data: &[u8]) -> u8 {
    data.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays QEMU: answers each packet that comes with the next of `answers`, and returns what came.
    fn qemu(
        answers: &'static [&'static str],
    ) -> (UnixStream, std::thread::JoinHandle<Vec<String>>) {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let peer = std::thread::spawn(move || {
            let mut peer = Gdb {
                stream: BufReader::new(theirs),
            };
            let commands = answers
                .iter()
                .map(|answer| {
                    let command = peer.receive().expect("a command");
                    peer.send(answer).expect("send");
                    command
                })
                .collect();
            // The last acknowledgement: QEMU does not hang up before it, either.
            assert_eq!(peer.byte().expect("an acknowledgement"), b'+');
            commands
        });
        (ours, peer)
    }

    #[test]
    fn commands_and_answers() {
        let (stream, peer) = qemu(&["T05thread:01;", "OK", "T05", "1000000000000000", "OK"]);
        let mut gdb = Gdb::new(stream).expect("stopped");
        gdb.run_to(0x10).expect("there");
        assert_eq!(
            peer.join().expect("no panic"),
            ["?", "Z1,10,1", "c", "p10", "z1,10,1"]
        );
    }

    #[test]
    fn another_place_is_an_error() {
        let (stream, _peer) = qemu(&["T05", "OK", "T05", "1100000000000000", "OK"]);
        let error = Gdb::new(stream).expect("stopped").run_to(0x10).unwrap_err();
        assert!(error.to_string().contains("0x11"), "{error:#}");
    }

    #[test]
    fn a_refusal_and_a_damaged_packet_are_errors() {
        let (stream, _peer) = qemu(&["S05", "E22"]);
        let mut gdb = Gdb::new(stream).expect("stopped");
        assert!(gdb.set_breakpoint(1).is_err());

        let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
        theirs.write_all(b"$T05#00").expect("write");
        let error = Gdb::new(ours).unwrap_err();
        assert!(format!("{error:#}").contains("damaged"), "{error:#}");
    }
}
