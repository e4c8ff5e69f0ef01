// SPDX-License-Identifier: GPL-2.0
//! Reads the functions of an assembled object file.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use iced_x86::OpKind;
use object::{
    File, Object, ObjectSection, ObjectSymbol, RelocationTarget, Section, SectionIndex, SymbolKind,
};

use crate::function::{Function, Mark};

/// How the names of the sections begin in which the source declares something; the rest is the mark's name.
const DECLARATIONS: &str = ".discard.tresor.";

/// Sections by which the kernel changes code when it runs, or lets an exception continue elsewhere.
const PATCHES: &[&str] = &[
    ".altinstructions",
    ".static_call_sites",
    "__ex_table",
    "__jump_table",
    "__mcount_loc",
];

/// Reads every function of the object files at `paths`, which are joined like `PATH`.
pub fn functions(paths: &str) -> Result<Vec<Function>> {
    let mut functions = Vec::new();
    for path in std::env::split_paths(paths) {
        functions.extend(functions_of_file(&path)?);
    }
    Ok(functions)
}

/// Reads every function of one object file.
pub fn functions_of_file(path: &Path) -> Result<Vec<Function>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parse(&fs_err::read(path)?, &name).with_context(|| format!("cannot read {}", path.display()))
}

/// Reads every function of an object file called `name`.
pub fn parse(data: &[u8], name: &str) -> Result<Vec<Function>> {
    let file = File::parse(data)?;
    for section in PATCHES {
        ensure!(
            file.section_by_name(section).is_none(),
            "the code is changed when it runs ({section}), so what is in the file does not tell what it does"
        );
    }
    let mut functions = Vec::new();
    for symbol in file.symbols() {
        if symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
            continue;
        }
        let index = symbol.section_index().context("a function without code")?;
        let section = file.section_by_index(index)?;
        let range = symbol.address()..symbol.address() + symbol.size();
        let code = section.data_range(range.start, symbol.size())?;
        let code = code.context("a function outside of its section")?.to_vec();
        let mut function = Function {
            name: symbol.name()?.to_owned(),
            section: section.name()?.to_owned(),
            file: name.to_owned(),
            address: range.start,
            code,
            references: HashMap::new(),
            constants: HashMap::new(),
            marks: BTreeMap::new(),
        };
        for (offset, relocation) in section.relocations().filter(|(at, _)| range.contains(at)) {
            let target = target(&file, &relocation)?;
            let at = offset - range.start;
            if let Some(constant) = constant(&file, &function, at, &target) {
                function.constants.insert(constant.0, constant.1);
            }
            function.references.insert(at, target.name);
        }
        functions.push((index, range, function));
    }
    refer_within_sections(&mut functions);
    for section in file.sections() {
        let Some(mark) = section.name()?.strip_prefix(DECLARATIONS) else {
            continue;
        };
        let known = Mark::ALL.into_iter().find(|known| known.name() == mark);
        let mark = known.with_context(|| format!("the source declares `{mark}`: unknown"))?;
        for address in declared(&file, &section)? {
            let place = functions
                .iter_mut()
                .find(|(index, range, _)| *index == address.0 && range.contains(&address.1));
            let (_, range, function) = place.context("a declaration outside of any function")?;
            let old = function.marks.insert(address.1 - range.start, mark);
            ensure!(old.is_none(), "two declarations at {}", function.name);
        }
    }
    Ok(functions
        .into_iter()
        .map(|(_, _, function)| function)
        .collect())
}

/// The assembler itself fills in jumps from one function to another in the same section, and leaves no relocation.
fn refer_within_sections(functions: &mut [(SectionIndex, Range<u64>, Function)]) {
    let starts: HashMap<_, _> = functions
        .iter()
        .map(|(section, range, function)| ((*section, range.start), function.name.clone()))
        .collect();
    for (section, range, function) in functions {
        for instruction in function.instructions() {
            let target = instruction.near_branch_target();
            let leaves = target >= function.code.len() as u64;
            let branches = instruction.op0_kind() == OpKind::NearBranch64;
            if !branches || !leaves || function.symbol(&instruction).is_some() {
                continue;
            }
            if let Some(name) = starts.get(&(*section, range.start.wrapping_add(target))) {
                function.references.insert(instruction.ip(), name.clone());
            }
        }
    }
}

/// What a relocation refers to.
struct Target {
    name: String,
    section: Option<object::SectionIndex>,
    address: u64,
    addend: i64,
}

fn target(file: &File<'_>, relocation: &object::Relocation) -> Result<Target> {
    let RelocationTarget::Symbol(index) = relocation.target() else {
        bail!("a relocation without a symbol");
    };
    let symbol = file.symbol_by_index(index)?;
    Ok(Target {
        name: symbol.name()?.to_owned(),
        section: symbol.section_index(),
        address: symbol.address(),
        addend: relocation.addend(),
    })
}

/// The bytes at the address that the instruction with a relocation at `at` loads from, and the offset of the instruction.
fn constant(
    file: &File<'_>,
    function: &Function,
    at: u64,
    target: &Target,
) -> Option<(u64, [u8; 16])> {
    let instruction = function
        .instructions()
        .into_iter()
        .find(|instruction| (instruction.ip()..instruction.next_ip()).contains(&at))?;
    if !instruction.is_ip_rel_memory_operand() {
        return None;
    }
    let section = file.section_by_index(target.section?).ok()?;
    // The linker computes target + addend - place, and the CPU adds the address of the next instruction.
    let distance = i64::try_from(instruction.next_ip() - at).ok()?;
    let address = target
        .address
        .checked_add_signed(target.addend + distance)?;
    let bytes = section.data_range(address, 16).ok()??;
    Some((instruction.ip(), bytes.try_into().ok()?))
}

/// The places that a section of declarations names: section and address in it.
fn declared(
    file: &File<'_>,
    section: &Section<'_, '_>,
) -> Result<Vec<(object::SectionIndex, u64)>> {
    let entries = section.relocations().map(|(_, relocation)| {
        let target = target(file, &relocation)?;
        let address = target.address.checked_add_signed(target.addend);
        Ok((
            target.section.context("a declaration of nothing")?,
            address.context("a declaration outside of the file")?,
        ))
    });
    entries.collect()
}
