// SPDX-License-Identifier: GPL-2.0
//! What is known of a register: the lattice of the analysis.

/// What a register, a part of one, or the flags hold, whatever way the code took. The join of two paths is the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Zero.
    Zero,
    /// Anything that does not depend on a secret.
    Public,
    /// Perhaps a secret, or something that depends on one.
    Secret,
}

/// What a general register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) content: Content,
    /// On every path: the destination, moved on by public numbers.
    pub(crate) is_destination: bool,
    /// On some path: an address of memory that holds a secret.
    pub(crate) may_point_to_secret: bool,
}

impl Value {
    pub(crate) const PUBLIC: Self = Self::of(Content::Public);

    pub(crate) const fn of(content: Content) -> Self {
        Self {
            content,
            is_destination: false,
            may_point_to_secret: false,
        }
    }

    fn join(self, other: Self) -> Self {
        Self {
            content: self.content.max(other.content),
            is_destination: self.is_destination && other.is_destination,
            may_point_to_secret: self.may_point_to_secret || other.may_point_to_secret,
        }
    }
}

/// 128-bit lanes of a vector register.
pub(crate) const LANES: usize = 4;

/// The registers before an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// By number: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
    pub(crate) general: [Value; 16],
    /// By number and lane.
    pub(crate) vectors: [[Content; LANES]; 32],
    pub(crate) masks: [Content; 8],
    /// The six status flags together.
    pub(crate) flags: Content,
    /// The exception flags of floating point, in MXCSR.
    pub(crate) mxcsr: Content,
}

impl State {
    /// What a caller leaves: nothing secret. No mask is to be wiped that was not written, so all count as zero.
    pub(crate) fn entry() -> Self {
        Self {
            general: [Value::PUBLIC; 16],
            vectors: [[Content::Public; LANES]; 32],
            masks: [Content::Zero; 8],
            flags: Content::Public,
            mxcsr: Content::Public,
        }
    }

    /// Takes another path's state in; returns whether anything changed.
    pub(crate) fn join(&mut self, other: &Self) -> bool {
        let before = self.clone();
        for (ours, theirs) in self.general.iter_mut().zip(&other.general) {
            *ours = ours.join(*theirs);
        }
        let lanes = self.vectors.iter_mut().flatten();
        for (ours, theirs) in lanes.zip(other.vectors.iter().flatten()) {
            *ours = (*ours).max(*theirs);
        }
        for (ours, theirs) in self.masks.iter_mut().zip(&other.masks) {
            *ours = (*ours).max(*theirs);
        }
        self.flags = self.flags.max(other.flags);
        self.mxcsr = self.mxcsr.max(other.mxcsr);
        *self != before
    }

    /// The worst of all vector and mask registers: what an instruction stores that saves them all.
    pub(crate) fn extended(&self) -> Content {
        let lanes = self.vectors.iter().flatten();
        let worst = lanes.chain(&self.masks).max();
        worst.copied().unwrap_or(Content::Public).max(self.mxcsr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_forgets_what_only_one_path_knows() {
        let mut state = State::entry();
        state.general[2].is_destination = true;
        state.vectors[3][1] = Content::Zero;
        let mut other = State::entry();
        other.general[7].may_point_to_secret = true;
        other.vectors[3][1] = Content::Secret;
        other.flags = Content::Secret;
        assert!(state.join(&other));
        assert!(!state.general[2].is_destination);
        assert!(state.general[7].may_point_to_secret);
        assert_eq!(state.vectors[3][1], Content::Secret);
        assert_eq!(state.flags, Content::Secret);
        assert!(!state.join(&other), "nothing new");
    }
}
