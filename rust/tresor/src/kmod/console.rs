// SPDX-License-Identifier: GPL-2.0

//! The terminals of all consoles (serial lines and the virtual terminal), for a prompt while there
//! is no user space, or none that runs.
//!
//! Every console that has a terminal is opened through a device node that has no name: an inode of
//! its own in a file system that is mounted nowhere. So it does not matter which directories there
//! are, nor who has changed them. The terminals are set so that the line editor of n_tty collects a
//! line without echo: it then erases its buffer when the line is read (zero_buffer() in
//! drivers/tty/n_tty.c), and the tty core erases the others.

use core::ptr;
use kernel::{
    bindings,
    fmt,
    prelude::*, //
};

use self::node::Node;
use crate::line::CTRL_C;

mod node;

/// One open terminal, set for a pass phrase.
///
/// # Invariants
///
/// `file` is an open terminal that this object owns, and `saved` its settings from before.
struct Terminal {
    file: ptr::NonNull<bindings::file>,
    saved: bindings::ktermios,
}

// SAFETY: An open file may be used and closed from any task.
unsafe impl Send for Terminal {}

impl Terminal {
    /// Opens the terminal with the device number `dev`.
    fn open(dev: bindings::dev_t) -> Result<Self> {
        let flags = (bindings::O_RDWR | bindings::O_NONBLOCK | bindings::O_NOCTTY) as c_int;
        let file = Node::new(dev)?.open(flags)?;
        // SAFETY: `file` is an open terminal: its private data is a tty_file_private with a tty
        // that lives as long as the file.
        let saved = unsafe { (*Self::tty(file)).termios };
        // INVARIANT: `file` was opened just now and nobody else has it; `saved` is what it was set
        // to.
        let terminal = Self { file, saved };
        terminal.set(&Self::for_pass_phrase(saved));
        Ok(terminal)
    }

    /// The tty behind an open terminal.
    fn tty(file: ptr::NonNull<bindings::file>) -> *mut bindings::tty_struct {
        // SAFETY: The callers pass open terminals, whose private data is a tty_file_private.
        unsafe {
            (*(*file.as_ptr())
                .private_data
                .cast::<bindings::tty_file_private>())
            .tty
        }
    }

    fn set(&self, termios: &bindings::ktermios) {
        let mut termios = *termios;
        // SAFETY: By the type invariant the terminal is open; the settings are copied.
        unsafe { bindings::tty_set_termios(Self::tty(self.file), &mut termios) };
    }

    /// Settings under which a line is collected unseen: no echo, no signals, DEL erases, Ctrl-U
    /// starts afresh, Ctrl-C ends the line.
    fn for_pass_phrase(mut termios: bindings::ktermios) -> bindings::ktermios {
        const NONE: u8 = 0;
        termios.c_iflag = bindings::ICRNL | bindings::IUTF8;
        termios.c_lflag = bindings::ICANON;
        let set = [
            (bindings::VERASE, 0x7f),
            (bindings::VKILL, 0x15),
            (bindings::VEOL, CTRL_C),
            (bindings::VEOL2, NONE),
            (bindings::VEOF, NONE),
        ];
        for (index, byte) in set {
            if let Some(place) = termios.c_cc.get_mut(index as usize) {
                *place = byte;
            }
        }
        termios
    }

    fn write(&self, text: &[u8]) {
        // SAFETY: By the type invariant the file is open; `text` is valid for reads of its length.
        // A terminal has no position. What does not fit into its buffer is lost, as with any
        // console.
        unsafe {
            bindings::kernel_write(
                self.file.as_ptr(),
                text.as_ptr().cast(),
                text.len(),
                ptr::null_mut(),
            )
        };
    }

    /// The next whole line, if there is one: its length in `buffer`.
    fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        // SAFETY: By the type invariant the file is open; `buffer` is valid for writes of its
        // length. The file is non-blocking.
        let read = unsafe {
            bindings::kernel_read(
                self.file.as_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                ptr::null_mut(),
            )
        };
        usize::try_from(read).ok().filter(|&len| len > 0)
    }
}

