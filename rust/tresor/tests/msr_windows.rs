// SPDX-License-Identifier: GPL-2.0
//! Executes the windows of the homes in model-specific registers, instruction by instruction, on a
//! model of a CPU: S comes back as it was stored, wherever the window is interrupted and started
//! again, and no register is given more bits than it has.
//!
//! User space cannot run them. The model knows the instructions that they have and no others.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use iced_x86::{Code, Instruction, Register};
use proptest::prelude::*;
use taint::object_file::functions_of_file;
use taint::Function;

/// The homes by name, the bits of each register that they use, and the registers in order: the list
/// of `msr-home.h` once more, from the manuals.
const HOMES: [(&str, usize, &[u32]); 3] = [
    ("mce", 64, &[0x422, 0x423, 0x426, 0x427]),
    ("intel", 48, &[0x4c1, 0x4c2, 0x4c3, 0x4c4, 0x4c5, 0x4c6]),
    (
        "amd",
        48,
        &[
            0xc001_0201,
            0xc001_0203,
            0xc001_0205,
            0xc001_0207,
            0xc001_0209,
            0xc001_020b,
        ],
    ),
];

/// As much of a CPU as windows use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cpu {
    rax: u32,
    rcx: u32,
    rdx: u32,
    xmm: [u128; 3],
    msrs: BTreeMap<u32, u64>,
    irqs_off: bool,
}

impl Cpu {
    fn general(&mut self, register: Register) -> &mut u32 {
        match register {
            Register::EAX => &mut self.rax,
            Register::ECX => &mut self.rcx,
            Register::EDX => &mut self.rdx,
            other => panic!("no register of a window: {other:?}"),
        }
    }

    fn vector(&mut self, register: Register) -> &mut u128 {
        &mut self.xmm[register.number()]
    }

    /// Executes one instruction, as the SDM has it.
    fn step(&mut self, at: &Instruction) {
        let (to, from) = (at.op0_register(), at.op1_register());
        match at.code() {
            Code::Endbr64 => {}
            Code::Cli => self.irqs_off = true,
            Code::Mov_r32_imm32 => *self.general(to) = at.immediate32(),
            Code::Rdmsr => {
                let value = self.msrs[&self.rcx];
                self.rax = value as u32;
                self.rdx = (value >> 32) as u32;
            }
            Code::Wrmsr => {
                let value = u64::from(self.rdx) << 32 | u64::from(self.rax);
                *self.msrs.get_mut(&self.rcx).expect("an MSR of the home") = value;
            }
            Code::Shl_rm32_imm8 => *self.general(to) <<= at.immediate8(),
            Code::Shr_rm32_imm8 => *self.general(to) >>= at.immediate8(),
            Code::Or_rm32_r32 => *self.general(to) |= *self.general(from),
            Code::Xor_rm32_r32 => *self.general(to) ^= *self.general(from),
            Code::Pxor_xmm_xmmm128 => *self.vector(to) ^= *self.vector(from),
            Code::Pinsrw_xmm_r32m16_imm8 => {
                let shift = u32::from(at.immediate8()) * 16;
                let word = u128::from(*self.general(from) as u16);
                let vector = self.vector(to);
                *vector = *vector & !(0xffff << shift) | word << shift;
            }
            Code::Pextrw_r32_xmm_imm8 => {
                let shift = u32::from(at.immediate8()) * 16;
                *self.general(to) = u32::from((*self.vector(from) >> shift) as u16);
            }
            Code::Pshufd_xmm_xmmm128_imm8 => {
                let (source, choice) = (*self.vector(from), u32::from(at.immediate8()));
                *self.vector(to) = (0..4)
                    .map(|place| {
                        let chosen = choice >> (2 * place) & 3;
                        (source >> (32 * chosen) & 0xffff_ffff) << (32 * place)
                    })
                    .sum();
            }
            Code::Movd_rm32_xmm => *self.general(to) = *self.vector(from) as u32,
            other => panic!("the model does not know {other:?}: {at}"),
        }
    }

    /// Executes a window up to its return, or `limit` instructions of it.
    fn run(&mut self, window: &[Instruction], limit: usize) {
        let (_, body) = window.split_last().expect("a window");
        for at in body.iter().take(limit) {
            self.step(at);
        }
    }

    /// What the guard of the kernel's entries does.
    fn guard(&mut self) {
        (self.rax, self.rdx) = (0, 0);
    }
}

/// The windows of a home.
struct Windows {
    name: &'static str,
    width: usize,
    registers: &'static [u32],
    load: Function,
    store: Function,
}

