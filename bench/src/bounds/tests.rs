// SPDX-License-Identifier: GPL-2.0
//! The bounds of small pieces of code whose answers are known, and controls: a changed table and changed code must change the bound.

use super::binary::Binary;
use super::class::Class;
use super::core::{Core, Cost, GOLDEN_COVE, ZEN3, ZEN4};
use super::request::{Engine, Loop, Request};
use super::schedule::{Bound, Schedule};
use super::walk::{Step, Walk};
use crate::workload::Workload;

/// `vaesenc %xmm1, %xmm0, %xmm0`: waits for itself.
const CHAINED: &[u8] = &[0xc4, 0xe2, 0x79, 0xdc, 0xc1];
/// `vaesenc %xmm1, %xmm1, %xmm0`: waits for nothing.
const FREE: &[u8] = &[0xc4, 0xe2, 0x71, 0xdc, 0xc1];
/// `vpshufd $0, %xmm1, %xmm0`
const SHUFFLE: &[u8] = &[0xc5, 0xf9, 0x70, 0xc1, 0x00];
/// `ret`
const RETURN: &[u8] = &[0xc3];
/// `movups %xmm0, (%rdx)`, `add $16, %rdx`, `dec %ecx`: a block, before a jump back.
const STORE_AND_COUNT: &[u8] = &[0x0f, 0x11, 0x02, 0x48, 0x83, 0xc2, 0x10, 0xff, 0xc9];
/// Where [`super::request`] has its data.
const DST: u64 = 0x200_0000;

/// What `code` executes, `turns` and the destination being its third and fourth argument.
fn steps(code: &[&[u8]], turns: u64) -> anyhow::Result<Vec<Step>> {
    let binary = Binary::of_code("f", &code.concat());
    let mut walk = Walk::new(&binary);
    walk.call("f", &[0, 0, DST, turns])?;
    Ok(walk.into_steps())
}

fn bound(core: &Core, code: &[&[u8]]) -> Bound {
    let steps = steps(code, 0).expect("code");
    Schedule::new(core, &steps).expect("known code").bound()
}

/// `code` for each of some blocks.
fn a_loop(code: &[u8]) -> Vec<u8> {
    let mut body = [code, STORE_AND_COUNT].concat();
    let back = -i8::try_from(body.len() + 2).expect("a short loop");
    body.extend([0x75, back.to_le_bytes()[0]]);
    body
}

#[test]
fn a_chain_takes_its_latencies() {
    assert_eq!(
        bound(&ZEN3, &[CHAINED, CHAINED, CHAINED, RETURN]).cycles,
        12
    );
    assert_eq!(
        bound(&GOLDEN_COVE, &[CHAINED, CHAINED, CHAINED, RETURN]).cycles,
        9
    );
}

#[test]
fn independent_ones_share_ports() {
    let code: Vec<&[u8]> = [FREE; 40].into_iter().chain([RETURN]).collect();
    let rounds = bound(&ZEN3, &code);
    // Two a cycle, and the last takes four.
    assert_eq!(rounds.cycles, 19 + 4);
    assert_eq!(rounds.ports.count_ones(), 2);
    // And those of another kind, which have one of two ports in common with them, fill three ports together.
    let code: Vec<&[u8]> = [FREE, SHUFFLE]
        .repeat(40)
        .into_iter()
        .chain([RETURN])
        .collect();
    assert_eq!(bound(&ZEN3, &code).cycles, 80_u32.div_ceil(3) - 1 + 1);
}

#[test]
fn control_a_wrong_table_is_another_bound() {
    let wrong = Core {
        cost: |class, width| match class {
            Class::Aes => Cost {
                latency: 4,
                operations: &[1],
            },
            other => (ZEN3.cost)(other, width),
        },
        ..ZEN3
    };
    let code: Vec<&[u8]> = [FREE; 40].into_iter().chain([RETURN]).collect();
    assert_eq!(bound(&wrong, &code).cycles, 39 + 4);
}

