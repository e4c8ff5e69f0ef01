// SPDX-License-Identifier: GPL-2.0
//! The same competitors and workloads under criterion, for comparing two versions of an engine: `cargo bench -p bench [-- FILTER]`.
//!
//! The kernel's engines take part when `TRESOR_KERNEL_TREE` names a kernel source tree.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use bench::check;
use bench::competitor::{Kind, Roster};
use bench::machine::stay_on_this_cpu;
use bench::measure::{Buffers, Plan};
use bench::workload::{direction_name, Workload, DIRECTIONS};
use criterion::{BenchmarkId, Criterion, Throughput};
use tresor::handle::Variant;

fn xts(criterion: &mut Criterion) {
    let tree = env::var_os("TRESOR_KERNEL_TREE").map(PathBuf::from);
    let mut buffers = Buffers::new();
    stay_on_this_cpu().expect("one CPU to stay on");
    let mut roster =
        Roster::set_up(Variant::Aes256, tree.as_deref()).expect("the competitors can be set up");
    check::agree(&mut roster.competitors, &mut buffers).expect("the competitors agree");
    for (name, why) in &roster.absent {
        eprintln!("absent: {name}: {why}");
    }
    // A thousand figures help nobody here: what is slow by design is left to `cargo xtask bench`.
    roster
        .competitors
        .retain(|competitor| competitor.kind() != Kind::TresorWay);

    for workload in Workload::ALL {
        for direction in DIRECTIONS {
            let mut group =
                criterion.benchmark_group(format!("{} {workload}", direction_name(direction)));
            group.throughput(Throughput::Bytes(workload.total() as u64));
            for competitor in &mut roster.competitors {
                let (src, dst) = buffers.get(workload.total());
                group.bench_function(BenchmarkId::from_parameter(competitor.name()), |bencher| {
                    let plan = Plan::new(&**competitor, workload, direction);
                    bencher.iter(|| plan.run(&mut **competitor, 0, src, dst, true));
                });
            }
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    xts(&mut criterion);
    criterion.final_summary();
}
