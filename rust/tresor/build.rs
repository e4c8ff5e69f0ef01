// SPDX-License-Identifier: GPL-2.0
//! Assembles the kernel's engines for user space (feature `engines`), and tells the tests where the
//! objects are.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

/// How the names of engines in `asm/` begin. The other files touch debug registers and the IRQ
/// flag, which user space may not.
const ENGINES: [&str; 2] = ["unlock-", "xts-"];

fn main() {
    println!("cargo::rerun-if-changed=asm");
    println!("cargo::rerun-if-changed=user");
    if env::var_os("CARGO_FEATURE_ENGINES").is_none() {
        return;
    }
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64") {
        println!("cargo::warning=the engines are for x86-64 only: module `user` is left out");
        return;
    }
    if let Err(error) = assemble() {
        println!("cargo::error=cannot assemble the engines: {error}; is a C compiler (package gcc) installed?");
        process::exit(1);
    }
}

fn assemble() -> Result<(), Box<dyn std::error::Error>> {
    let mut engines = Vec::new();
    for entry in fs::read_dir("asm")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".S") && ENGINES.iter().any(|start| name.starts_with(start)) {
            engines.push(path);
        }
    }
    engines.sort();
    let objects = user_space().files(&engines).try_compile_intermediates()?;
    println!("cargo::rustc-env=TRESOR_ENGINE_OBJECTS={}", join(&objects)?);
    user_space()
        .files(&engines)
        .file("user/window.S")
        .file("user/probe.S")
        .try_compile("tresor_engines")?;

    // Never linked: the tests read its instructions.
    let window = assembler()
        .file("asm/window-dr.S")
        .try_compile_intermediates()?;
    println!("cargo::rustc-env=TRESOR_WINDOW_OBJECT={}", join(&window)?);
    Ok(())
}

fn assembler() -> cc::Build {
    let mut build = cc::Build::new();
    build
        .include(Path::new("user/include"))
        .debug(false)
        .cargo_metadata(true);
    build
}

fn user_space() -> cc::Build {
    let mut build = assembler();
    build.define("TRESOR_USER", None);
    build
}

fn join(paths: &[PathBuf]) -> Result<String, env::JoinPathsError> {
    env::join_paths(paths).map(|joined| joined.to_string_lossy().into_owned())
}
