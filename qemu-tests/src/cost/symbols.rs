// SPDX-License-Identifier: GPL-2.0

//! The functions of a `vmlinux`, and the instructions in them.

use std::path::Path;

use anyhow::{anyhow, ensure, Context, Result};
use fs_err as fs;
use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Address of its first instruction, where the kernel was linked.
    pub(crate) start: u64,
    /// Address behind its last one.
    pub(crate) end: u64,
}

/// A `vmlinux` in memory.
pub(crate) struct Kernel {
    functions: Vec<Function>,
    /// Address and content of the sections with code.
    code: Vec<(u64, Vec<u8>)>,
    /// Symbols that stand for addresses, such as the bounds of sections.
    addresses: Vec<(String, u64)>,
}

impl Kernel {
    /// Reads the symbols of `vmlinux`.
    pub(crate) fn read(vmlinux: &Path) -> Result<Self> {
        let data = fs::read(vmlinux)?;
        let file = object::File::parse(&*data)
            .with_context(|| format!("{} is no ELF file", vmlinux.display()))?;
        let mut kernel = Self {
            functions: Vec::new(),
            code: Vec::new(),
            addresses: Vec::new(),
        };
        for symbol in file.symbols() {
            let name = symbol.name()?.to_owned();
            if symbol.kind() == SymbolKind::Text && symbol.size() > 0 {
                kernel.functions.push(Function {
                    name,
                    start: symbol.address(),
                    end: symbol.address() + symbol.size(),
                });
            } else if symbol.is_global() {
                kernel.addresses.push((name, symbol.address()));
            }
        }
        for section in file.sections() {
            if section.kind() == object::SectionKind::Text {
                kernel
                    .code
                    .push((section.address(), section.data()?.to_vec()));
            }
        }
        ensure!(
            !kernel.functions.is_empty(),
            "{} has no symbols",
            vmlinux.display()
        );
        Ok(kernel)
    }

    pub(crate) fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The function of this name.
    pub(crate) fn function(&self, name: &str) -> Result<&Function> {
        self.functions
            .iter()
            .find(|function| function.name == name)
            .ok_or_else(|| anyhow!("the kernel has no function {name}: was it renamed or inlined?"))
    }

    /// The address that a symbol stands for.
    pub(crate) fn address(&self, name: &str) -> Result<u64> {
        self.addresses
            .iter()
            .find(|(known, _)| known == name)
            .map(|&(_, address)| address)
            .ok_or_else(|| anyhow!("the kernel has no symbol {name}"))
    }

    /// The instructions of a function in the order of their addresses.
    pub(crate) fn instructions(&self, function: &Function) -> Result<Vec<Instruction>> {
        let bytes = self
            .code
            .iter()
            .find_map(|(address, data)| {
                let from = usize::try_from(function.start.checked_sub(*address)?).ok()?;
                let to = usize::try_from(function.end.checked_sub(*address)?).ok()?;
                data.get(from..to)
            })
            .with_context(|| format!("{} is in no section with code", function.name))?;
        let decoder = Decoder::with_ip(64, bytes, function.start, DecoderOptions::NONE);
        Ok(decoder.into_iter().collect())
    }
}
