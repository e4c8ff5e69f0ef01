// SPDX-License-Identifier: GPL-2.0

//! How often the entry guard found a window interrupted, by exception: files in debugfs.

use kernel::{
    debugfs::ScopedDir,
    sync::atomic::{ordering, Atomic}, //
};

/// `TRESOR_WINDOW_VECTORS` of `asm/tresor-window.inc`: the exceptions of the architecture.
const VECTORS: usize = 32;

/// One counter for each exception vector.
///
/// Only the guard in the kernel's entries writes it: `asm/tresor-window.inc`.
#[allow(non_upper_case_globals)]
#[no_mangle]
static tresor_window_hits: [Atomic<u64>; VECTORS] = [const { Atomic::new(0) }; VECTORS];

/// Adds the directory `window_hits` with a file for each exception that can interrupt a window.
pub(super) fn files(parent: &ScopedDir<'_, '_>) {
    let dir = parent.dir(c"window_hits");
    // Vector numbers are of the architecture: Intel SDM Vol. 3, table 7-1; AMD APM Vol. 2, 8.2.
    for (name, vector) in [
        (c"debug", 1),
        (c"nmi", 2),
        (c"double_fault", 8),
        (c"machine_check", 18),
        (c"vmm_communication", 29),
    ] {
        if let Some(hits) = tresor_window_hits.get(vector) {
            dir.read_callback_file(name, hits, &|hits: &Atomic<u64>, f| {
                writeln!(f, "{}", hits.load(ordering::Relaxed))
            });
        }
    }
}
