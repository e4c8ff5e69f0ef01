// SPDX-License-Identifier: GPL-2.0
//! The flags that lengths and counts are compared by.

use iced_x86::ConditionCode;

/// Those that conditional jumps of the engines look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    zero: bool,
    sign: bool,
    carry: bool,
    overflow: bool,
}

impl Flags {
    /// After a logical operation whose result this is, `bits` wide.
    pub fn of(result: u64, bits: u32) -> Self {
        Self {
            zero: result & mask(bits) == 0,
            sign: result >> (bits - 1) & 1 == 1,
            carry: false,
            overflow: false,
        }
    }

    /// After `a` + `b`.
    pub fn of_add(a: u64, b: u64, bits: u32) -> Self {
        let (a, b) = (a & mask(bits), b & mask(bits));
        let result = a.wrapping_add(b) & mask(bits);
        Self {
            carry: result < a,
            overflow: (a ^ result) & (b ^ result) & (1 << (bits - 1)) != 0,
            ..Self::of(result, bits)
        }
    }

    /// After `a` - `b`, or their comparison.
    pub fn of_sub(a: u64, b: u64, bits: u32) -> Self {
        let (a, b) = (a & mask(bits), b & mask(bits));
        let result = a.wrapping_sub(b) & mask(bits);
        Self {
            carry: a < b,
            overflow: (a ^ b) & (a ^ result) & (1 << (bits - 1)) != 0,
            ..Self::of(result, bits)
        }
    }

    /// The carry, which `inc` and `dec` keep.
    pub fn carry(self) -> bool {
        self.carry
    }

    /// The same with this carry.
    pub fn with_carry(self, carry: bool) -> Self {
        Self { carry, ..self }
    }

    /// Whether a condition holds; none if it is of a kind that is not known.
    pub fn meet(self, code: ConditionCode) -> Option<bool> {
        Some(match code {
            ConditionCode::e => self.zero,
            ConditionCode::ne => !self.zero,
            ConditionCode::b => self.carry,
            ConditionCode::ae => !self.carry,
            ConditionCode::a => !self.carry && !self.zero,
            ConditionCode::be => self.carry || self.zero,
            ConditionCode::l => self.sign != self.overflow,
            ConditionCode::ge => self.sign == self.overflow,
            ConditionCode::g => !self.zero && self.sign == self.overflow,
            ConditionCode::le => self.zero || self.sign != self.overflow,
            ConditionCode::s => self.sign,
            ConditionCode::ns => !self.sign,
            _ => return None,
        })
    }
}

/// The lowest `bits` bits.
pub fn mask(bits: u32) -> u64 {
    if bits >= 64 {
        u64::MAX
    } else {
        (1 << bits) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons() {
        let below = Flags::of_sub(3, 5, 64);
        assert_eq!(below.meet(ConditionCode::b), Some(true));
        assert_eq!(below.meet(ConditionCode::l), Some(true));
        // 0x8000_0000 is the least 32-bit number with a sign, and a great one without.
        let signed = Flags::of_sub(0x8000_0000, 1, 32);
        assert_eq!(signed.meet(ConditionCode::l), Some(true));
        assert_eq!(signed.meet(ConditionCode::b), Some(false));
        assert_eq!(
            Flags::of_add(u64::MAX, 1, 64).meet(ConditionCode::e),
            Some(true)
        );
    }
}
