// SPDX-License-Identifier: GPL-2.0
//! The engines and windows as they are in the linked kernel.
//!
//! Which functions these are is not listed here: the archive that the kernel was linked from says it. What the source declares is in the
//! same objects; the code is taken from `vmlinux`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use object::read::archive::ArchiveFile;
use object::{File, Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind};

use crate::flow::Program;
use crate::function::Function;
use crate::object_file;

/// Where the driver's objects are, below the directory of `vmlinux`.
const DRIVER: &str = "drivers/crypto/tresor";

/// The symbols between which the linker script places the windows.
const WINDOW_BOUNDS: [&str; 2] = ["__tresor_window_start", "__tresor_window_end"];

/// Those between which no kprobe can be set (populate_kprobe_blacklist() of the kernel). The windows are listed there one by one.
const NO_PROBES: [[&str; 2]; 2] = [
    ["__kprobes_text_start", "__kprobes_text_end"],
    ["__noinstr_text_start", "__noinstr_text_end"],
];

/// A linked kernel.
pub struct Image {
    path: PathBuf,
    data: Vec<u8>,
}

impl Image {
    /// Reads a `vmlinux` that lies where it was linked.
    pub fn read(vmlinux: &Path) -> Result<Self> {
        Ok(Self {
            path: vmlinux.to_owned(),
            data: fs_err::read(vmlinux).context("the kernel must be built first")?,
        })
    }

    /// The engines and windows.
    pub fn program(&self) -> Result<Program> {
        let linked = self.linked()?;
        let window = linked.range(WINDOW_BOUNDS)?;
        let no_probes = NO_PROBES.map(|bounds| linked.range(bounds));
        let no_probes = no_probes.into_iter().collect::<Result<Vec<_>>>()?;
        let mut program = Program::new();
        for object in self.objects()? {
            for assembled in object_file::functions_of_file(&object)? {
                let function = linked.function(&assembled)?;
                let address = linked.address(&function.name)?;
                ensure!(
                    window.contains(&address) == function.is_window(),
                    "{} is on the wrong side of the window section's bounds",
                    function.name
                );
                ensure!(
                    function.is_window() || no_probes.iter().any(|range| range.contains(&address)),
                    "{} of {} is where kprobes can be set: begin its code with ENGINE_TEXT instead of .text",
                    function.name,
                    function.file
                );
                program.insert(function.name.clone(), function);
            }
        }
        ensure!(!program.is_empty(), "the kernel has no engine");
        Ok(program)
    }

    /// The assembled files that the kernel was linked from.
    fn objects(&self) -> Result<Vec<PathBuf>> {
        let driver = self.path.with_file_name(DRIVER);
        let archive = driver.join("built-in.a");
        let data = fs_err::read(&archive).context("the kernel has no driver `tresor`")?;
        let file = ArchiveFile::parse(data.as_slice())
            .with_context(|| format!("cannot read {}", archive.display()))?;
        let mut objects = Vec::new();
        for member in file.members() {
            let member = member?;
            let name = std::str::from_utf8(member.name())?;
            if name.starts_with("asm/") {
                objects.push(driver.join(name));
            }
        }
        Ok(objects)
    }

    pub(crate) fn linked(&self) -> Result<Linked<'_>> {
        Linked::new(File::parse(self.data.as_slice())?)
    }
}

/// The parsed file and its symbols.
pub(crate) struct Linked<'a> {
    file: File<'a>,
    /// Address and size by name, for names that occur once.
    symbols: BTreeMap<String, Option<(u64, u64)>>,
}

impl<'a> Linked<'a> {
    fn new(file: File<'a>) -> Result<Self> {
        let mut symbols = BTreeMap::new();
        for symbol in file.symbols() {
            let place = Some((symbol.address(), symbol.size()));
            symbols
                .entry(symbol.name()?.to_owned())
                .and_modify(|place| *place = None)
                .or_insert(place);
        }
        Ok(Self { file, symbols })
    }

