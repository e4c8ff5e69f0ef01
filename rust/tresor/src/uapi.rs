// SPDX-License-Identifier: GPL-2.0

//! The calls of `/dev/tresor`, for both sides: numbers, layouts, and what is a well-formed call.
//!
//! All fields are little-endian (the driver is for x86-64 only) and at the same places for 32-bit
//! programs. Each structure begins with a version and has its size in the number of its call, so
//! that a program and a kernel that do not know each other's version find out.
//!
//! See Documentation/ABI/testing/dev-tresor.

use super::{kdf::PASS_PHRASE_MAX, slot};

pub mod wrap;

/// Path of the device.
pub const DEVICE: &str = "/dev/tresor";
/// Version of all structures.
pub const VERSION: u32 = 1;

const TYPE: u32 = 0xd5;
const WRITE: u32 = 1;
const READ: u32 = 2;

/// Bytes of [`Status`].
pub const STATUS_SIZE: usize = 64;
/// Bytes of [`Unlock`].
pub const UNLOCK_SIZE: usize = 32;
/// Bytes of [`Lock`].
pub const LOCK_SIZE: usize = 8;
/// Bytes of [`Agent`].
pub const AGENT_SIZE: usize = 8;

/// Tells the state. The program fills in the version.
pub const STATUS: u32 = number(READ | WRITE, 1, STATUS_SIZE);
/// Makes S of a pass phrase.
pub const UNLOCK: u32 = number(WRITE, 2, UNLOCK_SIZE);
/// Takes S away.
pub const LOCK: u32 = number(WRITE, 3, LOCK_SIZE);
/// What the program does that asks for the pass phrase after a sleep.
pub const AGENT: u32 = number(WRITE, 4, AGENT_SIZE);
/// Makes a wrapped handle with a fresh key; see [`wrap`].
pub const WRAP_FRESH: u32 = number(READ | WRITE, 16, wrap::FRESH_SIZE);
/// Makes a wrapped handle of a key; see [`wrap`].
pub const WRAP_KEY: u32 = number(READ | WRITE, 17, wrap::KEY_SIZE);
/// Tells whether a wrapped handle is one of S; see [`wrap`].
pub const VERIFY: u32 = number(WRITE, 18, wrap::VERIFY_SIZE);

/// The number of a call, as `_IOC()` makes it on x86.
const fn number(direction: u32, number: u32, size: usize) -> u32 {
    direction << 30 | (size as u32) << 16 | TYPE << 8 | number
}

/// Flag of [`Status`]: requests fail while there is no S.
pub const STATUS_FAILS: u32 = 1;
/// Flag of [`Status`]: there is a good slot on the kernel command line, or one of an unlock since.
pub const STATUS_HAS_SLOT: u32 = 2;
/// Flag of [`Unlock`]: a program has made the pass phrase of what a person typed, so that nobody
/// can type it at the kernel's own prompt after a sleep.
pub const UNLOCK_STRETCHED: u32 = 1;
/// Flag of [`Lock`]: requests fail from now on until S is there again, those too that wait already.
pub const LOCK_FAIL: u32 = 1;

/// Bytes of the name of an engine, zero-padded.
pub const ENGINE_NAME: usize = 16;
/// Bytes of the id of S.
pub const SECRET_ID: usize = 8;

/// Why a call is not well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The version is not [`VERSION`], or a flag or reserved byte is set that this version does not
    /// know.
    Unknown,
    /// A length is not in its range.
    Length,
}

/// The state of the driver: 64 bytes.
///
/// | bytes | field |
/// |---|---|
/// | 0..4 | version |
/// | 4..8 | phase, a number of [`Phase`](super::phase::Phase) |
/// | 8..12 | CPUs online |
/// | 12..16 | CPUs with S |
/// | 16..20 | requests that wait for S |
/// | 20..24 | flags |
/// | 24..28 | PBKDF2 iterations of the machine's slot |
/// | 28..36 | id of that slot, see [`Slot::id`](slot::Slot::id) |
/// | 36..52 | name of the engine |
/// | 52..60 | id of S, zero while there is none, and from a kernel that does not tell it |
/// | 60..64 | zero |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Number of the phase.
    pub phase: u32,
    /// CPUs online.
    pub cpus: u32,
    /// CPUs that were seen to have S.
    pub cpus_with_key: u32,
    /// Requests that wait.
    pub waiting: u32,
    /// `STATUS_*`.
    pub flags: u32,
    /// Iterations of the slot, 0 without one.
    pub iterations: u32,
    /// Id of the slot, zero without one.
    pub slot_id: [u8; slot::ID],
    /// Name of the engine, zero-padded.
    pub engine: [u8; ENGINE_NAME],
    /// Id of S, zero without one: that of the wrapped handles that this machine can use.
    pub secret_id: [u8; SECRET_ID],
}

impl Status {
    /// The bytes that a program hands in.
    pub fn question() -> [u8; STATUS_SIZE] {
        Self::default().encode()
    }

    /// Whether a program's bytes are a question that can be answered.
    ///
    /// # Errors
    ///
    /// [`Malformed::Unknown`] for another version. The rest does not matter.
    pub fn check_question(bytes: &[u8; STATUS_SIZE]) -> Result<(), Malformed> {
        match word(bytes, 0) {
            VERSION => Ok(()),
            _ => Err(Malformed::Unknown),
        }
    }

