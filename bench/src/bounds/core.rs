// SPDX-License-Identifier: GPL-2.0
//! What instructions cost on a core: the one table that the bounds rest on.
//!
//! A bound must not be too high, so where sources differ, and where nothing is certain, the cheaper figure stands: fewer cycles, more ports.
//! Loads, stores and moves between vectors and general registers are such. Each core says where its figures come from.

use super::class::Class;

/// Units that start one operation a cycle each, as bits.
pub type Ports = u32;

const P0: Ports = 1;
const P1: Ports = 2;
const P2: Ports = 4;
const P3: Ports = 8;
/// The carry-less multiplier, where it is busy for more than one cycle.
const MULTIPLIER: Ports = 0x10;
const LOAD: Ports = 0x700;
const LOAD_A: Ports = 0x300;
const STORE: Ports = 0x3000;
const STORE_A: Ports = 0x1000;

/// The bits above, as they are printed. Golden Cove's third vector port is port 5.
const NAMES: [(Ports, &str); 7] = [
    (P0, "0"),
    (P1, "1"),
    (P2, "2"),
    (P3, "3"),
    (MULTIPLIER, "m"),
    (LOAD, "L"),
    (STORE, "S"),
];

/// What an instruction needs of a core, load and store aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Cycles from its operands to its result.
    pub latency: u32,
    /// For each operation that it consists of, the ports that can start it.
    pub operations: &'static [Ports],
}

const fn cost(latency: u32, operations: &'static [Ports]) -> Cost {
    Cost {
        latency,
        operations,
    }
}

const FREE: Cost = cost(0, &[]);

/// A microarchitecture.
#[derive(Debug)]
pub struct Core {
    /// Its name.
    pub name: &'static str,
    /// Instructions that enter the core in a cycle.
    pub instructions: u32,
    /// Cycles from an address to the vector that is loaded.
    pub load_latency: u32,
    /// Whether it has AVX-512.
    pub avx512: bool,
    /// The cost of a class, by bits of its vectors.
    pub cost: fn(Class, u32) -> Cost,
    /// Ports for loads and for stores, by bits.
    pub memory: fn(u32) -> (Ports, Ports),
}

/// Intel's of 2021: Alder Lake's performance cores, Sapphire and Emerald Rapids.
///
/// Source: uops.info's measurements of Alder Lake-P, as LLVM has them in its model of Sapphire Rapids. Certain: rounds of AES, products,
/// logic, shifts, shuffles. The 512-bit `vaesenc` starts on port 0 only: Emerald Rapids was measured at 56 cycles for 56 of them, and no
/// figure here contradicts it. Port 1 takes no vectors while 512-bit instructions are on their way, but is left to narrower ones here.
pub static GOLDEN_COVE: Core = Core {
    name: "golden-cove",
    instructions: 6,
    load_latency: 6,
    avx512: true,
    cost: |class, width| {
        let wide = width == 512;
        match class {
            Class::Aes if wide => cost(3, &[P0]),
            Class::Aes => cost(3, &[P0 | P1]),
            Class::AesImc => cost(6, &[P0 | P1, P0 | P1]),
            Class::Logic if wide => cost(1, &[P0 | P2]),
            Class::Logic | Class::InsertMemory => cost(1, &[P0 | P1 | P2]),
            Class::Shift if wide => cost(1, &[P0]),
            Class::Shift => cost(1, &[P0 | P1]),
            Class::Shuffle if wide => cost(1, &[P2]),
            Class::Shuffle => cost(1, &[P1 | P2]),
            Class::Lanes | Class::Insert => cost(3, &[P2]),
            Class::Clmul => cost(3, &[P2]),
            Class::FromGeneral => cost(1, &[P2]),
            Class::Free | Class::Move => FREE,
        }
    },
    memory: |width| {
        if width == 512 {
            (LOAD_A, STORE_A)
        } else {
            (LOAD, STORE)
        }
    },
};

/// AMD's of 2020: family 19h, models up to 0fh and some others.
///
/// Source: measured for this table on an EPYC (family 25, model 1): chains for latencies, independent instructions for throughput, pairs of
/// kinds for shared ports. Agrees with AMD's optimisation guide for family 19h and with LLVM's model where those were looked at. The product
/// has four operations, and takes its multiplier for two cycles; on which ports they start did not become clear, so any will do.
pub static ZEN3: Core = Core {
    name: "zen3",
    instructions: 6,
    load_latency: 7,
    avx512: false,
    cost: |class, _| {
        const ANY: Ports = P0 | P1 | P2 | P3;
        match class {
            Class::Aes => cost(4, &[P0 | P1]),
            Class::AesImc => cost(4, &[P0 | P1]),
            Class::Logic => cost(1, &[ANY]),
            Class::Shift | Class::Shuffle => cost(1, &[P1 | P2]),
            Class::InsertMemory => cost(1, &[P0]),
            Class::Lanes | Class::Insert => cost(2, &[P0]),
            Class::Clmul => cost(4, &[ANY, ANY, ANY, ANY, MULTIPLIER, MULTIPLIER]),
            Class::FromGeneral => cost(1, &[ANY]),
            Class::Free | Class::Move => FREE,
        }
    },
    memory: |_| (LOAD_A, STORE_A),
};

