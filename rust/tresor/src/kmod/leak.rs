// SPDX-License-Identifier: GPL-2.0

//! Leaks on request, for the tests: see asm/leaks.S for the interface and the channels.

use core::cell::UnsafeCell;
use kernel::{
    bindings,
    debugfs::{BinaryWriter, ScopedDir},
    fmt,
    fpu,
    fs::file,
    prelude::*,
    sync::atomic::{ordering, Atomic},
    time::{msecs_to_jiffies, Jiffies},
    uaccess::{UserSliceReader, UserSliceWriter}, //
};

use super::{
    cpu_has,
    hotplug,
    state::{self, Phase}, //
};

/// Milliseconds that a leak waits which is there for a moment only: time for a look from outside.
const MOMENT: u32 = 6000;

/// Declares the routines, and what calls each by its channel's name.
macro_rules! channels {
    ($($name:literal: $routine:ident,)*) => {
        extern "C" {
            $(fn $routine(page: *mut u8, ticks: Jiffies);)*
        }

        /// The channels' names.
        const NAMES: &[&str] = &[$($name),*];

        /// Leaks through a channel. Fails with `EINVAL` if there is none of this name.
        fn through(channel: &[u8], page: *mut u8) -> Result {
            $(
                if channel == $name.as_bytes() {
                    return fpu::section(|_fpu| {
                        // SAFETY: `page` is a page of this file's own, and vector registers may be
                        // used here.
                        unsafe { $routine(page, msecs_to_jiffies(MOMENT)) }
                    });
                }
            )*
            Err(EINVAL)
        }
    };
}

channels! {
    "spill": tresor_leak_spill,
    "push": tresor_leak_push,
    "xsave": tresor_leak_xsave,
    "rep-movsb": tresor_leak_rep_movsb,
    "schedule": tresor_leak_schedule,
    "interrupt-frame": tresor_leak_interrupt_frame,
    "unwiped": tresor_leak_unwiped,
    "branch": tresor_leak_branch,
    "table": tresor_leak_table,
}

/// Where leaks go that go to memory. Aligned as XSAVE wants it.
#[repr(C, align(4096))]
struct Page(UnsafeCell<[u8; 4096]>);

// SAFETY: The bytes are written by assembly and read as they are at some moment; nothing depends on
// what they are.
unsafe impl Sync for Page {}

static PAGE: Page = Page(UnsafeCell::new([0; 4096]));

impl Page {
    fn bytes(&self) -> *mut u8 {
        self.0.get().cast()
    }

    fn clear(&self) {
        for at in 0..size_of::<Self>() {
            // SAFETY: Within the page. Volatile, so that it is not left out.
            unsafe { self.bytes().add(at).write_volatile(0) };
        }
    }
}

impl BinaryWriter for Page {
    fn write_to_slice(
        &self,
        writer: &mut UserSliceWriter,
        offset: &mut file::Offset,
    ) -> Result<usize> {
        // SAFETY: The page lives as long as the kernel. A leak at the same time may tear what is
        // read, which is nothing but bytes.
        let bytes = unsafe { core::slice::from_raw_parts(self.bytes(), size_of::<Self>()) };
        writer.write_slice_file(bytes, offset)
    }
}

/// Adds the files `leak` and `leaked`.
pub(super) fn files(dir: &ScopedDir<'_, '_>) {
    pr_warn!("this kernel leaks its keys on request: for tests only\n");
    dir.read_write_callback_file(c"leak", &PAGE, &show, &leak);
    dir.read_binary_file(c"leaked", &PAGE);
}

fn show(_page: &Page, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for name in NAMES {
        write!(f, "{name} ")?;
    }
    writeln!(f)
}

/// Not zero if CPUs keep S when the kernel ends; read by asm/end.S.
#[no_mangle]
static tresor_keep_at_end: Atomic<u32> = Atomic::new(0);

/// What a write to `leak` does: its text is a channel, or `clear`, or `keep-offline`: from then on
/// a CPU that goes offline keeps S, or `keep-at-end`: all keep what they have when the kernel ends.
fn leak(page: &Page, reader: &mut UserSliceReader) -> Result {
    let mut text = [0; 32];
    let text = text.get_mut(..reader.len()).ok_or(EINVAL)?;
    reader.read_slice(text)?;
    match text.trim_ascii() {
        b"clear" => {
            page.clear();
            Ok(())
        }
        b"keep-offline" => {
            hotplug::keep_offline();
            Ok(())
        }
        b"keep-at-end" => {
            tresor_keep_at_end.store(1, ordering::Relaxed);
            Ok(())
        }
        _ if !cpu_has(bindings::X86_FEATURE_AES) => Err(ENODEV),
        _ if state::phase() != Phase::Unlocked => Err(ENODATA),
        channel => through(channel, page.bytes()),
    }
}