/// Those of all homes; reading the objects takes a while.
static WINDOWS: LazyLock<Vec<Windows>> = LazyLock::new(|| {
    let objects = env!("TRESOR_KERNEL_OBJECTS");
    let object = std::env::split_paths(objects).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with("window-msr.o")
    });
    let functions = functions_of_file(&object.expect("the object of the windows")).unwrap();
    let find = |name: String| {
        let found = functions.iter().find(|function| function.name == name);
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let homes = HOMES.into_iter().map(|(name, width, registers)| Windows {
        name,
        width,
        registers,
        load: find(format!("tresor_load_s_{name}")),
        store: find(format!("tresor_store_s_{name}")),
    });
    homes.collect()
});

/// Bits `start` to `start + len` of S, where it has them.
fn bits(s: &[u8; 32], start: usize, len: usize) -> u64 {
    (start..(start + len).min(256))
        .map(|bit| u64::from(s[bit / 8] >> (bit % 8) & 1) << (bit - start))
        .sum()
}

fn halves(s: &[u8; 32]) -> [u128; 2] {
    let half = |at: usize| u128::from_le_bytes(s[at..at + 16].try_into().expect("16 bytes"));
    [half(0), half(16)]
}

/// A CPU whose registers have something else in them.
fn used(registers: &[u32]) -> Cpu {
    Cpu {
        rax: 0x1111_1111,
        rcx: 0x2222_2222,
        rdx: 0x3333_3333,
        xmm: [u128::MAX / 3; 3],
        msrs: registers.iter().map(|&msr| (msr, 0x5555)).collect(),
        irqs_off: false,
    }
}

fn check(s: [u8; 32]) {
    for windows in WINDOWS.iter() {
        let (home, registers) = (windows.name, windows.registers);
        let store = windows.store.instructions();
        let load = windows.load.instructions();
        for interrupted in 0..store.len() {
            let mut cpu = used(registers);
            [cpu.xmm[0], cpu.xmm[1]] = halves(&s);
            cpu.run(&store, interrupted);
            cpu.guard();
            cpu.run(&store, usize::MAX);
            for (index, msr) in registers.iter().enumerate() {
                assert_eq!(
                    cpu.msrs[msr],
                    bits(&s, index * windows.width, windows.width),
                    "{home}, {msr:#x}, again from instruction {interrupted}"
                );
            }
            assert_eq!(cpu.xmm, [halves(&s)[0], halves(&s)[1], 0]);
            assert_eq!((cpu.rax, cpu.rdx, cpu.irqs_off), (0, 0, true));
        }
        let mut stored = used(registers);
        [stored.xmm[0], stored.xmm[1]] = halves(&s);
        stored.run(&store, usize::MAX);
        for interrupted in 0..load.len() {
            let mut cpu = used(registers);
            cpu.msrs.clone_from(&stored.msrs);
            cpu.run(&load, interrupted);
            cpu.guard();
            cpu.run(&load, usize::MAX);
            assert_eq!(
                cpu.xmm,
                [halves(&s)[0], halves(&s)[1], 0],
                "{home}, again from instruction {interrupted}"
            );
            assert_eq!(cpu.msrs, stored.msrs);
            assert_eq!((cpu.rax, cpu.rdx, cpu.irqs_off), (0, 0, true));
        }
    }
}

#[test]
fn s_comes_back_bit_by_bit() {
    for bit in 0..256 {
        let mut s = [0; 32];
        s[bit / 8] = 1 << (bit % 8);
        check(s);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn s_comes_back(s in any::<[u8; 32]>()) {
        check(s);
    }
}

/// The control: a window that takes another word, or another register, is noticed.
#[test]
fn control_another_word_is_noticed() {
    let s: [u8; 32] = std::array::from_fn(|at| at as u8 + 1);
    for windows in WINDOWS.iter() {
        let home = windows.name;
        let mut cpu = used(windows.registers);
        [cpu.xmm[0], cpu.xmm[1]] = halves(&s);
        cpu.run(&windows.store.instructions(), usize::MAX);
        let mut tried = 0;
        for at in windows.load.instructions() {
            if at.code() != Code::Pinsrw_xmm_r32m16_imm8 {
                continue;
            }
            let mut broken = windows.load.clone();
            let last = usize::try_from(at.next_ip()).expect("in memory") - 1;
            broken.code[last] ^= 1;
            let mut other = cpu.clone();
            (other.xmm[0], other.xmm[1]) = (0, 0);
            other.run(&broken.instructions(), usize::MAX);
            assert_ne!(other.xmm[..2], halves(&s), "{home}: {at}");
            tried += 1;
        }
        assert_eq!(tried, 16, "{home}");
    }
}
