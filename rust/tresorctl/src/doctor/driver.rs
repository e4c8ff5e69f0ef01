// SPDX-License-Identifier: GPL-2.0
//! The driver of the running kernel, and what it could use.

use serde::Serialize;
use tresor::class::Class;

use super::system::System;

/// What was found of the driver.
#[derive(Debug, Serialize)]
pub(crate) struct Driver {
    /// Whether the cipher is registered, so whether the kernel has the driver and found an engine.
    registered: bool,
    /// What the kernel's own test of it said; it is tested at its first use.
    self_test: Option<String>,
    /// The fastest engine that this CPU can run.
    cpu_class: Option<&'static str>,
    /// The engine in use, from the kernel's log.
    engine: Option<String>,
}

impl Driver {
    pub(crate) fn look(system: &System) -> Self {
        let crypto = system.read("proc/crypto").unwrap_or_default();
        let paragraph = crypto.split("\n\n").find(|it| {
            it.lines()
                .any(|line| value(line, "driver") == Some("xts-tresor"))
        });
        Self {
            registered: paragraph.is_some(),
            self_test: paragraph
                .and_then(|it| it.lines().find_map(|line| value(line, "selftest")))
                .map(str::to_owned),
            cpu_class: Class::ALL
                .into_iter()
                .find(|&class| flags_of(class).iter().all(|flag| system.has_flag(flag)))
                .map(Class::name),
            engine: engine(&system.log()),
        }
    }

    /// For a person.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.push(if self.registered {
            format!(
                "ok       xts-tresor is registered, self test: {}",
                self.self_test.as_deref().unwrap_or("not known")
            )
        } else {
            "MISSING  this kernel has no xts-tresor\n\
             \x20          -> boot a kernel with CONFIG_CRYPTO_TRESOR; if it is one, its log says why"
                .to_owned()
        });
        let engine = self
            .engine
            .as_deref()
            .unwrap_or("not known (the kernel's log cannot be read, or its beginning is gone)");
        lines.push(format!("engine   {engine}"));
        lines.push(match self.cpu_class {
            Some(class) if self.engine.as_deref().is_some_and(|it| it != class) => format!(
                "weak     this CPU could run {class}, which is faster\n\
                 \x20          -> look for tresor.disable= on the kernel's command line"
            ),
            Some(class) => format!("CPU      {class}"),
            None => "CPU      no SSSE3: there is no engine for it".to_owned(),
        });
        lines
    }
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (name, value) = line.split_once(':')?;
    (name.trim() == key).then(|| value.trim())
}

/// The last that the driver said of it.
fn engine(log: &str) -> Option<String> {
    log.lines()
        .filter_map(|line| line.split_once("tresor: engine: "))
        .next_back()
        .map(|(_, engine)| engine.trim().to_owned())
}

/// What the kernel looks at before it takes an engine (`kmod/engine.rs`), by its names in /proc/cpuinfo.
fn flags_of(class: Class) -> &'static [&'static str] {
    match class {
        Class::Avx512 => &[
            "aes",
            "sse4_1",
            "avx512f",
            "avx512bw",
            "avx512dq",
            "avx512vl",
            "vaes",
            "vpclmulqdq",
        ],
        Class::Avx512vl => &[
            "aes",
            "sse4_1",
            "avx512f",
            "avx512bw",
            "avx512dq",
            "avx512vl",
            "pclmulqdq",
        ],
        Class::Vaes => &["aes", "sse4_1", "avx2", "vaes", "vpclmulqdq"],
        Class::Avx => &["aes", "sse4_1", "avx"],
        Class::Aesni => &["aes", "sse4_1"],
        Class::Ssse3 => &["ssse3"],
    }
}
