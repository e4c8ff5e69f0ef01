// SPDX-License-Identifier: GPL-2.0

//! Programs of another Debian release for a guest, with their own libraries: in an archive of their own, which Linux unpacks over the root
//! file system.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use fs_err as fs;

use crate::initramfs::{install, pack, parse_ldd};
use crate::unpacked::Programs;

/// What starts an added program in the guest: its own loader with its own libraries.
pub(crate) fn argv(name: &str) -> [String; 4] {
    [
        format!("/opt/{name}/ld.so"),
        "--library-path".into(),
        format!("/opt/{name}/lib"),
        format!("/opt/{name}/{name}"),
    ]
}

/// Installs a program, and its libraries, for [`argv`] below `root`.
pub(crate) fn add(programs: &Programs, name: &str, root: &Path) -> Result<()> {
    let [loader, _, libraries, program] = argv(name);
    install(&programs.program(name), root, Path::new(&program))?;
    install(&programs.loader(), root, Path::new(&loader))?;
    let output = programs
        .run_by_loader(&["--list"], name)
        .output()
        .with_context(|| format!("asking the loader for the libraries of {name}"))?;
    let found = String::from_utf8_lossy(&output.stdout);
    ensure!(
        !found.contains("not found"),
        "a library of {name} is missing:\n{found}"
    );
    for library in parse_ldd(&found) {
        let file = library.file_name().context("a library without a name")?;
        install(&library, root, &Path::new(&libraries).join(file))?;
    }
    Ok(())
}

/// Has everybody in the guest start an added program by its name.
pub(crate) fn put_in_path(name: &str, root: &Path) -> Result<()> {
    let place = root.join("usr/bin").join(name);
    fs::create_dir_all(root.join("usr/bin"))?;
    let script = format!(
        "#!/usr/bin/busybox sh\nexec {} \"$@\"\n",
        argv(name).join(" ")
    );
    fs::write(&place, script)?;
    Ok(fs::set_permissions(
        &place,
        std::fs::Permissions::from_mode(0o755),
    )?)
}

/// Makes the root file system `to`: `initramfs` with everything below `root` over it.
pub(crate) fn append(initramfs: &Path, root: &Path, to: &Path) -> Result<PathBuf> {
    let more = to.with_extension("more.gz");
    pack(root, &more)?;
    let mut out = fs::File::create(to)?;
    for archive in [initramfs, &more] {
        io::copy(&mut fs::File::open(archive)?, &mut out)?;
    }
    fs::remove_file(more)?;
    Ok(to.into())
}
