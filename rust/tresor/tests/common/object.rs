// SPDX-License-Identifier: GPL-2.0
//! Reads the functions of an assembled object file.

use std::collections::HashMap;
use std::{fs, slice};

use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SymbolKind};

/// A function as it was assembled.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) section: String,
    pub(crate) code: Vec<u8>,
    /// What the linker is to put in: offset in `code`, and the symbol there.
    relocations: HashMap<u64, String>,
}

impl Function {
    /// The instructions one after the other, with offsets in `code` as addresses.
    pub(crate) fn instructions(&self) -> Vec<Instruction> {
        Decoder::with_ip(64, &self.code, 0, DecoderOptions::NONE)
            .into_iter()
            .collect()
    }

    /// The symbol that `instruction` refers to.
    pub(crate) fn symbol(&self, instruction: &Instruction) -> Option<&str> {
        (instruction.ip()..instruction.next_ip())
            .find_map(|offset| self.relocations.get(&offset))
            .map(String::as_str)
    }

    /// Replaces an instruction by `code`, filled up with no-operations.
    pub(crate) fn replace(&mut self, instruction: &Instruction, code: &[u8]) {
        self.replace_all(slice::from_ref(instruction), code);
    }

    /// Replaces instructions that follow each other by `code`, filled up with no-operations.
    pub(crate) fn replace_all(&mut self, instructions: &[Instruction], code: &[u8]) {
        let offset = usize::try_from(instructions[0].ip()).unwrap();
        let end = usize::try_from(instructions[instructions.len() - 1].next_ip()).unwrap();
        let place = &mut self.code[offset..end];
        place.fill(0x90);
        place[..code.len()].copy_from_slice(code);
    }
}

/// Reads every function of the object files at `paths`, which are joined like `PATH`.
pub(crate) fn functions(paths: &str) -> Vec<Function> {
    std::env::split_paths(paths)
        .flat_map(|path| functions_of(&fs::read(path).unwrap()))
        .collect()
}

fn functions_of(data: &[u8]) -> Vec<Function> {
    let file = object::File::parse(data).unwrap();
    let mut functions = Vec::new();
    for symbol in file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
    {
        let section = file
            .section_by_index(symbol.section_index().unwrap())
            .unwrap();
        let range = symbol.address()..symbol.address() + symbol.size();
        let mut relocations = HashMap::new();
        for (offset, relocation) in section
            .relocations()
            .filter(|(offset, _)| range.contains(offset))
        {
            if let RelocationTarget::Symbol(index) = relocation.target() {
                let name = file
                    .symbol_by_index(index)
                    .unwrap()
                    .name()
                    .unwrap()
                    .to_owned();
                relocations.insert(offset - range.start, name);
            }
        }
        functions.push(Function {
            name: symbol.name().unwrap().to_owned(),
            section: section.name().unwrap().to_owned(),
            code: section
                .data_range(range.start, symbol.size())
                .unwrap()
                .unwrap()
                .to_vec(),
            relocations,
        });
    }
    functions
}