impl Terminal {
    /// Ends the line that is being typed, so that it can be read, and by that erased.
    fn end_line(&self) {
        let tty = Self::tty(self.file);
        // SAFETY: By the type invariant the terminal is open. A byte is put in as TIOCSTI does:
        // with a reference to the line discipline, and with the driver's input held back.
        unsafe {
            let discipline = bindings::tty_ldisc_ref_wait(tty);
            if discipline.is_null() {
                return;
            }
            bindings::tty_buffer_lock_exclusive((*tty).port);
            if let Some(receive) = (*(*discipline).ops).receive_buf {
                receive(tty, &CTRL_C, ptr::null(), 1);
            }
            bindings::tty_buffer_unlock_exclusive((*tty).port);
            bindings::tty_ldisc_deref(discipline);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.set(&self.saved);
        // SAFETY: By the type invariant the file is ours, and it is not used after this.
        unsafe { bindings::filp_close(self.file.as_ptr(), ptr::null_mut()) };
    }
}

/// The terminals of all consoles.
pub(crate) struct Consoles {
    terminals: KVec<Terminal>,
}

impl Consoles {
    /// Opens them. Fails with `ENODEV` if there is none.
    ///
    /// Context: process context, may sleep. Whoever else reads from the terminals must not run.
    pub(crate) fn open() -> Result<Self> {
        let mut terminals = KVec::new();
        for dev in devices()? {
            match Terminal::open(dev) {
                Ok(terminal) => terminals.push(terminal, GFP_KERNEL)?,
                Err(error) => pr_warn!("console {:#x}: {:?}\n", dev, error),
            }
        }
        if terminals.is_empty() {
            return Err(ENODEV);
        }
        Ok(Self { terminals })
    }

    /// Writes to all of them.
    pub(crate) fn write(&self, text: &[u8]) {
        for terminal in &self.terminals {
            terminal.write(text);
        }
    }

    /// The next line that was typed on any of them, with its end, copied to `buffer`; its length.
    /// Does not wait.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        self.terminals
            .iter()
            .find_map(|terminal| terminal.read(buffer))
    }

    /// Takes away what was typed on any of them and not read, with `buffer` to read it into.
    pub(crate) fn discard(&self, buffer: &mut [u8]) {
        for terminal in &self.terminals {
            terminal.end_line();
            while terminal.read(buffer).is_some() {}
        }
        buffer.fill(0);
    }
}

impl fmt::Write for &Consoles {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

/// The device numbers of all registered consoles that have a terminal.
fn devices() -> Result<KVec<bindings::dev_t>> {
    let mut devices = KVec::with_capacity(8, GFP_KERNEL)?;
    // SAFETY: Between lock and unlock no console comes or goes, so the list can be walked and the
    // consoles' callbacks called, as show_console_dev() does for /proc/consoles. The console lock
    // is what device() asks for.
    unsafe {
        bindings::console_list_lock();
        bindings::console_lock();
        let mut node = bindings::console_list.first;
        while !node.is_null() {
            let console = kernel::container_of!(node, bindings::console, node);
            let mut index = 0;
            if let Some(device) = (*console).device {
                let driver = device(console, &mut index);
                if !driver.is_null() {
                    // Of the virtual terminals, which begin at tty1, the one on the screen: after a
                    // sleep that is not the one on which the boot was.
                    #[cfg(CONFIG_VT)]
                    if (*driver).major as u32 == bindings::TTY_MAJOR && (*driver).minor_start == 1 {
                        index = bindings::fg_console;
                    }
                    let dev =
                        device_number((*driver).major, (*driver).minor_start.wrapping_add(index));
                    // No room left: more consoles than anybody types on.
                    let _ = devices.push_within_capacity(dev);
                }
            }
            node = (*node).next;
        }
        bindings::console_unlock();
        bindings::console_list_unlock();
    }
    Ok(devices)
}

/// A device number as the kernel has it: MKDEV() in include/linux/kdev_t.h.
fn device_number(major: c_int, minor: c_int) -> bindings::dev_t {
    const MINOR_BITS: u32 = 20;
    ((major as bindings::dev_t) << MINOR_BITS) | minor as bindings::dev_t
}
