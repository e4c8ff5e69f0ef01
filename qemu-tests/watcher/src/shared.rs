// SPDX-License-Identifier: GPL-2.0

//! Counters and switches in a file that the harness and the plugin both map: it outlives QEMU, however QEMU ends.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{ensure, Context, Result};
use memmap2::MmapMut;
use serde::{Deserialize, Serialize};

/// Virtual CPUs that can be told apart.
pub const CPUS: usize = 16;

/// Bytes of window code that can be told apart, from the start of the first routine.
pub const WINDOW_BYTES: usize = 2048;

/// Bytes of engine code that can be told apart, from the start of the first engine.
pub const ENGINE_BYTES: usize = 1 << 20;

/// The first word of the file: changes with the layout.
const MAGIC: u64 = 0x7773_0000_0000_0004;

/// What the plugin says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum State {
    /// It has not been loaded.
    Absent = 0,
    /// Every store from the first one on is looked at.
    Armed = 1,
    /// It could not go on and said why in QEMU's log.
    Failed = 2,
}

/// What a storm does to the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u64)]
pub enum Vector {
    /// Nothing.
    None = 0,
    /// Non-maskable interrupts.
    Nmi = 1,
    /// Machine checks without an error in any bank.
    MachineCheck = 2,
    /// Single-step traps (#DB): the trap flag is set before an instruction.
    Debug = 3,
    /// No interrupt, a mistake: %rax is cleared before an instruction, as by a guard that does not start the window again.
    Clear = 4,
}

impl Vector {
    pub(crate) fn of(number: u64) -> Self {
        [Self::Nmi, Self::MachineCheck, Self::Debug, Self::Clear]
            .into_iter()
            .find(|vector| *vector as u64 == number)
            .unwrap_or(Self::None)
    }
}

/// [`Shared::places`]: interrupt the window routines.
pub const IN_WINDOWS: u64 = 1;
/// [`Shared::places`]: interrupt the engines.
pub const IN_ENGINES: u64 = 2;
/// [`Shared::places`], with [`IN_ENGINES`]: only after instructions of engines after which none was asked for yet.
pub const ONCE: u64 = 4;

/// What one virtual CPU counts. Nobody else writes it while the machine runs.
#[repr(C, align(128))]
#[derive(Default)]
pub struct Counters {
    /// Stores to RAM that were looked at.
    pub stores: AtomicU64,
    /// Stores to devices and ROM.
    pub device_stores: AtomicU64,
    /// Stores of which QEMU did not say where they went: nobody has looked at them.
    pub unseen_stores: AtomicU64,
    /// Words looked up because a store touched them.
    pub words: AtomicU64,
    /// Stores after which a run of a secret was in RAM that made a leak.
    pub leaks: AtomicU64,
    /// Stores after which a long run of the pass phrase was in RAM.
    pub pass_phrase: AtomicU64,
    /// Words that are windows of a secret of random bytes, but in a run too short for a leak.
    pub short_runs: AtomicU64,
    /// Frames that the CPU pushed and that were looked at.
    pub frames: AtomicU64,
    /// Events of which QEMU 11.1 told that a CPU took them; their frames are among those above.
    pub events: AtomicU64,
    /// Frames that could not be read.
    pub unreadable_frames: AtomicU64,
    /// Interruptions that the plugin asked for.
    pub injected: AtomicU64,
    /// Interruptions whose frame showed an address in a window.
    pub in_windows: AtomicU64,
    /// Interruptions whose frame showed an address in an engine.
    pub in_engines: AtomicU64,
    /// Bit map of the interrupted addresses in windows.
    pub window_hits: Bits<{ WINDOW_BYTES / 64 }>,
    /// Bit map of the addresses in windows at which instructions were run while a storm was on.
    pub window_runs: Bits<{ WINDOW_BYTES / 64 }>,
}

/// A bit map that any CPU may set bits in.
#[repr(transparent)]
pub struct Bits<const WORDS: usize>([AtomicU64; WORDS]);

impl<const WORDS: usize> Default for Bits<WORDS> {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }
}

impl<const WORDS: usize> Bits<WORDS> {
    /// Sets a bit; one beyond the end is ignored.
    pub fn set(&self, bit: u64) {
        if let Some(word) = self.0.get((bit / 64) as usize) {
            word.fetch_or(1 << (bit % 64), Relaxed);
        }
    }

    /// Whether a bit is set.
    pub fn get(&self, bit: u64) -> bool {
        self.0
            .get((bit / 64) as usize)
            .is_some_and(|word| word.load(Relaxed) >> (bit % 64) & 1 != 0)
    }

    /// The bits that are set.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        (0..WORDS as u64 * 64).filter(|bit| self.get(*bit))
    }
}

