// SPDX-License-Identifier: GPL-2.0

//! The disk gets its encrypted root: in a machine with the driver, by the commands of the admin guide.

use std::path::PathBuf;

use ::amnesia::wrapped::SIZE;
use anyhow::{ensure, Result};
use fs_err as fs;

use super::super::amnesia::unwrap;
use super::super::lab::Lab;
use crate::debian::{Debian, KEY_FILE, UUID, VOLUME};
use crate::secrets::Secrets;
use crate::volume::disk;
use crate::watch::Sight;

/// Room for the LUKS header, whose default is 16 MiB.
const HEADER: u64 = 32 << 20;
/// Bytes that are copied at once, in MiB.
const PIECE_MIB: u64 = 64;
const CHEAP: [&str; 4] = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];

/// Makes the encrypted disk and returns it with what must not be in the RAM of a machine that has it open.
pub(super) fn install(lab: &mut Lab<'_>, debian: &Debian) -> Result<(PathBuf, Secrets)> {
    let size = fs::metadata(&debian.root)?.len();
    let disk = disk::create(&lab.dir.join("root.img"), size + HEADER)?;
    // Of its own: QEMU locks the images of its disks, and another scenario has the same one.
    let plain = lab.dir.join("plain.img");
    fs::copy(&debian.root, &plain)?;
    let mut config = lab.config();
    config.disks = vec![disk.clone(), plain.clone()];
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    guest.write_file("/tmp/root.key", &debian.file(KEY_FILE)?)?;
    let format = [
        "tresorctl",
        "luks",
        "format",
        "/dev/vda",
        "--yes",
        "--key-file=/tmp/root.key",
    ];
    guest.run_ok(&[&format[..], &CHEAP, &["--", "--uuid", UUID]].concat())?;
    let open = ["cryptsetup", "open", "--key-file", "/tmp/root.key"];
    guest.run_ok(&[&open[..], &["/dev/vda", VOLUME]].concat())?;
    for piece in 0..size.div_ceil(PIECE_MIB << 20) {
        let at = piece * PIECE_MIB;
        guest.run_ok(&[
            "busybox",
            "dd",
            "if=/dev/vdb",
            &format!("of=/dev/mapper/{VOLUME}"),
            "bs=1M",
            &format!("count={PIECE_MIB}"),
            &format!("skip={at}"),
            &format!("seek={at}"),
        ])?;
    }
    guest.run_ok(&["busybox", "sync"])?;

    let dump = ["cryptsetup", "luksDump", "--dump-volume-key", "-q"];
    let to = ["--volume-key-file=/tmp/handle", "--key-file=/tmp/root.key"];
    guest.run_ok(&[&dump[..], &to, &["/dev/vda"]].concat())?;
    let handle = guest.read_file("/tmp/handle")?;
    ensure!(
        handle.len() == SIZE,
        "what LUKS keeps is no handle: {} bytes",
        handle.len()
    );
    let key = unwrap(lab, &handle)?;
    let secrets = lab.enrollment.secrets_and(&[key])?;
    Sight::of(&mut machine, &secrets)?.expect_nothing_in_ram()?;
    guest.run_ok(&["cryptsetup", "close", VOLUME])?;
    drop(machine);
    fs::remove_file(plain)?;
    Ok((disk, secrets))
}
