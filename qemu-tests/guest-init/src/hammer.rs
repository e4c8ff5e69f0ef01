// SPDX-License-Identifier: GPL-2.0

//! Calls of /dev/tresor: one as asked for, or many at random: unknown numbers, wrong sizes, broken structures, addresses that lead nowhere.

use std::ffi::c_void;
use std::fs::File;
use std::ptr;
use std::thread;

use anyhow::{anyhow, ensure, Context, Result};
use guest_init::protocol::HammerReport;
use rustix::io::Result as IoResult;
use rustix::ioctl::{ioctl, Ioctl, IoctlOutput, Opcode};
use rustix::mm::{mmap_anonymous, munmap, MapFlags, ProtFlags};
use tresor::uapi;

/// Bytes behind an address that leads somewhere: more than any call's number can ask for.
const BUFFER: usize = 1 << 14;
const PAGE: usize = 4096;

/// Makes `calls` calls from each of `threads` threads.
pub(crate) fn hammer(seed: u64, threads: u64, calls: u64) -> Result<HammerReport> {
    let threads: Vec<_> = (0..threads)
        .map(|number| thread::spawn(move || one_thread(seed.wrapping_add(number), calls)))
        .collect();
    let mut sum = HammerReport::default();
    for thread in threads {
        let report = thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        sum.done += report.done;
        sum.refused += report.refused;
        sum.locks += report.locks;
    }
    Ok(sum)
}

fn one_thread(seed: u64, calls: u64) -> Result<HammerReport> {
    let mut random = Random(seed | 1);
    let mut report = HammerReport::default();
    let mut device = open()?;
    let edge = edge_of_memory()?;
    let mut buffer = vec![0u8; BUFFER];
    for _ in 0..calls {
        if random.one_in(256) {
            device = open()?;
        }
        let number = match random.below(8) {
            0 => uapi::STATUS,
            1 => uapi::UNLOCK,
            2 => uapi::LOCK,
            3 => uapi::WRAP_FRESH,
            4 => uapi::WRAP_KEY,
            5 => uapi::VERIFY,
            // Nobody is the agent, so no call of it waits.
            6 => uapi::AGENT,
            // The driver's type, or not, and any direction, number and size.
            _ => random.next() as u32 & !0xff00 | if random.one_in(8) { 0 } else { 0xd500 },
        };
        fill(&mut random, &mut buffer, edge);
        let address = match random.below(8) {
            0 => ptr::null_mut(),
            1 => ptr::without_provenance_mut(random.next() as usize),
            // The structure ends in memory that is not there.
            2 => edge.wrapping_sub(random.below(256) as usize),
            _ => buffer.as_mut_ptr(),
        };
        // A kind of key that there is, or nearly.
        if [uapi::WRAP_FRESH, uapi::WRAP_KEY].contains(&number) && !random.one_in(4) {
            buffer[..8].copy_from_slice(&[1, 0, 0, 0, random.below(7) as u8, 0, 0, 0]);
        }
        // A call for S with an address of this buffer and a right length is a derivation, which takes time.
        if number == uapi::UNLOCK && !random.one_in(64) {
            buffer[28] = 0;
            buffer[29] |= 0x80;
        }
        match call(&device, number, address) {
            Ok(()) => {
                report.done += 1;
                report.locks += u64::from(number == uapi::LOCK);
            }
            Err(_) => report.refused += 1,
        }
    }
    Ok(report)
}

/// One call with this structure, which must be of the size that the number says. Returns the error's number, 0 for none, and the structure
/// after it.
pub(crate) fn one_call(number: u32, mut data: Vec<u8>) -> Result<(i32, Vec<u8>)> {
    let size = (number >> 16 & 0x3fff) as usize;
    ensure!(data.len() == size, "the call takes {size} bytes");
    let errno = match call(&open()?, number, data.as_mut_ptr()) {
        Ok(()) => 0,
        Err(error) => error.raw_os_error(),
    };
    Ok((errno, data))
}

fn open() -> Result<File> {
    File::options()
        .read(true)
        .write(true)
        .open(uapi::DEVICE)
        .context("opening the device")
}

/// Random bytes; often the version is right, and addresses and lengths are nearly so.
fn fill(random: &mut Random, buffer: &mut [u8], edge: *mut u8) {
    for chunk in buffer[..256].chunks_exact_mut(8) {
        chunk.copy_from_slice(&random.next().to_le_bytes());
    }
    if random.one_in(4) {
        return;
    }
    let near = [buffer.as_ptr(), edge.wrapping_sub(16).cast_const()];
    let mut addresses = near.map(|near| near as u64);
    if random.one_in(2) {
        addresses.reverse();
    }
    buffer[..4].copy_from_slice(&uapi::VERSION.to_le_bytes());
    buffer[4..8].fill(u8::from(random.one_in(8)));
    buffer[8..16].copy_from_slice(&addresses[0].to_le_bytes());
    buffer[16..24].copy_from_slice(&addresses[1].to_le_bytes());
    let slot_len = random.below(300) * random.below(2);
    buffer[24..28].copy_from_slice(&(slot_len as u32).to_le_bytes());
    buffer[28..32].copy_from_slice(&(random.below(600) as u32).to_le_bytes());
}

/// The first address behind a page that is there, where none is.
fn edge_of_memory() -> Result<*mut u8> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, of which the second page is given back at once; the first one stays.
    unsafe {
        let start: *mut u8 =
            mmap_anonymous(ptr::null_mut(), 2 * PAGE, protection, MapFlags::PRIVATE)?.cast();
        let edge = start.wrapping_add(PAGE);
        munmap(edge.cast(), PAGE)?;
        Ok(edge)
    }
}

fn call(device: &File, number: u32, address: *mut u8) -> IoResult<()> {
    // SAFETY: the kernel must refuse any address that is not this program's. What it may write to is the buffer, or a
    // page that nobody else uses; an address at random is nobody's memory but with a chance of nothing.
    unsafe { ioctl(device, Call { number, address }) }
}

/// Any call with any argument.
struct Call {
    number: u32,
    address: *mut u8,
}

// SAFETY: the number and the address are handed on as they are, and nothing is made of the answer.
unsafe impl Ioctl for Call {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.number
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.address.cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> IoResult<()> {
        Ok(())
    }
}

/// Xorshift64: enough to be different each time and the same again by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}
