// SPDX-License-Identifier: GPL-2.0

//! cryptsetup's own tests, of the source that Debian's package was made from, on a disk with that package and all that they run.
//!
//! The disk is a small Debian system without an init program: the packages unpacked, nothing installed. A machine mounts it and
//! changes its root to it, so that the tests find everything where they would on any machine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use fs_err as fs;

use crate::host::run;
use crate::initramfs::find_program;
use crate::unpacked::Programs;

/// Where the disk has the tests.
pub const TESTS: &str = "/tests";
/// Bytes of the file system: the packages take 120 MB, the images that the tests make up to 1 GB, which are mostly holes.
const SIZE: &str = "2G";
/// What the tests need none of.
const LEFT_OUT: &[&str] = &[
    "usr/include",
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/zoneinfo",
];
/// What Debian's installation scripts would make.
const LINKS: &[(&str, &str)] = &[("bash", "usr/bin/sh"), ("gawk", "usr/bin/awk")];

/// The kernel under test has no modules. It has what is asked for if device mapper lists it.
const MODPROBE: &str = "#!/bin/sh\ndmsetup targets | grep -q \"^${1#dm-} \"\n";

/// The tests give it areas of a header, where zeros follow the JSON text; Debian's jq with its security fixes refuses those.
const JQ: &str = "#!/bin/bash\n\
    [ -f \"${!#}\" ] || exec /usr/bin/jq.debian \"$@\"\n\
    tr -d '\\0' < \"${!#}\" | /usr/bin/jq.debian \"${@:1:$#-1}\"\n";

/// Compiles the tests that are in C, with the packages' own headers and libraries, and makes the image of the disk in `dir`.
///
/// `source` is cryptsetup's.
pub fn make_image(programs: &Programs, source: &Path, dir: &Path) -> Result<PathBuf> {
    let tests = source.join("tests");
    run(Command::new("make")
        .args(["-f", "Makefile.localtest", "check-programs"])
        .arg(compiler(programs))
        .current_dir(&tests))?;
    let root = tempfile::Builder::new()
        .prefix("cryptsetup-suite-")
        .tempdir_in(dir)?;
    let root = root.path();
    copy(programs.root(), root)?;
    for unwanted in LEFT_OUT {
        let path = root.join(unwanted);
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
    }
    for (to, link) in LINKS {
        let link = root.join(link);
        if !link.exists() {
            fs::os::unix::fs::symlink(to, link)?;
        }
    }
    let place = root.join(TESTS.trim_start_matches('/'));
    fs::create_dir_all(&place)?;
    copy(&tests, &place)?;
    write_program(&root.join("usr/sbin/modprobe"), MODPROBE)?;
    fs::rename(root.join("usr/bin/jq"), root.join("usr/bin/jq.debian"))?;
    write_program(&root.join("usr/bin/jq"), JQ)?;
    let image = dir.join("cryptsetup-suite.img");
    let unfinished = dir.join("cryptsetup-suite.new");
    if unfinished.exists() {
        fs::remove_file(&unfinished)?;
    }
    run(Command::new(find_program("mkfs.ext4")?)
        .args(["-q", "-E", "root_owner=0:0", "-d"])
        .args([root, &unfinished])
        .arg(SIZE))?;
    fs::rename(unfinished, &image)?;
    Ok(image)
}

fn write_program(path: &Path, script: &str) -> Result<()> {
    fs::write(path, script)?;
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// make's variable: the host's compiler with the packages' headers and libraries in place of the host's.
fn compiler(programs: &Programs) -> String {
    let libraries = programs.libraries();
    format!(
        "CC=gcc --sysroot={} -B{libraries} -L{libraries}",
        programs.root().display(),
        libraries = libraries.display()
    )
}

/// What is in a directory, into another one. Holes stay holes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(from.join("."))
        .arg(to))
}

/// A copy of the disk's image for one machine to write to.
pub fn copy_image(image: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp")
        .args(["--sparse=always", "--reflink=auto"])
        .args([image, to]))
}
