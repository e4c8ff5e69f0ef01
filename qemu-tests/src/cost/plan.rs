// SPDX-License-Identifier: GPL-2.0

//! Which functions are counted, and as what: the plan for the plugin (see `counter/src/plan.rs`).

use std::fmt::Write;

use anyhow::{ensure, Context, Result};
use iced_x86::{Code, FlowControl};

use super::symbols::Kernel;

/// What instructions are spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    /// Everything that is nothing of the following: memcpy, memory allocation, the block layer.
    Other,
    /// The cipher itself: assembly, ours or the kernel's, with the key derivation of ours.
    Engine,
    /// Moving S between the debug registers and the vector registers.
    Window,
    /// The driver in Rust, with the part of the abstraction that is compiled into it, or the kernel's own glue code around its engines.
    Driver,
    /// Beginning and ending the use of the vector registers.
    Fpu,
    /// The crypto API.
    CryptoApi,
    /// dm-crypt.
    DmCrypt,
    /// Interrupts and faults, and the scheduler: whatever was counted with these in it was disturbed.
    Disturbance,
}

impl Kind {
    /// All, in the order of the plugin's numbers.
    pub const ALL: [Self; 8] = [
        Self::Other,
        Self::Engine,
        Self::Window,
        Self::Driver,
        Self::Fpu,
        Self::CryptoApi,
        Self::DmCrypt,
        Self::Disturbance,
    ];

    /// For the head of a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Engine => "engine",
            Self::Window => "window",
            Self::Driver => "driver",
            Self::Fpu => "FPU",
            Self::CryptoApi => "crypto API",
            Self::DmCrypt => "dm-crypt",
            Self::Disturbance => "disturbed",
        }
    }

    /// By the name of a function. Rust's mangled names hold those of crate and modules.
    fn of(function: &str) -> Option<Self> {
        let begins = |prefixes: &[&str]| prefixes.iter().any(|it| function.starts_with(it));
        let rust = begins(&["_R"]);
        Some(
            if rust
                && ["6tresor", "8skcipher"]
                    .iter()
                    .any(|it| function.contains(it))
            {
                Self::Driver
            } else if rust {
                return None;
            } else if WINDOWS.contains(&function) {
                Self::Window
            } else if is_engine_of_ours(function)
                || begins(&[
                    "aesni_enc",
                    "aesni_xts_",
                    "aes_xts_encrypt_",
                    "aes_xts_decrypt_",
                ])
            {
                Self::Engine
            } else if begins(&["kernel_fpu_", "irq_fpu_usable", "rust_helper_kernel_fpu"]) {
                Self::Fpu
            } else if begins(&["crypto_", "skcipher_", "scatterwalk_", "rust_helper_crypto"]) {
                Self::CryptoApi
            } else if begins(&["xts_encrypt", "xts_decrypt", "xts_crypt"]) {
                Self::Driver
            } else if begins(&["crypt_", "kcryptd"]) {
                Self::DmCrypt
            } else if begins(&["__schedule"]) {
                Self::Disturbance
            } else {
                return None;
            },
        )
    }
}

/// Whether a routine is named as ours are: tresor_MODE_CLASS_DIRECTION_KEYBITS.
fn is_engine_of_ours(function: &str) -> bool {
    function.starts_with("tresor_")
        && ["_128", "_192", "_256"]
            .iter()
            .any(|it| function.ends_with(it))
}

/// The routines that move S: what chooses between its homes, and the windows of the one that is counted.
const WINDOWS: [&str; 4] = [LOAD, STORE, "tresor_load_s_dr", "tresor_store_s_dr"];
const LOAD: &str = "tresor_load_s";
const STORE: &str = "tresor_store_s";

/// One request to a cipher, from the caller's call to its return.
pub(crate) const ENCRYPT: &str = "encrypt";
/// The same for decryption.
pub(crate) const DECRYPT: &str = "decrypt";
/// dm-crypt's loop over the data of one read or write.
pub(crate) const CONVERT: &str = "convert";
/// From the `cli` of a window to the `sti` of its caller.
pub(crate) const IRQS_OFF: &str = "irqs-off";
/// From the call of `kernel_fpu_begin()` to that of `kernel_fpu_end()`.
pub(crate) const FPU_SECTION: &str = "fpu-section";

/// Instructions of the routine that loads S.
pub(crate) fn window(kernel: &Kernel) -> Result<u64> {
    let choice = kernel.instructions(kernel.function(LOAD)?)?;
    // The debug registers are the first choice: what follows their jump is not executed.
    let jump = choice
        .iter()
        .position(|instruction| instruction.flow_control() == FlowControl::UnconditionalBranch)
        .context("nothing in the choice of the home jumps to a window")?;
    let load = kernel.instructions(kernel.function("tresor_load_s_dr")?)?;
    Ok((jump + 1 + load.len()) as u64)
}

/// The plan for a kernel, as the plugin reads it.
pub(crate) fn plan(kernel: &Kernel) -> Result<String> {
    let mut text = String::new();
    let mut range = |kind: Kind, start: u64, end: u64| {
        writeln!(text, "range {} {start:x} {end:x}", kind as usize)
    };
    for function in kernel.functions() {
        if let Some(kind) = Kind::of(&function.name) {
            range(kind, function.start, function.end)?;
        }
    }
    range(
        Kind::Disturbance,
        kernel.address("__entry_text_start")?,
        kernel.address("__entry_text_end")?,
    )?;
    for (name, function) in [
        (ENCRYPT, "crypto_skcipher_encrypt"),
        (DECRYPT, "crypto_skcipher_decrypt"),
        (CONVERT, "crypt_convert"),
    ] {
        writeln!(text, "call {name} {:x}", kernel.function(function)?.start)?;
    }
    let mut mark = |what: &str, name: &str, at: u64| writeln!(text, "{what} {name} {at:x}");
    mark(
        "open",
        FPU_SECTION,
        kernel.function("kernel_fpu_begin_mask")?.start,
    )?;
    mark(
        "close",
        FPU_SECTION,
        kernel.function("kernel_fpu_end")?.start,
    )?;
    let mut ends = 0;
    for window in [LOAD, STORE] {
        mark("open", IRQS_OFF, kernel.function(window)?.start)?;
    }
    for function in kernel
        .functions()
        .iter()
        .filter(|it| it.name.starts_with("tresor_"))
    {
        for instruction in kernel.instructions(function)? {
            if instruction.code() == Code::Sti {
                mark("close", IRQS_OFF, instruction.ip())?;
                ends += 1;
            }
        }
    }
    ensure!(ends > 0, "no routine of the driver turns IRQs on again");
    Ok(text)
}
