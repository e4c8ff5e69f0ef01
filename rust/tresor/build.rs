// SPDX-License-Identifier: GPL-2.0
//! Assembles the kernel's engines for user space (feature `engines`), and tells the tests where the
//! objects are.

use std::path::PathBuf;
use std::{env, fs, process};

use class::Class;

// Files of the library, which uses more of them.
#[allow(dead_code, unused_imports, unused_macros, unreachable_pub)]
#[path = "src/class.rs"]
mod class;
#[allow(unreachable_pub)]
#[cfg(target_arch = "x86_64")]
#[path = "src/user/cpu.rs"]
mod cpu;

/// How the names of engines in `asm/` begin. The other files touch debug registers and the IRQ
/// flag, which user space may not.
const ENGINES: [&str; 4] = ["modes-", "unlock-", "wrap-", "xts-"];

/// Where the files in assembly are; in the kernel tree the second directory is below the first.
const ASM: [&str; 2] = ["asm", "../amnesia/asm"];

/// Headers that are the kernel's, or ours in the kernel.
const INCLUDES: [&str; 3] = ["user/include", "include", "../amnesia/include"];

fn main() {
    for input in ASM.iter().chain(&INCLUDES) {
        println!("cargo::rerun-if-changed={input}");
    }
    println!("cargo::rerun-if-changed=user");
    println!("cargo::rerun-if-changed=src/class.rs");
    println!("cargo::rerun-if-changed=src/user/cpu.rs");
    if env::var_os("CARGO_FEATURE_ENGINES").is_none() {
        return;
    }
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64") {
        println!("cargo::warning=the engines are for x86-64 only: module `user` is left out");
        return;
    }
    tell_skipped_classes();
    if let Err(error) = assemble() {
        println!("cargo::error=cannot assemble the engines: {error}; is a C compiler (package gcc) installed?");
        process::exit(1);
    }
}

/// Sets `tresor_skips` to each class that the tests cannot run here: libtest can only count a test
/// as ignored if that is known when it is compiled.
fn tell_skipped_classes() {
    for class in Class::ALL {
        let name = class.name();
        println!("cargo::rustc-check-cfg=cfg(tresor_skips, values(\"{name}\"))");
        if !runs_here(class) {
            println!("cargo::rustc-cfg=tresor_skips=\"{name}\"");
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn runs_here(class: Class) -> bool {
    println!("cargo::rerun-if-env-changed={}", cpu::DISABLE);
    cpu::can_run(class) && !cpu::is_disabled(class)
}

#[cfg(not(target_arch = "x86_64"))]
fn runs_here(_class: Class) -> bool {
    false
}

fn assemble() -> Result<(), Box<dyn std::error::Error>> {
    let mut all = Vec::new();
    for dir in ASM {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            // The leaks on request break every rule, and are in no kernel but that of the controls.
            if path.extension().is_some_and(|extension| extension == "S")
                && !path.ends_with("leaks.S")
            {
                all.push(path);
            }
        }
    }
    all.sort();
    let is_engine = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        ENGINES.iter().any(|start| name.starts_with(start))
    };
    let engines: Vec<_> = all.iter().filter(is_engine).collect();
    let objects = user_space().files(&engines).try_compile_intermediates()?;
    println!("cargo::rustc-env=TRESOR_USER_OBJECTS={}", join(&objects)?);
    user_space()
        .files(&engines)
        .file("user/window.S")
        .file("user/probe.S")
        .try_compile("tresor_engines")?;

    // As the kernel assembles them; never linked: the tests read the instructions. The directory
    // keeps them apart from the objects above, which have the same names.
    let kernel = PathBuf::from(env::var("OUT_DIR")?).join("kernel");
    fs::create_dir_all(&kernel)?;
    let objects = assembler()
        .files(&all)
        .out_dir(kernel)
        .try_compile_intermediates()?;
    println!("cargo::rustc-env=TRESOR_KERNEL_OBJECTS={}", join(&objects)?);
    Ok(())
}

fn assembler() -> cc::Build {
    let mut build = cc::Build::new();
    build.includes(INCLUDES).debug(false).cargo_metadata(true);
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
