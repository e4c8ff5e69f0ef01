// SPDX-License-Identifier: GPL-2.0

//! Listens as udev does to what the kernel says of its devices.

use std::fs::File;
use std::io::{ErrorKind, Read};

use anyhow::{Context, Result};
use rustix::net::netlink::{SocketAddrNetlink, KOBJECT_UEVENT};
use rustix::net::{bind, socket_with, AddressFamily, SocketFlags, SocketType};

/// The multicast group to which the kernel sends (udev sends to the second one).
const FROM_KERNEL: u32 = 1;
/// Bytes of the longest event: twice what the kernel has for its variables (UEVENT_BUFFER_SIZE).
const LONGEST: usize = 4096;

/// A socket on which events wait until they are asked for. If they are too many for its buffer, asking fails.
#[derive(Default)]
pub(crate) struct Listener(Option<File>);

impl Listener {
    /// Begins to listen; events from before are gone.
    pub(crate) fn listen(&mut self) -> Result<()> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(KOBJECT_UEVENT),
        )
        .context("opening a socket for uevents")?;
        bind(&socket, &SocketAddrNetlink::new(0, FROM_KERNEL))?;
        self.0 = Some(File::from(socket));
        Ok(())
    }

    /// The events since the last call, each as its variables `NAME=value` after a line `action@path`.
    pub(crate) fn take(&mut self) -> Result<Vec<Vec<String>>> {
        let socket = self.0.as_mut().context("nobody listens to uevents")?;
        let mut events = Vec::new();
        let mut buf = [0; LONGEST];
        loop {
            match socket.read(&mut buf) {
                Ok(got) => events.push(
                    buf[..got]
                        .split(|&byte| byte == 0)
                        .filter(|part| !part.is_empty())
                        .map(|part| String::from_utf8_lossy(part).into_owned())
                        .collect(),
                ),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(events),
                Err(error) => return Err(error).context("reading uevents"),
            }
        }
    }
}
