// SPDX-License-Identifier: GPL-2.0
//! Small Debian systems in directories: a new one, and one on which our packages are installed as the admin guide says.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use qemu_tests::debian::{
    Debian, DRACUT_IMAGE, KEY_FILE, PASS_PHRASE, ROOT_PASSWORD, SLOT_FILE, STRETCHED_PASS_PHRASE,
    UUID, VOLUME,
};

use crate::apt::Apt;
use crate::deb;
use crate::fetch;
use crate::paths::Workspace;
use crate::process;
use crate::progress::Progress;

/// What it has beside the packages without which Debian is none.
const INCLUDED: &str = "initramfs-tools,cryptsetup-initramfs,dracut-core,plymouth,systemd-sysv";
/// PBKDF2 iterations of its slots: a machine under TCG takes about a second for them. Far too few for a real one.
const ITERATIONS: &str = "2000";
/// Bytes that the root file system has beside its files, at least.
const ROOM: u64 = 96 << 20;

/// A small Debian system of the machine's own release, made once.
pub(crate) fn base(workspace: &Workspace) -> Result<PathBuf> {
    let dir = workspace.target.join("deb/debian-plymouth");
    if !dir.exists() {
        eprintln!(
            "making a small Debian system in {} (once, about a minute, 260 MB) ...",
            workspace.show(&dir)
        );
        let apt = Apt::for_install(workspace)?;
        apt.update()?;
        let partial = fetch::beside(&dir, "partial");
        fetch::remove_dir(&partial)?;
        process::output(
            Command::new("mmdebstrap")
                .args(["--variant=minbase", &format!("--include={INCLUDED}")])
                .arg(&apt.codename)
                .arg(&partial)
                .arg(apt.source_list()),
        )?;
        fs_err::rename(&partial, &dir)?;
    }
    Ok(dir)
}

/// Runs a program in a system.
pub(crate) fn inside(system: &Path, command: &[&str]) -> Result<String> {
    process::output(&mut chroot(system, command))
}

fn chroot(system: &Path, command: &[&str]) -> Command {
    let mut chroot = Command::new("chroot");
    chroot
        .arg(system)
        .args(command)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C");
    chroot
}

/// Runs a program in a system that reads `text`.
fn inside_with_input(system: &Path, command: &[&str], text: &str) -> Result<()> {
    let mut child = process::die_with_parent(&mut chroot(system, command))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?} in {}", system.display()))?;
    let mut input = child.stdin.take().context("a program without input")?;
    input.write_all(text.as_bytes())?;
    drop(input);
    let out = child.wait_with_output()?;
    ensure!(
        out.status.success(),
        "{command:?} failed ({}):\n{}",
        out.status,
        process::tail(&process::both(&out))
    );
    Ok(())
}

/// Makes a system in `dir` on which the packages are installed and whose root is to be encrypted, and an image of its root file system.
pub(crate) fn with_packages(
    workspace: &Workspace,
    dir: &Path,
    tools: &Path,
    kernel: &Path,
) -> Result<Debian> {
    let base = base(workspace)?;
    let progress = Progress::new("installing the packages on a Debian system", None);
    let tree = dir.join("tree");
    fetch::remove_dir(&tree)?;
    fs_err::create_dir_all(dir)?;
    process::output(Command::new("cp").args(["-a"]).args([&base, &tree]))?;
    leave_test_behind(&tree)?;
    configure(&tree)?;
    install(&tree, tools)?;
    make_slots(&tree)?;
    // Last: its initramfs gets all that stands in /etc now.
    install(&tree, kernel)?;
    make_dracut_image(&tree)?;
    let image = dir.join("root.ext4");
    make_image(&tree, &image)?;
    progress.finish();
    Debian::new(&tree, &image)
}

/// The other test may have left our tools and a kernel that is none.
fn leave_test_behind(tree: &Path) -> Result<()> {
    inside(tree, &["dpkg", "--purge", deb::NAME])?;
    let rest = "rm -rf /package.deb /image /unpacked /boot/* /lib/modules/*";
    inside(tree, &["sh", "-c", rest]).map(drop)
}

