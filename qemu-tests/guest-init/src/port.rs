// SPDX-License-Identifier: GPL-2.0

//! Finds and opens the virtio-serial port by its name: the device number depends on the other devices.
//!
//! A machine without virtio names a serial line on the kernel's command line instead.

use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use fs_err as fs;
use guest_init::protocol::{LINE_PARAMETER, PORT};
use rustix::termios::{tcgetattr, tcsetattr, OptionalActions};

/// virtio-serial announces its ports some time after the device is found.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn open() -> Result<File> {
    let cmdline = fs::read_to_string("/proc/cmdline")?;
    let line = cmdline
        .split_whitespace()
        .find_map(|word| word.strip_prefix(LINE_PARAMETER));
    if let Some(line) = line {
        return serial_line(&format!("/dev/{line}"));
    }
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(device) = find()? {
            return File::options()
                .read(true)
                .write(true)
                .open(&device)
                .with_context(|| format!("opening {device}"));
        }
        sleep(Duration::from_millis(20));
    }
    bail!("no virtio port named {PORT}: was the machine started by the harness, and has the kernel CONFIG_VIRTIO_CONSOLE?")
}

/// Opens a serial line and makes it carry bytes as they are.
fn serial_line(device: &str) -> Result<File> {
    let line = File::options()
        .read(true)
        .write(true)
        .open(device)
        .with_context(|| format!("opening {device}"))?;
    let mut settings = tcgetattr(&line)?;
    settings.make_raw();
    settings.set_speed(115_200)?;
    tcsetattr(&line, OptionalActions::Now, &settings)?;
    Ok(line)
}

fn find() -> Result<Option<String>> {
    let Ok(ports) = fs::read_dir("/sys/class/virtio-ports") else {
        return Ok(None);
    };
    for port in ports {
        let port = port?;
        let name = fs::read_to_string(port.path().join("name")).unwrap_or_default();
        if name.trim_end() == PORT {
            return Ok(Some(format!("/dev/{}", port.file_name().to_string_lossy())));
        }
    }
    Ok(None)
}
