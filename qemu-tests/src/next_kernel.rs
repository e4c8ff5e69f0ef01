// SPDX-License-Identifier: GPL-2.0

//! What kexec starts in the tests instead of another Linux: a kernel of a few instructions that touches no debug register and no
//! other CPU, so that the harness sees them as any next kernel would find them.
//!
//! It says [`STARTED`] on the serial line, waits for a byte there, starts all other CPUs as any kernel does, by INIT and SIPI, says
//! [`INIT_SENT`] and stops. The SIPI is there because QEMU's CPUs that wait in HLT take an INIT only with what comes after it; it
//! sends them to two instructions that make them wait again.

use std::arch::global_asm;

/// Its first words.
pub const STARTED: &str = "the next kernel runs";
/// Its last words.
pub const INIT_SENT: &str = "INIT and SIPI were sent to the other CPUs";

// The 64-bit entry point: identity-mapped memory, IRQs off, a stack of kexec's. Position-independent.
global_asm!(
    ".section .rodata.next_kernel, \"a\", @progbits",
    ".globl next_kernel_code",
    "next_kernel_code:",
    "lea rsi, [rip + 20f]",
    "call 5f",
    // A byte has come?
    "3: mov dx, 0x3fd",
    "in al, dx",
    "test al, 1",
    "jz 3b",
    // x2APIC mode, in which the APIC needs no memory mapping.
    "mov ecx, 0x1b",
    "rdmsr",
    "or eax, 0xc00",
    "wrmsr",
    // Spurious vector register: APIC enabled.
    "mov ecx, 0x80f",
    "mov eax, 0x1ff",
    "xor edx, edx",
    "wrmsr",
    // Interrupt command: INIT, assert, all but this CPU.
    "mov ecx, 0x830",
    "mov eax, 0xc4500",
    "wrmsr",
    // Where the others begin, in real mode: CLI, HLT, and back to the HLT.
    "mov dword ptr [0x8000], 0xfdebf4fa",
    // The same with SIPI and its page.
    "mov eax, 0xc4608",
    "wrmsr",
    "lea rsi, [rip + 21f]",
    "call 5f",
    "4: hlt",
    "jmp 4b",
    // Sends the string at rsi.
    "5: mov dx, 0x3fd",
    "in al, dx",
    "test al, 0x20",
    "jz 5b",
    "lodsb",
    "test al, al",
    "jz 6f",
    "mov dx, 0x3f8",
    "out dx, al",
    "jmp 5b",
    "6: ret",
    "20: .asciz \"\\nthe next kernel runs\\n\"",
    "21: .asciz \"\\nINIT and SIPI were sent to the other CPUs\\n\"",
    ".globl next_kernel_end",
    "next_kernel_end:",
    ".text",
);

/// Bytes before the part that is loaded: the boot sector and one sector of setup.
const SETUP: usize = 1024;
/// Where in that part the 64-bit entry point is (Documentation/arch/x86/boot.rst).
const ENTRY: usize = 0x200;
/// Its length in memory.
const IN_MEMORY: u32 = 0x1_0000;

/// The image, in the format that kexec_file_load(2) takes on x86.
pub fn image() -> Vec<u8> {
    let code = code();
    let mut image = vec![0; SETUP + ENTRY + code.len()];
    image[SETUP + ENTRY..].copy_from_slice(code);
    for (at, field) in [
        // Sectors of setup.
        (0x1f1, &[1][..]),
        (0x1fe, &[0x55, 0xaa]),
        // A jump over the header, which is how its length is told.
        (0x200, &[0xeb, 0x6a]),
        (0x202, b"HdrS"),
        // Version 2.15.
        (0x206, &[0x0f, 0x02]),
        // To be loaded high.
        (0x211, &[1]),
        (0x22c, &0x7fff_ffff_u32.to_le_bytes()),
        // Alignment; relocatable; its logarithm; entered in 64-bit mode, anywhere, with page tables of any depth.
        (0x230, &0x20_0000_u32.to_le_bytes()),
        (0x234, &[1, 21, 0x63, 0]),
        // Longest command line.
        (0x238, &2047_u32.to_le_bytes()),
        (0x258, &0x100_0000_u64.to_le_bytes()),
        (0x260, &IN_MEMORY.to_le_bytes()),
    ] {
        image[at..at + field.len()].copy_from_slice(field);
    }
    image
}

fn code() -> &'static [u8] {
    extern "C" {
        static next_kernel_code: u8;
        static next_kernel_end: u8;
    }
    let (start, end) = (&raw const next_kernel_code, &raw const next_kernel_end);
    // SAFETY: both symbols are in the read-only section that the block of assembly above fills, in this order.
    unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_in_the_image_after_the_code() {
        let image = image();
        for words in [STARTED, INIT_SENT] {
            assert!(
                image
                    .windows(words.len())
                    .any(|window| window == words.as_bytes()),
                "{words}"
            );
        }
        // lea, with a 64-bit operand.
        assert_eq!(image[SETUP + ENTRY..][..2], [0x48, 0x8d]);
    }
}
