// SPDX-License-Identifier: GPL-2.0
//! Assembles the block cipher of TRESOR's way.

fn main() {
    println!("cargo::rerun-if-changed=asm");
    cc::Build::new()
        .include("../rust/tresor/user/include")
        .file("asm/per-block.S")
        .compile("bench_per_block");
}
