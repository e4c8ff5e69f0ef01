// SPDX-License-Identifier: GPL-2.0
//! Assembles the controls: small engines that leak, never linked and never run.

use std::process;

const ASM: [&str; 2] = ["../../rust/tresor/asm", "../../rust/amnesia/asm"];
const INCLUDES: [&str; 3] = [
    "../../rust/tresor/user/include",
    "../../rust/tresor/include",
    "../../rust/amnesia/include",
];

fn main() {
    println!("cargo::rerun-if-changed=controls");
    for input in ASM.iter().chain(&INCLUDES) {
        println!("cargo::rerun-if-changed={input}");
    }
    let objects = cc::Build::new()
        .includes(ASM)
        .includes(INCLUDES)
        .debug(false)
        .file("controls/engines.S")
        .file("controls/windows.S")
        .try_compile_intermediates();
    match objects {
        Ok(objects) => {
            let paths: Vec<_> = objects.iter().map(|path| path.to_string_lossy()).collect();
            println!("cargo::rustc-env=TAINT_CONTROLS={}", paths[0]);
            println!("cargo::rustc-env=TAINT_CONTROL_WINDOWS={}", paths[1]);
        }
        Err(error) => {
            println!("cargo::error=cannot assemble the controls: {error}; is a C compiler (package gcc) installed?");
            process::exit(1);
        }
    }
}