/// AMD's of 2022: family 19h, models 10h to 1fh and some others. It does 512 bits as two operations of 256.
///
/// Source: measured for this table on an EPYC (family 25, model 17), as for [`ZEN3`]. The product takes a place of AES's, and the multiplier
/// for two cycles. Some shuffles take two cycles; one stands here, and so does the sum of the ports that shifts and shuffles were seen on.
/// Loads, stores and insertions from memory were not measured.
pub static ZEN4: Core = Core {
    name: "zen4",
    instructions: 6,
    load_latency: 7,
    avx512: true,
    cost: |class, width| {
        const ANY: Ports = P0 | P1 | P2 | P3;
        const AES: Ports = P0 | P1;
        const SHUFFLE: Ports = P1 | P2 | P3;
        const LANES: Ports = P1 | P2;
        let wide = width == 512;
        match class {
            Class::Aes if wide => cost(4, &[AES, AES]),
            Class::Aes | Class::AesImc => cost(4, &[AES]),
            Class::Logic if wide => cost(1, &[ANY, ANY]),
            Class::Logic | Class::InsertMemory | Class::FromGeneral => cost(1, &[ANY]),
            Class::Shift | Class::Shuffle if wide => cost(1, &[SHUFFLE, SHUFFLE]),
            Class::Shift | Class::Shuffle => cost(1, &[SHUFFLE]),
            Class::Insert if wide => cost(1, &[LANES, LANES]),
            Class::Insert => cost(1, &[LANES]),
            Class::Lanes if wide => cost(4, &[LANES, LANES]),
            Class::Lanes => cost(3, &[LANES]),
            Class::Clmul if wide => cost(4, &[AES, AES, MULTIPLIER, MULTIPLIER]),
            Class::Clmul => cost(4, &[AES, MULTIPLIER, MULTIPLIER]),
            Class::Free | Class::Move => FREE,
        }
    },
    memory: |_| (LOAD_A, STORE_A),
};

/// AMD's of 2024, with 512-bit data paths: family 1Ah.
///
/// Source: LLVM's model of Zen 5, which is made from AMD's optimisation guide for family 1Ah. Not measured here, but for rounds of AES, two a
/// cycle in any width, by 56 cycles for 112 of them in a turn of the AVX-512 engine. In that time eight products were done, too, so
/// they cannot start on AES's two ports only, which is what the model has; any will do here. Instructions of one cycle often take two on this
/// core (A. Yee's description of it, and that model); one stands here. Moves of lanes: three stand in the model at least.
pub static ZEN5: Core = Core {
    name: "zen5",
    instructions: 8,
    load_latency: 7,
    avx512: true,
    cost: |class, _| {
        const ANY: Ports = P0 | P1 | P2 | P3;
        match class {
            Class::Aes => cost(4, &[P0 | P1]),
            Class::AesImc => cost(4, &[P0 | P1]),
            Class::Logic => cost(1, &[ANY]),
            Class::Shift | Class::Shuffle => cost(1, &[P1 | P2]),
            Class::InsertMemory => cost(1, &[ANY]),
            Class::Lanes | Class::Insert => cost(3, &[P0 | P1 | P2]),
            Class::Clmul => cost(3, &[ANY]),
            Class::FromGeneral => cost(1, &[ANY]),
            Class::Free | Class::Move => FREE,
        }
    },
    memory: |width| {
        if width == 512 {
            (LOAD_A, STORE_A)
        } else {
            (LOAD_A, STORE)
        }
    },
};

/// All of them.
pub static CORES: [&Core; 4] = [&GOLDEN_COVE, &ZEN5, &ZEN4, &ZEN3];

impl Core {
    /// What a round of AES costs on vectors of `width` bits.
    pub fn aes(&self, width: u32) -> Cost {
        (self.cost)(Class::Aes, width)
    }
}

/// Ports for people.
pub fn names(ports: Ports) -> String {
    let names = NAMES.iter().filter(|(bits, _)| ports & bits != 0);
    names.map(|(_, name)| *name).collect()
}
