// SPDX-License-Identifier: GPL-2.0

//! DR0..DR3 of every CPU, read from outside the machine and compared with S.
//!
//! A scan of RAM counts only if the secret it looks for is in the registers at that moment: otherwise it finds nothing
//! because there is nothing.

use std::fmt;

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The HMP command whose answer [`parse`] reads.
pub const COMMAND: &str = "info registers -a";

/// The debug registers of one CPU.
pub struct DebugRegisters {
    /// QEMU's number of the CPU.
    pub cpu: u32,
    /// DR0..DR3.
    pub dr: Zeroizing<[u64; 4]>,
    /// DR7, the control register: breakpoints are off if bits 0..8 are clear.
    pub dr7: u64,
}

impl DebugRegisters {
    /// DR0..DR3 as the 32 bytes of S: little-endian, DR0 first.
    pub fn bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        for (bytes, register) in out.chunks_exact_mut(8).zip(self.dr.iter()) {
            bytes.copy_from_slice(&register.to_le_bytes());
        }
        out
    }

    /// Compares with S and keeps what may be shown.
    pub fn check(&self, secret: &[u8; 32]) -> CpuRegisters {
        CpuRegisters {
            cpu: self.cpu,
            holds_secret: *self.bytes() == *secret && *secret != [0; 32],
            breakpoints_off: self.dr7 & 0xff == 0,
            masked: self.dr.map(Masked::of),
        }
    }
}

impl fmt::Debug for DebugRegisters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DebugRegisters of CPU {}", self.cpu)
    }
}

/// The result for one CPU, without the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuRegisters {
    /// QEMU's number of the CPU.
    pub cpu: u32,
    /// Whether DR0..DR3 are S.
    pub holds_secret: bool,
    /// Whether DR7 enables no breakpoint.
    pub breakpoints_off: bool,
    /// DR0..DR3 for display.
    pub masked: [Masked; 4],
}

/// A register value of which only the first and last two hexadecimal digits are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masked(String);

impl Masked {
    fn of(value: u64) -> Self {
        Self(format!("{:02x}····{:02x}", value >> 56, value & 0xff))
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads QEMU's answer to [`COMMAND`]: one block per CPU, which starts with a line `CPU#0`.
pub fn parse(answer: &str) -> Result<Vec<DebugRegisters>> {
    let mut cpus = Vec::new();
    for block in answer.split("CPU#").skip(1) {
        let number = block.split_whitespace().next().unwrap_or_default();
        let cpu = number.parse().with_context(|| {
            format!(
                "QEMU numbered a CPU {number:?}: this version's answer to `{COMMAND}` is not known"
            )
        })?;
        let mut dr = Zeroizing::new([0; 4]);
        for (n, register) in dr.iter_mut().enumerate() {
            *register = value(block, &format!("DR{n}="), cpu)?;
        }
        let dr7 = value(block, "DR7=", cpu)?;
        cpus.push(DebugRegisters { cpu, dr, dr7 });
    }
    if cpus.is_empty() {
        bail!("QEMU's answer to `{COMMAND}` has no CPU in it: is the machine still running?");
    }
    Ok(cpus)
}

/// Of each CPU in QEMU's answer to [`COMMAND`], in their order, whether all vector registers are zero, as wide as QEMU shows them:
/// `YMM00=` and some words of hex, or with XMM or ZMM.
pub fn vectors_clear(answer: &str) -> Result<Vec<bool>> {
    let cpus = answer.split("CPU#").skip(1).map(|block| {
        let (mut count, mut clear, mut in_vector) = (0, true, false);
        for word in block.split_whitespace() {
            let (name, digits) = word.split_once('=').unwrap_or(("", word));
            if !name.is_empty() {
                in_vector = name.get(1..3) == Some("MM");
                count += usize::from(in_vector);
            }
            clear &= !in_vector || digits.bytes().all(|digit| digit == b'0');
        }
        if count < VECTORS {
            bail!("QEMU shows {count} vector registers of a CPU: this version's answer to `{COMMAND}` is not known");
        }
        Ok(clear)
    });
    cpus.collect()
}

/// Vector registers that every CPU in 64-bit mode has.
const VECTORS: usize = 16;

fn value(block: &str, name: &str, cpu: u32) -> Result<u64> {
    block
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .with_context(|| format!("QEMU shows no {name} for CPU {cpu}: this version's answer to `{COMMAND}` is not known"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two CPUs as QEMU 10.0 prints them, other registers left out.
    const ANSWER: &str = "\r\nCPU#0\r\nRAX=0000000000000000 RBX=ffffffff81e00000\r\n\
        CR0=80050033 CR2=0000000000000000 CR3=0000000001a0a000 CR4=000006b0\r\n\
        DR0=0706050403020100 DR1=0f0e0d0c0b0a0908 DR2=1716151413121110 DR3=1f1e1d1c1b1a1918 \r\n\
        DR6=00000000ffff0ff0 DR7=0000000000000400\r\nEFER=0000000000000d01\r\n\
        \r\nCPU#1\r\nCR0=80050033\r\n\
        DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000001 \r\n\
        DR6=00000000ffff0ff0 DR7=0000000000000401\r\n";

    fn secret() -> [u8; 32] {
        std::array::from_fn(|i| i as u8)
    }

    #[test]
    fn every_cpu_is_compared_on_its_own() {
        let cpus = parse(ANSWER).unwrap();
        let checked: Vec<_> = cpus.iter().map(|cpu| cpu.check(&secret())).collect();
        assert_eq!(checked.len(), 2);
        assert!(checked[0].holds_secret && checked[0].breakpoints_off);
        assert!(!checked[1].holds_secret && !checked[1].breakpoints_off);
        assert_eq!(checked[1].cpu, 1);
    }

    #[test]
    fn vector_registers_are_all_looked_at() {
        let block = |last: &str| {
            let zero = "0".repeat(16);
            let zeros: String = (0..15)
                .map(|n| format!("YMM{n:02}={zero} {zero}\r\n"))
                .collect();
            format!("CPU#0\r\nRAX=1 \r\nFPR0=8000 1\r\nMXCSR=00001f80\r\n{zeros}{last}\r\n")
        };
        assert_eq!(vectors_clear(&block("YMM15=0000 0000")).unwrap(), [true]);
        for last in ["YMM15=0000 0001", "YMM15=1000 0000"] {
            assert_eq!(vectors_clear(&block(last)).unwrap(), [false], "{last}");
        }
        assert!(vectors_clear(&block("")).is_err());
    }

    #[test]
    fn one_wrong_bit_and_an_empty_secret_do_not_hold() {
        let cpu = &parse(ANSWER).unwrap()[0];
        for bit in 0..256 {
            let mut other = secret();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!cpu.check(&other).holds_secret, "bit {bit}");
        }
        let empty = DebugRegisters {
            cpu: 0,
            dr: Zeroizing::new([0; 4]),
            dr7: 0x400,
        };
        assert!(!empty.check(&[0; 32]).holds_secret);
    }

    #[test]
    fn display_keeps_four_digits_of_a_register() {
        let shown = parse(ANSWER).unwrap()[0].check(&secret()).masked[0].to_string();
        assert_eq!(shown, "07····00");
    }

    #[test]
    fn answers_without_registers_are_errors() {
        assert!(parse("").unwrap_err().to_string().contains("no CPU"));
        assert!(parse("CPU#0\r\nDR0=00")
            .unwrap_err()
            .to_string()
            .contains("DR1"));
        assert!(parse(&ANSWER.replace("DR3", "XX3")).is_err());
    }
}
