// SPDX-License-Identifier: GPL-2.0

//! The terminals of all consoles (serial lines and the virtual terminal), for a prompt before there
//! is a user space.
//!
//! Every console that has a terminal is opened through a device node of our own in the root file
//! system, which is removed at once. The terminals are set so that the line editor of n_tty
//! collects a line without echo: it then erases its buffer when the line is read (zero_buffer() in
//! drivers/tty/n_tty.c), and the tty core erases the others.

use core::ptr;
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt,
    prelude::*,
};

use crate::line::CTRL_C;

/// The node through which a terminal is opened.
const NODE: &CStr = c"/dev/tresor-console";
/// Where it is.
const NODE_DIR: &CStr = c"/dev";

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
    ///
    /// Lives in init text, as the functions it calls.
    #[link_section = ".init.text"]
    #[inline(never)]
    fn open(dev: u32) -> Result<Self> {
        let path = NODE.as_char_ptr();
        let flags = (bindings::O_RDWR | bindings::O_NONBLOCK | bindings::O_NOCTTY) as i32;
        // SAFETY: The paths are C strings. The task is the one that later becomes init, before it
        // does.
        let file = unsafe {
            // The directory is there already in most root file systems; if it cannot be made, the
            // next step fails.
            bindings::init_mkdir(NODE_DIR.as_char_ptr(), 0o755);
            to_result(bindings::init_mknod(
                path,
                (bindings::S_IFCHR | 0o600) as bindings::umode_t,
                dev,
            ))?;
            let file = from_err_ptr(bindings::filp_open(path, flags, 0));
            bindings::init_unlink(path);
            file?
        };
        let file = ptr::NonNull::new(file).ok_or(ENODEV)?;
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
    /// Context: the task that becomes init, after the initramfs was unpacked.
    #[link_section = ".init.text"]
    #[inline(never)]
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

/// The device numbers, for mknod(), of all registered consoles that have a terminal.
fn devices() -> Result<KVec<u32>> {
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

/// A device number as mknod() takes it: see new_encode_dev() in include/linux/kdev_t.h.
fn device_number(major: i32, minor: i32) -> u32 {
    let (major, minor) = (major as u32, minor as u32);
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}
