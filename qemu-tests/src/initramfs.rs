// SPDX-License-Identifier: GPL-2.0

//! Packs the root file system of a test machine: our PID 1, our tresorctl, and the host's own, unchanged cryptsetup, dmsetup, e2fsprogs and busybox.

use std::collections::BTreeSet;
use std::env;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use fs_err as fs;

/// Programs taken from the host.
const PROGRAMS: &[&str] = &["cryptsetup", "dmsetup", "mkfs.ext4", "e2fsck", "busybox"];
/// Where the host keeps them; PATH of a user often lacks the sbin directories.
const PROGRAM_DIRS: &[&str] = &["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin"];
/// Loaded by pthread_cancel and the like, not named in any ELF header.
const EXTRA_LIBRARIES: &[&str] = &["/lib/x86_64-linux-gnu/libgcc_s.so.1"];
/// Defaults of mkfs.ext4.
const CONFIGURATION: &[&str] = &["/etc/mke2fs.conf"];
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the initramfs in `work_dir` and returns its path. Compiles [`guest_init`]'s program first.
pub fn build(work_dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(work_dir)?;
    let root = tempfile::Builder::new()
        .prefix("initramfs-")
        .tempdir_in(work_dir)?;
    let init = compile(work_dir, "guest-init/Cargo.toml", "guest-init")?;
    install(&init, root.path(), Path::new("/init"))?;
    let tool = compile(work_dir, "../rust/tresorctl/Cargo.toml", "tresorctl")?;
    install(&tool, root.path(), Path::new("/usr/bin/tresorctl"))?;
    for name in PROGRAMS {
        let program = find_program(name)?;
        for library in shared_libraries(&program)? {
            install(&library, root.path(), &library)?;
        }
        install(&program, root.path(), &Path::new("/usr/bin").join(name))?;
    }
    for file in EXTRA_LIBRARIES.iter().chain(CONFIGURATION).map(Path::new) {
        if file.exists() {
            install(file, root.path(), file)?;
        }
    }
    for dir in ["dev", "proc", "sys", "run", "tmp", "mnt", "etc"] {
        fs::create_dir_all(root.path().join(dir))?;
    }
    let archive = work_dir.join("initramfs.gz");
    pack(root.path(), &archive)?;
    Ok(archive)
}

/// Compiles a program of this repository as a static one. Its own target directory: flags and lock must not disturb the build that is running.
fn compile(work_dir: &Path, manifest: &str, name: &str) -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest);
    let target_dir = work_dir.join("guest-init");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .context("starting cargo")?;
    ensure!(
        output.status.success(),
        "compiling {name} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(target_dir.join(TARGET).join("release").join(name))
}

/// Path of a program that the host must have.
pub(crate) fn find_program(name: &str) -> Result<PathBuf> {
    PROGRAM_DIRS
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
        .with_context(|| format!("{name} is not installed: `cargo xtask setup` installs it"))
}

/// Paths of all shared libraries, the program interpreter too, by ldd.
fn shared_libraries(program: &Path) -> Result<BTreeSet<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("starting ldd")?;
    // ldd fails for a static program, which is what Debian's busybox-static is.
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        !text.contains("not found"),
        "a library of {} is missing:\n{text}",
        program.display()
    );
    Ok(parse_ldd(&text))
}

pub(crate) fn parse_ldd(text: &str) -> BTreeSet<PathBuf> {
    text.lines()
        .filter_map(|line| {
            let path = line.split("=>").last()?.split_whitespace().next()?;
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect()
}

/// Copies `from` to `to` inside `root`, executable.
pub(crate) fn install(from: &Path, root: &Path, to: &Path) -> Result<()> {
    let to = root.join(to.strip_prefix("/").unwrap_or(to));
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, &to)?;
    fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// `cpio` and `gzip` of everything below `root`.
pub(crate) fn pack(root: &Path, archive: &Path) -> Result<()> {
    let mut names = String::new();
    list(root, root, &mut names)?;
    let unfinished = archive.with_extension("new");
    let mut cpio = Command::new("cpio")
        .args(["--create", "--format=newc", "--quiet", "--owner=0:0"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting cpio: `cargo xtask setup` installs it")?;
    let to_gzip = cpio.stdout.take().context("cpio's output")?;
    let mut gzip = Command::new("gzip")
        .arg("-1")
        .stdin(to_gzip)
        .stdout(fs::File::create(&unfinished)?.into_parts().0)
        .spawn()
        .context("starting gzip")?;
    let mut input = cpio.stdin.take().context("cpio's input")?;
    input.write_all(names.as_bytes())?;
    drop(input);
    ensure!(
        cpio.wait()?.success() && gzip.wait()?.success(),
        "packing {} failed: is the disk full?",
        archive.display()
    );
    Ok(fs::rename(unfinished, archive)?)
}

fn list(root: &Path, dir: &Path, names: &mut String) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        names.push_str(&path.strip_prefix(root)?.to_string_lossy());
        names.push('\n');
        if path.is_dir() {
            list(root, &path, names)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_output_gives_libraries_and_interpreter() {
        let text = "\tlinux-vdso.so.1 (0x00007ffe)\n\
                    \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<_> = parse_ldd(text).into_iter().collect();
        assert_eq!(
            found,
            [
                Path::new("/lib/x86_64-linux-gnu/libm.so.6"),
                Path::new("/lib64/ld-linux-x86-64.so.2")
            ]
        );
        assert!(parse_ldd("\tnot a dynamic executable\n").is_empty());
    }
}