/// The content of the file.
#[repr(C)]
pub struct Shared {
    magic: AtomicU64,
    state: AtomicU64,
    /// How many different windows of random bytes the secrets have.
    pub random_windows: AtomicU64,
    vector: AtomicU64,
    /// [`IN_WINDOWS`], [`IN_ENGINES`] or both; [`ONCE`].
    pub places: AtomicU64,
    /// A storm ends after so many interruptions.
    pub limit: AtomicU64,
    /// Interruptions of this storm so far, all CPUs.
    pub injected: AtomicU64,
    /// Bit map of the interrupted addresses in engines.
    pub engine_hits: Bits<{ ENGINE_BYTES / 64 }>,
    /// Bit map of the addresses in engines after whose instructions an interruption was asked for.
    pub engine_runs: Bits<{ ENGINE_BYTES / 64 }>,
    /// One for each virtual CPU.
    pub cpus: [Counters; CPUS],
}

impl Shared {
    /// What the plugin says about itself.
    pub fn state(&self) -> State {
        let state = self.state.load(Relaxed);
        [State::Armed, State::Failed]
            .into_iter()
            .find(|known| *known as u64 == state)
            .unwrap_or(State::Absent)
    }

    /// Says it.
    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u64, Relaxed);
    }

    /// What the storm does now.
    pub fn vector(&self) -> Vector {
        Vector::of(self.vector.load(Relaxed))
    }

    /// Starts a storm of at most `limit` interruptions.
    pub fn start_storm(&self, vector: Vector, places: u64, limit: u64) {
        self.limit.store(limit, Relaxed);
        self.injected.store(0, Relaxed);
        self.places.store(places, Relaxed);
        self.vector.store(vector as u64, Relaxed);
    }

    /// Ends it.
    pub fn end_storm(&self) {
        self.vector.store(Vector::None as u64, Relaxed);
    }

    /// The sum of a counter over all CPUs.
    pub fn sum(&self, counter: fn(&Counters) -> &AtomicU64) -> u64 {
        self.cpus.iter().map(|cpu| counter(cpu).load(Relaxed)).sum()
    }
}

/// The mapped file.
pub struct SharedFile {
    map: MmapMut,
}

impl SharedFile {
    /// Makes the file.
    pub fn create(path: &Path) -> Result<Self> {
        let file = fs_err::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        file.set_len(size_of::<Shared>() as u64)?;
        let shared = Self::map(&file)?;
        shared.magic.store(MAGIC, Relaxed);
        Ok(shared)
    }

    /// Opens the file that the other side made.
    pub fn open(path: &Path) -> Result<Self> {
        let file = fs_err::File::options().read(true).write(true).open(path)?;
        let right_size = file.metadata()?.len() == size_of::<Shared>() as u64;
        ensure!(
            right_size,
            "{} has another size than this version's: build the plugin again",
            path.display()
        );
        let shared = Self::map(&file)?;
        ensure!(
            shared.magic.load(Relaxed) == MAGIC,
            "{} is of another version: build the plugin again",
            path.display()
        );
        Ok(shared)
    }

    fn map(file: &fs_err::File) -> Result<Self> {
        // SAFETY: Nobody shortens the file: it is made by `create()` for one machine and only mapped afterwards. Its content is atomic
        // integers, for which any bytes are valid, whoever changes them.
        let map = unsafe { MmapMut::map_mut(file.file()) }
            .context("cannot map the file with the plugin's counters")?;
        Ok(Self { map })
    }
}

impl std::ops::Deref for SharedFile {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        // SAFETY: The mapping begins at a page and has the size of `Shared`, as `create()` and `open()` see to. `Shared` consists of
        // atomic integers only, so any content is valid and may change at any time.
        unsafe { &*self.map.as_ptr().cast::<Shared>() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_see_the_same() {
        let dir = std::env::temp_dir().join(format!("watcher-{}", std::process::id()));
        let ours = SharedFile::create(&dir).expect("create");
        let theirs = SharedFile::open(&dir).expect("open");
        assert_eq!(ours.state(), State::Absent);
        theirs.set_state(State::Armed);
        theirs.cpus[1].stores.store(5, Relaxed);
        theirs.cpus[15].window_hits.set(70);
        theirs.cpus[15].window_hits.set(1 << 40);
        ours.start_storm(Vector::Debug, IN_WINDOWS, 7);
        assert_eq!(ours.state(), State::Armed);
        assert_eq!(ours.sum(|cpu| &cpu.stores), 5);
        assert_eq!(ours.cpus[15].window_hits.iter().collect::<Vec<_>>(), [70]);
        assert_eq!(theirs.vector(), Vector::Debug);
        std::fs::write(&dir, "short").expect("write");
        assert!(SharedFile::open(&dir).is_err());
        std::fs::remove_file(&dir).expect("remove");
    }
}