    fn symbol(&self, name: &str) -> Result<(u64, u64)> {
        match self.symbols.get(name) {
            Some(Some(place)) => Ok(*place),
            Some(None) => bail!("the kernel has several symbols `{name}`"),
            None => bail!("the kernel has no symbol `{name}`"),
        }
    }

    pub(crate) fn address(&self, name: &str) -> Result<u64> {
        Ok(self.symbol(name)?.0)
    }

    /// The symbols whose names begin so, without that part, and their addresses.
    pub(crate) fn beginning_with<'b>(
        &'b self,
        prefix: &'b str,
    ) -> impl Iterator<Item = (&'b str, u64)> + 'b {
        let symbols = self.symbols.iter();
        symbols.filter_map(move |(name, place)| Some((name.strip_prefix(prefix)?, (*place)?.0)))
    }

    /// From one symbol to another.
    pub(crate) fn range(&self, bounds: [&str; 2]) -> Result<Range<u64>> {
        let [start, end] = bounds.map(|name| self.address(name));
        Ok(start?..end?)
    }

    pub(crate) fn bytes(&self, address: u64, size: u64) -> Result<&'a [u8]> {
        let section = self
            .file
            .sections()
            .filter(|section| section.kind() != SectionKind::UninitializedData)
            .find(|section| {
                (section.address()..section.address() + section.size()).contains(&address)
            });
        let bytes = match section {
            Some(section) if section.address() != 0 => section.data_range(address, size)?,
            _ => None,
        };
        bytes.with_context(|| format!("the kernel has nothing at {address:#x}"))
    }

    /// The linked code of an assembled function. Only what the linker was to put in may differ.
    fn function(&self, assembled: &Function) -> Result<Function> {
        let name = &assembled.name;
        let (address, size) = self.symbol(name)?;
        ensure!(
            size == assembled.code.len() as u64,
            "{name} has another size in the kernel than in {}",
            assembled.file
        );
        let mut function = assembled.clone();
        function.code = self.bytes(address, size)?.to_vec();
        for (offset, (linked, assembled_byte)) in
            function.code.iter().zip(&assembled.code).enumerate()
        {
            let offset = offset as u64;
            let relocated = (offset.saturating_sub(3)..=offset)
                .any(|start| assembled.references.contains_key(&start));
            ensure!(
                linked == assembled_byte || relocated,
                "{name}+{offset:#x} differs between the kernel and {}",
                assembled.file
            );
        }
        for instruction in function.instructions() {
            self.resolve(&mut function, &instruction, address)?;
        }
        Ok(function)
    }

    /// Checks that a call goes where the object says, and takes constants from the kernel.
    fn resolve(
        &self,
        function: &mut Function,
        instruction: &iced_x86::Instruction,
        address: u64,
    ) -> Result<()> {
        let Some(symbol) = function.symbol(instruction) else {
            return Ok(());
        };
        if instruction.near_branch_target() != 0 {
            let expected = self.address(symbol)?;
            ensure!(
                address.wrapping_add(instruction.near_branch_target()) == expected,
                "{}: {instruction} does not go to {symbol}",
                function.name
            );
        } else if instruction.is_ip_rel_memory_operand() {
            let constant = address.wrapping_add(instruction.ip_rel_memory_address());
            if let Ok(bytes) = self.bytes(constant, 16) {
                function
                    .constants
                    .insert(instruction.ip(), bytes.try_into()?);
            }
        }
        Ok(())
    }

    /// Every section that the CPU can execute: address and code.
    pub(crate) fn code(&self) -> Result<Vec<(u64, &'a [u8])>> {
        let mut code = Vec::new();
        for section in self.file.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else {
                continue;
            };
            if sh_flags & u64::from(object::elf::SHF_EXECINSTR) != 0 {
                code.push((section.address(), section.data()?));
            }
        }
        Ok(code)
    }

    /// The names of functions and labels in the code, by address.
    pub(crate) fn labels(&self) -> BTreeMap<u64, &str> {
        self.symbols
            .iter()
            .filter_map(|(name, place)| Some(((*place)?.0, name.as_str())))
            .collect()
    }
}
