// SPDX-License-Identifier: GPL-2.0

//! Character device nodes without a name.

use core::ptr;
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*,
    sync::atomic::{ordering, Atomic},
};

/// The file system that the nodes live in: mounted nowhere, and for good.
static FILES: Atomic<*mut bindings::vfsmount> = Atomic::new(ptr::null_mut());

/// A node for a character device.
///
/// # Invariants
///
/// `path` is valid: it has a mount that is never unmounted, and a reference to a dentry.
pub(super) struct Node {
    path: bindings::path,
}

impl Node {
    /// A node for the device with the number `dev`, as the kernel has it in `dev_t`.
    ///
    /// Context: process context, may sleep.
    pub(super) fn new(dev: bindings::dev_t) -> Result<Self> {
        let mnt = files()?;
        // SAFETY: The mount is valid, and so is its superblock. A null pointer, when there is no
        // memory, is allowed in d_obtain_alias(), which takes over the inode in any case.
        let dentry = unsafe {
            let inode = bindings::ramfs_get_inode(
                (*mnt).mnt_sb,
                ptr::null(),
                (bindings::S_IFCHR | 0o600) as bindings::umode_t,
                dev,
            );
            from_err_ptr(bindings::d_obtain_alias(inode))?
        };
        // INVARIANT: As obtained just now.
        Ok(Self {
            path: bindings::path { mnt, dentry },
        })
    }

    /// Opens the device. The file is the caller's.
    pub(super) fn open(&self, flags: c_int) -> Result<ptr::NonNull<bindings::file>> {
        // SAFETY: By the type invariant the path is valid; the file takes references of its own to
        // it, and to the credentials of this task.
        let file = unsafe {
            let cred = bindings::get_task_cred(current!().as_ptr());
            let file = from_err_ptr(bindings::dentry_open(&self.path, flags, cred));
            bindings::put_cred(cred);
            file?
        };
        ptr::NonNull::new(file).ok_or(ENODEV)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::dput(self.path.dentry) };
    }
}

/// The file system of the nodes.
fn files() -> Result<*mut bindings::vfsmount> {
    let mounted = FILES.load(ordering::Acquire);
    if !mounted.is_null() {
        return Ok(mounted);
    }
    // SAFETY: The name is a C string; the type is checked before it is used.
    let new = unsafe {
        let kind = bindings::get_fs_type(c"ramfs".as_char_ptr());
        if kind.is_null() {
            return Err(ENODEV);
        }
        from_err_ptr(bindings::kern_mount(kind))?
    };
    match FILES.cmpxchg(ptr::null_mut(), new, ordering::Full) {
        Ok(_) => Ok(new),
        Err(other) => {
            // SAFETY: Mounted just now, and nobody else knows it.
            unsafe { bindings::kern_unmount(new) };
            Ok(other)
        }
    }
}