#[test]
fn loops_and_what_is_none() {
    let body = a_loop(FREE);
    let short = steps(&[&body, RETURN], 8).expect("code");
    let turn = Loop::find(&short).expect("a loop");
    assert_eq!((turn.bytes, turn.steps.len()), (16, 5));
    // The store is the bottleneck: one a cycle.
    let (cycles, _) = turn.cycles(&ZEN3).expect("known code");
    assert!((cycles - 1.0).abs() < 0.1, "{cycles}");
    // The same, left in its middle, with a jump at its end that is always taken: `jz`, `jmp`.
    let mut body = [FREE, STORE_AND_COUNT, &[0x74, 0x02]].concat();
    let back = -i8::try_from(body.len() + 2).expect("a short loop");
    body.extend([0xeb, back.to_le_bytes()[0]]);
    let left = steps(&[&body, RETURN], 8).expect("code");
    let turn = Loop::find(&left).expect("a loop");
    assert_eq!((turn.bytes, turn.steps.len()), (16, 6));
    // Control: four more rounds in each turn.
    let body = a_loop(&[FREE; 5].concat());
    let long = steps(&[&body, RETURN], 8).expect("code");
    let (cycles, _) = Loop::find(&long)
        .expect("a loop")
        .cycles(&ZEN3)
        .expect("known code");
    assert!((cycles - 2.5).abs() < 0.1, "{cycles}");
    // Control: one turn is no loop.
    let once = steps(&[&a_loop(FREE), RETURN], 1).expect("code");
    assert!(Loop::find(&once).is_err());
    let straight = steps(&[FREE, FREE, RETURN], 0).expect("code");
    assert!(Loop::find(&straight).is_err());
}

#[test]
fn what_is_not_known_is_an_error() {
    // cpuid has no cost.
    let steps_of_it = steps(&[&[0x0f, 0xa2], RETURN], 0).expect("code");
    let error = Schedule::new(&ZEN3, &steps_of_it).expect_err("no cost");
    assert!(format!("{error:#}").contains("cpuid"), "{error:#}");
    // A jump on a byte of the data.
    let on_data: &[u8] = &[0x80, 0x3e, 0x00, 0x74, 0x00];
    assert!(steps(&[on_data, RETURN], 0).is_err());
}

/// Each engine is followed to its end, and its figures are in the order that they must be in.
#[test]
fn our_engines() {
    let binary = Binary::this_program().expect("this program");
    for (class, width) in [
        ("avx512", 512),
        ("avx512vl", 128),
        ("vaes", 256),
        ("avx", 128),
        ("aesni", 128),
    ] {
        for workload in [
            Workload::of(1, 512),
            Workload::of(1, 4096),
            Workload::of(8, 512),
        ] {
            let request = Request::of(&binary, Engine::Ours(class), workload).expect(class);
            let bound = request.bound(&GOLDEN_COVE).expect(class);
            assert!(bound.cycles >= bound.chain, "{class} {workload}");
            let floor = super::floor::floor(&GOLDEN_COVE, width, workload);
            assert!(
                bound.cycles > floor,
                "{class} {workload}: {bound:?}, {floor}"
            );
        }
        let request = Request::of(&binary, Engine::Ours(class), Workload::of(1, 16384));
        let request = request.expect(class);
        let turn = request.main_loop().expect(class);
        assert_eq!(turn.bytes % u64::from(width / 8), 0, "{class}");
    }
}

/// A bound is below what was measured.
#[test]
fn recorded_figures_are_above() {
    let binary = Binary::this_program().expect("this program");
    for class in ["avx512", "vaes", "avx", "aesni"] {
        let workload = Workload::of(1, 4096);
        let (took, _) = super::recorded::cycles(&ZEN4, class, workload).expect(class);
        let request = Request::of(&binary, Engine::Ours(class), workload).expect(class);
        let bound = request.bound(&ZEN4).expect(class);
        assert!(f64::from(bound.cycles) < took, "{class}: {bound:?}");
    }
}
