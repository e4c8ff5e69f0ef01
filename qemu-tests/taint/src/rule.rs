// SPDX-License-Identifier: GPL-2.0
//! The rules that the engines keep, and where one is broken.

use std::fmt;

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Nothing secret goes to memory, except where the source declares a result.
    SecretStored,
    /// Memory is written only where the source declares a result; the stack has nothing but return addresses, and the flags before a
    /// window.
    UndeclaredStore,
    /// A declared result goes through the function's third argument, moved on by public numbers.
    Destination,
    /// General registers hold nothing secret outside the windows.
    SecretInGeneral,
    /// No address, nor whether there is an access, depends on a secret.
    SecretAddress,
    /// No jump depends on a secret.
    SecretBranch,
    /// No count of a shift, no operand of a division or of floating point depends on a secret: their time may.
    SecretTiming,
    /// Nothing secret is in a register or in the flags at a return.
    SecretLeft,
    /// All registers of the kind that the function uses are zero at a return.
    NotWiped,
    /// No port is read or written.
    Port,
    /// Control stays in the code that is followed.
    Flow,
    /// Only instructions whose effect this analysis knows.
    Unknown,
    /// A declaration in the source is at an instruction that does what is declared.
    Declaration,
}

impl Rule {
    /// What was done against it.
    pub fn text(self) -> &'static str {
        match self {
            Rule::SecretStored => "a secret goes to memory",
            Rule::UndeclaredStore => "memory is written where no result is declared",
            Rule::Destination => "a result goes elsewhere than through the destination",
            Rule::SecretInGeneral => "a secret is in a general register outside the windows",
            Rule::SecretAddress => "an address depends on a secret",
            Rule::SecretBranch => "a jump depends on a secret",
            Rule::SecretTiming => "the time of an instruction depends on a secret",
            Rule::SecretLeft => "a secret is left at a return",
            Rule::NotWiped => "a register is not zero at a return",
            Rule::Port => "a port is used",
            Rule::Flow => "control leaves what is followed",
            Rule::Unknown => "an instruction is not known",
            Rule::Declaration => "a declaration is at the wrong instruction",
        }
    }
}

/// A broken rule and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// Name of the function.
    pub function: String,
    /// Offset of the instruction in it.
    pub offset: u64,
    /// The instruction, in AT&T syntax.
    pub instruction: String,
    /// What is broken.
    pub rule: Rule,
    /// Which registers, or why.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}+{:#x}: {}: {}",
            self.function,
            self.offset,
            self.instruction,
            self.rule.text()
        )?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}