/// What the admin guide has a person write, and what the installer of Debian asks for.
fn configure(tree: &Path) -> Result<()> {
    let write = |path: &str, text: &str| -> Result<()> {
        Ok(fs_err::write(
            tree.join(path.trim_start_matches('/')),
            text,
        )?)
    };
    fs_err::create_dir_all(tree.join("etc/tresor"))?;
    write("/etc/hostname", "debian\n")?;
    write(
        "/etc/fstab",
        &format!("/dev/mapper/{VOLUME} / ext4 errors=remount-ro 0 1\n"),
    )?;
    // `initramfs`, because the root file system here and now is another one.
    write(
        "/etc/crypttab",
        &format!("{VOLUME} UUID={UUID} {KEY_FILE} luks,initramfs\n"),
    )?;
    let hook = tree.join("etc/cryptsetup-initramfs/conf-hook");
    let mut text = fs_err::read_to_string(&hook)?;
    text.push_str("KEYFILE_PATTERN=/etc/tresor/*.key\n");
    fs_err::write(hook, text)?;
    let key = format!("umask 077 && dd if=/dev/urandom of={KEY_FILE} bs=32 count=1");
    inside(tree, &["sh", "-c", &key])?;
    inside(tree, &["systemd-machine-id-setup"])?;
    // It looks for what LVM does not have here, for a minute in an emulated machine.
    inside(tree, &["systemctl", "mask", "e2scrub_reap.service"])?;
    inside_with_input(tree, &["chpasswd"], &format!("root:{ROOT_PASSWORD}\n"))
}

fn install(tree: &Path, package: &Path) -> Result<()> {
    fs_err::copy(package, tree.join("package.deb"))?;
    inside(tree, &["dpkg", "-i", "/package.deb"])?;
    Ok(fs_err::remove_file(tree.join("package.deb"))?)
}

/// With what the guide tells to put in it. For any machine, because this one is not the one that it is for.
fn make_dracut_image(tree: &Path) -> Result<()> {
    let release = fs_err::read_dir(tree.join("lib/modules"))?
        .next()
        .context("a kernel without a directory for its modules")??;
    let release = release.file_name();
    let release = release.to_string_lossy();
    let files = format!("/etc/crypttab {KEY_FILE}");
    let options = ["--no-hostonly", "--kver", &release, "--install", &files];
    inside(tree, &[&["dracut"][..], &options, &[DRACUT_IMAGE]].concat()).map(drop)
}

/// By the tresorctl of the package: a slot that the kernel can ask for, and one with Argon2id.
fn make_slots(tree: &Path) -> Result<()> {
    let file = ["--slot-file", SLOT_FILE, "--iterations", ITERATIONS];
    let new = ["tresorctl", "slot", "new", "--pass-phrase-file", "-"];
    inside_with_input(tree, &[&new[..], &file].concat(), PASS_PHRASE)?;
    let old = "run/old";
    fs_err::write(tree.join(old), PASS_PHRASE)?;
    let add = ["tresorctl", "slot", "add", "--pass-phrase-file", "/run/old"];
    let more = ["--new-pass-phrase-file", "-", "--argon2id"];
    let cheap = ["--memory", "1", "--passes", "1"];
    let added = inside_with_input(
        tree,
        &[&add[..], &more, &cheap, &file].concat(),
        STRETCHED_PASS_PHRASE,
    );
    fs_err::remove_file(tree.join(old))?;
    added
}

/// An ext4 with what is in a directory.
fn make_image(tree: &Path, image: &Path) -> Result<()> {
    let used = process::output(Command::new("du").args(["-sx", "-B1"]).arg(tree))?;
    let used: u64 = used
        .split_whitespace()
        .next()
        .context("du printed nothing")?
        .parse()?;
    // Of what is left for files when it is full.
    let bytes = (used + used / 10 + ROOM).next_multiple_of(1 << 20);
    fs_err::File::create(image)?.set_len(bytes)?;
    process::output(
        Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-F", "-d"])
            .args([tree, image]),
    )
    .map(drop)
}
