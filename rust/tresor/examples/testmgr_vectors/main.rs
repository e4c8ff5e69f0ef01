// SPDX-License-Identifier: GPL-2.0
//! Prints `src/kmod/testmgr_vectors.h`: `cargo run -p tresor --features reference --example
//! testmgr_vectors > rust/tresor/src/kmod/testmgr_vectors.h`

mod generate;

fn main() -> std::io::Result<()> {
    std::io::Write::write_all(&mut std::io::stdout(), generate::header().as_bytes())
}