    /// The answer.
    pub fn encode(&self) -> [u8; STATUS_SIZE] {
        let mut bytes = [0; STATUS_SIZE];
        let words = [
            VERSION,
            self.phase,
            self.cpus,
            self.cpus_with_key,
            self.waiting,
            self.flags,
            self.iterations,
        ];
        let all = words
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .chain(self.slot_id)
            .chain(self.engine)
            .chain(self.secret_id);
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = from;
        }
        bytes
    }

    /// Reads an answer.
    ///
    /// # Errors
    ///
    /// [`Malformed::Unknown`] for another version.
    pub fn decode(bytes: &[u8; STATUS_SIZE]) -> Result<Self, Malformed> {
        Self::check_question(bytes)?;
        Ok(Self {
            phase: word(bytes, 4),
            cpus: word(bytes, 8),
            cpus_with_key: word(bytes, 12),
            waiting: word(bytes, 16),
            flags: word(bytes, 20),
            iterations: word(bytes, 24),
            slot_id: array(bytes, 28),
            engine: array(bytes, 36),
            secret_id: array(bytes, 52),
        })
    }
}

/// A call for S: 32 bytes.
///
/// The machine's slot is the one of the command line; if there is none, the one that made S first,
/// unless its pass phrase was a stretched one.
///
/// | bytes | field |
/// |---|---|
/// | 0..4 | version |
/// | 4..8 | flags |
/// | 8..16 | address of the text of the slot |
/// | 16..24 | address of the pass phrase |
/// | 24..28 | length of the slot's text; 0 for the machine's slot |
/// | 28..32 | length of the pass phrase, 1 to 512 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlock {
    /// Address of the text of the slot.
    pub slot: u64,
    /// Its length; 0 for the machine's slot.
    pub slot_len: usize,
    /// Address of the pass phrase.
    pub pass_phrase: u64,
    /// Its length.
    pub pass_phrase_len: usize,
    /// Whether nobody can type it, because a program has made it of something else.
    pub stretched: bool,
}

impl Unlock {
    /// Reads a call.
    ///
    /// # Errors
    ///
    /// See [`Malformed`].
    pub fn decode(bytes: &[u8; UNLOCK_SIZE]) -> Result<Self, Malformed> {
        let flags = word(bytes, 4);
        if word(bytes, 0) != VERSION || flags & !UNLOCK_STRETCHED != 0 {
            return Err(Malformed::Unknown);
        }
        let call = Self {
            slot: u64::from_le_bytes(array(bytes, 8)),
            slot_len: word(bytes, 24) as usize,
            pass_phrase: u64::from_le_bytes(array(bytes, 16)),
            pass_phrase_len: word(bytes, 28) as usize,
            stretched: flags & UNLOCK_STRETCHED != 0,
        };
        let lengths = call.slot_len <= slot::TEXT_MAX
            && (1..=PASS_PHRASE_MAX).contains(&call.pass_phrase_len);
        if lengths {
            Ok(call)
        } else {
            Err(Malformed::Length)
        }
    }

    /// The bytes that a program hands in. A length that does not fit is made one that is refused.
    pub fn encode(&self) -> [u8; UNLOCK_SIZE] {
        let mut bytes = [0; UNLOCK_SIZE];
        let len = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let flags = if self.stretched { UNLOCK_STRETCHED } else { 0 };
        let all = VERSION
            .to_le_bytes()
            .into_iter()
            .chain(flags.to_le_bytes())
            .chain(self.slot.to_le_bytes())
            .chain(self.pass_phrase.to_le_bytes())
            .chain(len(self.slot_len).to_le_bytes())
            .chain(len(self.pass_phrase_len).to_le_bytes());
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = from;
        }
        bytes
    }
}

/// A call to take S away: 8 bytes, version and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Whether requests fail from now on until S is there again.
    pub fail: bool,
}

impl Lock {
    /// Reads a call.
    ///
    /// # Errors
    ///
    /// [`Malformed::Unknown`] for another version or flag.
    pub fn decode(bytes: &[u8; LOCK_SIZE]) -> Result<Self, Malformed> {
        match (word(bytes, 0), word(bytes, 4)) {
            (VERSION, flags) if flags & !LOCK_FAIL == 0 => Ok(Self {
                fail: flags & LOCK_FAIL != 0,
            }),
            _ => Err(Malformed::Unknown),
        }
    }

    /// The bytes that a program hands in.
    pub fn encode(&self) -> [u8; LOCK_SIZE] {
        let flags = if self.fail { LOCK_FAIL } else { 0 };
        ((u64::from(flags) << 32) | u64::from(VERSION)).to_le_bytes()
    }
}

/// A call of the agent, the program that asks for the pass phrase after a sleep: 8 bytes, version
/// and the number of what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Agent {
    /// Makes the caller the agent, until the file is closed.
    Register = 0,
    /// Returns when the machine is awake and the agent is to ask.
    Wait = 1,
    /// Leaves asking to the kernel, this time.
    GiveUp = 2,
}

impl Agent {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Register, Self::Wait, Self::GiveUp];

    /// Reads a call.
    ///
    /// # Errors
    ///
    /// [`Malformed::Unknown`] for another version or number.
    pub fn decode(bytes: &[u8; AGENT_SIZE]) -> Result<Self, Malformed> {
        let number = word(bytes, 4);
        Self::ALL
            .into_iter()
            .find(|&call| word(bytes, 0) == VERSION && call as u32 == number)
            .ok_or(Malformed::Unknown)
    }

    /// The bytes that a program hands in.
    pub fn encode(self) -> [u8; AGENT_SIZE] {
        ((u64::from(self as u32) << 32) | u64::from(VERSION)).to_le_bytes()
    }
}

/// The number at a place; 0 beyond the end, which the callers do not ask for.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

/// The bytes from a place on; zeros beyond the end, which the callers do not ask for.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    for (to, from) in array.iter_mut().zip(bytes.iter().skip(at)) {
        *to = *from;
    }
    array
}
