// SPDX-License-Identifier: GPL-2.0
//! Prints `asm/aes-ssse3-tables.inc`: `cargo run -p tresor --example aes_tables >
//! rust/tresor/asm/aes-ssse3-tables.inc`

mod generate;

fn main() -> std::io::Result<()> {
    std::io::Write::write_all(&mut std::io::stdout(), generate::tables().text().as_bytes())
}
