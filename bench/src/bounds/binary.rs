// SPDX-License-Identifier: GPL-2.0
//! Linked machine code: the engines in this program itself, and the kernel's in their shared library.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

/// The code of a file, as it was linked.
#[derive(Debug)]
pub struct Binary {
    /// Addresses of functions.
    symbols: HashMap<String, u64>,
    /// Address and content of each section with code.
    code: Vec<(u64, Vec<u8>)>,
}

impl Binary {
    /// Reads a program or a shared library.
    pub fn read(path: &Path) -> Result<Self> {
        let data = fs_err::read(path)?;
        Self::parse(&data).with_context(|| format!("cannot read {}", path.display()))
    }

    /// This program: what it measures is linked into it.
    pub fn this_program() -> Result<Self> {
        Self::read(&std::env::current_exe().context("this program has no file")?)
    }

    fn parse(data: &[u8]) -> Result<Self> {
        let file = object::File::parse(data)?;
        let mut symbols = HashMap::new();
        for symbol in file.symbols().chain(file.dynamic_symbols()) {
            if symbol.is_definition() {
                symbols.insert(symbol.name()?.to_owned(), symbol.address());
            }
        }
        let mut code = Vec::new();
        for section in file.sections() {
            if section.kind() == SectionKind::Text {
                code.push((section.address(), section.data()?.to_vec()));
            }
        }
        Ok(Self { symbols, code })
    }

    /// Code without a file, for tests.
    #[cfg(test)]
    pub(crate) fn of_code(name: &str, code: &[u8]) -> Self {
        Self {
            symbols: HashMap::from([(name.to_owned(), 0x1000)]),
            code: vec![(0x1000, code.to_vec())],
        }
    }

    /// The address of a function.
    pub fn function(&self, name: &str) -> Result<u64> {
        let address = self.symbols.get(name).copied();
        address.with_context(|| format!("there is no function `{name}`; was the program stripped?"))
    }

    /// The instruction at an address.
    pub fn instruction(&self, address: u64) -> Option<Instruction> {
        let (start, code) = self
            .code
            .iter()
            .find(|(start, code)| (*start..*start + code.len() as u64).contains(&address))?;
        let offset = usize::try_from(address - start).ok()?;
        let mut decoder = Decoder::with_ip(64, code.get(offset..)?, address, DecoderOptions::NONE);
        let instruction = decoder.decode();
        (!instruction.is_invalid()).then_some(instruction)
    }
}
