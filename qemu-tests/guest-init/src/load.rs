// SPDX-License-Identifier: GPL-2.0

//! Verified work in the background: each thread writes its part of a block device, reads it back and compares, until it is stopped;
//! or runs a virtual machine that does so with its debug registers.
//!
//! O_DIRECT, so that every byte passes through the cipher in both directions.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use anyhow::{ensure, Context, Result};
use guest_init::pattern;
use guest_init::protocol::LoadReport;
use rustix::fs::OFlags;
use rustix::thread::{sched_setaffinity, CpuSet};

use crate::kvm;

/// Bytes per read or write: several requests of dm-crypt at any sector size.
const BLOCK: usize = 64 << 10;
/// Alignment that O_DIRECT needs on any device here.
const ALIGN: usize = 4096;

#[derive(Default)]
pub(crate) struct Load {
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    verified: AtomicU64,
    guest_rounds: AtomicU64,
    nested_rounds: AtomicU64,
    errors: AtomicU64,
    first_error: Mutex<Option<String>>,
}

impl Shared {
    fn error(&self, message: impl FnOnce() -> String) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut first) = self.first_error.lock() {
            first.get_or_insert_with(message);
        }
    }
}

impl Load {
    pub(crate) fn start(
        &mut self,
        path: &str,
        cpu: Option<usize>,
        start: u64,
        len: u64,
    ) -> Result<()> {
        ensure!(
            start % ALIGN as u64 == 0 && len > 0 && len % BLOCK as u64 == 0,
            "a load's part must be aligned: start {start}, length {len}"
        );
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(OFlags::DIRECT.bits() as i32)
            .open(path)
            .with_context(|| format!("opening {path} with O_DIRECT"))?;
        let shared = Arc::clone(&self.shared);
        let thread = Builder::new().name("load".into()).spawn(move || {
            if let Err(error) = bind(cpu) {
                shared.error(|| format!("binding to CPU {cpu:?}: {error}"));
                return;
            }
            let mut buf = Aligned::new();
            for round in 0.. {
                if !verify_part(&file, &shared, &mut buf, round, start, len) {
                    break;
                }
            }
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Runs a virtual machine, bound to a CPU. Fails if there is no KVM.
    pub(crate) fn start_guest(&mut self, cpu: usize, nested: bool) -> Result<()> {
        let mut round: Box<dyn FnMut(u64) -> Result<()> + Send> = if nested {
            let mut guest = kvm::nested::Nested::new()?;
            Box::new(move |number| guest.round(number))
        } else {
            let mut guest = kvm::Guest::new()?;
            Box::new(move |number| guest.round(number))
        };
        let shared = Arc::clone(&self.shared);
        let thread = Builder::new().name("guest".into()).spawn(move || {
            if let Err(error) = bind(Some(cpu)) {
                shared.error(|| format!("binding to CPU {cpu}: {error}"));
                return;
            }
            let rounds = if nested {
                &shared.nested_rounds
            } else {
                &shared.guest_rounds
            };
            for number in 0.. {
                match round(number) {
                    Ok(()) => drop(rounds.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => {
                        shared.error(|| format!("virtual machine on CPU {cpu}: {error:#}"));
                        return;
                    }
                }
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        })?;
        self.threads.push(thread);
        Ok(())
    }

    pub(crate) fn status(&self) -> LoadReport {
        LoadReport {
            threads: self.threads.iter().filter(|t| !t.is_finished()).count(),
            verified: self.shared.verified.load(Ordering::Relaxed),
            guest_rounds: self.shared.guest_rounds.load(Ordering::Relaxed),
            nested_rounds: self.shared.nested_rounds.load(Ordering::Relaxed),
            errors: self.shared.errors.load(Ordering::Relaxed),
            first_error: self
                .shared
                .first_error
                .lock()
                .ok()
                .and_then(|first| first.clone()),
        }
    }

    pub(crate) fn stop(&mut self) -> LoadReport {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.shared.error(|| "a load thread panicked".into());
            }
        }
        let report = self.status();
        self.shared = Arc::default();
        report
    }
}

fn bind(cpu: Option<usize>) -> rustix::io::Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set)
}

/// One round: writes the whole part, then reads and compares it. False: time to stop.
fn verify_part(
    file: &File,
    shared: &Shared,
    buf: &mut Aligned,
    round: u64,
    start: u64,
    len: u64,
) -> bool {
    let blocks = || (start..start + len).step_by(BLOCK);
    for offset in blocks() {
        pattern::fill(round, offset, buf.bytes());
        if let Err(error) = file.write_all_at(buf.bytes(), offset) {
            shared.error(|| format!("writing at byte {offset}: {error}"));
        }
        if shared.stop.load(Ordering::Relaxed) {
            return false;
        }
    }
    for offset in blocks() {
        match read_back(file, buf, round, offset) {
            Ok(None) => drop(shared.verified.fetch_add(BLOCK as u64, Ordering::Relaxed)),
            Ok(Some(at)) => shared.error(|| format!("byte {at} came back different")),
            Err(error) => shared.error(|| format!("reading at byte {offset}: {error}")),
        }
        if shared.stop.load(Ordering::Relaxed) {
            return false;
        }
    }
    true
}

fn read_back(file: &File, buf: &mut Aligned, round: u64, offset: u64) -> io::Result<Option<u64>> {
    buf.bytes().fill(0);
    file.read_exact_at(buf.bytes(), offset)?;
    Ok(pattern::first_difference(round, offset, buf.bytes()))
}

/// A block-sized buffer at an address that O_DIRECT accepts.
struct Aligned {
    memory: Vec<u8>,
    skip: usize,
}

impl Aligned {
    fn new() -> Self {
        let memory = vec![0; BLOCK + ALIGN];
        let skip = memory.as_ptr().align_offset(ALIGN);
        Self { memory, skip }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.skip..self.skip + BLOCK]
    }
}
