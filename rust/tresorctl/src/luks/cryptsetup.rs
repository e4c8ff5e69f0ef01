// SPDX-License-Identifier: GPL-2.0
//! Runs stock cryptsetup. Secrets go to it through pipes: never on a command line, never in a file.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{bail, ensure, Context};
use rustix::io::FdFlags;
use zeroize::Zeroizing;

use crate::locked::Locked;

/// Beside PATH, which lacks these for some users.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// What it exits with when no keyslot fits the pass phrase.
const NO_PERMISSION: i32 = 2;
/// A pipe has room for so many bytes even if nobody reads.
pub(crate) const SECRET_MAX: usize = 1 << 16;

/// The installed program.
#[derive(Debug)]
pub(crate) struct Cryptsetup {
    program: PathBuf,
}

/// How new keyslots slow down guessing: handed to cryptsetup as they are.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Kdf {
    /// Key derivation of the new LUKS keyslots (argon2id, argon2i, pbkdf2); default: cryptsetup's.
    #[arg(long, value_name = "NAME")]
    pbkdf: Option<String>,
    /// Its iterations, instead of a measured time.
    #[arg(long, value_name = "N")]
    pbkdf_force_iterations: Option<u32>,
    /// Its memory, in KiB.
    #[arg(long, value_name = "KIB")]
    pbkdf_memory: Option<u32>,
}

/// One run of it.
struct Call {
    command: Command,
    pipes: Vec<OwnedFd>,
}

impl Kdf {
    /// As little work as there can be.
    #[cfg(test)]
    pub(crate) fn cheap() -> Self {
        Self {
            pbkdf: Some("pbkdf2".to_owned()),
            pbkdf_force_iterations: Some(1000),
            pbkdf_memory: None,
        }
    }

    fn arguments(&self) -> Vec<String> {
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        [
            ("--pbkdf", self.pbkdf.clone()),
            (
                "--pbkdf-force-iterations",
                number(self.pbkdf_force_iterations),
            ),
            ("--pbkdf-memory", number(self.pbkdf_memory)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some([name.to_owned(), value?]))
        .flatten()
        .collect()
    }
}

impl Cryptsetup {
    /// Finds it.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(DIRECTORIES.map(PathBuf::from))
            .map(|directory| directory.join("cryptsetup"))
            .find(|program| program.is_file())
            .map(|program| Self { program })
            .context("there is no cryptsetup: install it (Debian: apt install cryptsetup-bin)")
    }

    /// The JSON text of the header.
    pub(crate) fn metadata(&self, device: &Path) -> anyhow::Result<Vec<u8>> {
        let mut call = self.call("luksDump");
        call.command.arg("--dump-json-metadata").arg(device);
        Ok(call.done("read the header")?.stdout)
    }

    /// The key in the keyslot that a pass phrase fits. `None` if it fits none.
    pub(crate) fn open(
        &self,
        device: &Path,
        pass_phrase: &[u8],
    ) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut call = self.call("luksDump");
        let file = call.secret(pass_phrase)?;
        call.command
            .arg("--dump-volume-key")
            .arg("--key-file")
            .arg(file)
            .arg(device);
        call.secret_output(parse_key)
    }

    /// Adds a keyslot with a key that is not the volume's.
    pub(crate) fn add_unbound(
        &self,
        device: &Path,
        keyslot: u32,
        key: &[u8],
        pass_phrase: &[u8],
        kdf: &Kdf,
    ) -> anyhow::Result<()> {
        let mut call = self.call("luksAddKey");
        let key_file = call.secret(key)?;
        let file = call.secret(pass_phrase)?;
        call.command
            .args(["--unbound", "--key-slot", &keyslot.to_string()])
            .args(["--key-size", &(8 * key.len()).to_string()])
            .args(kdf.arguments())
            .arg("--volume-key-file")
            .arg(key_file)
            .arg(device)
            .arg(file);
        call.done("add a keyslot").map(drop)
    }

    /// Adds a keyslot with the volume's key.
    pub(crate) fn add(
        &self,
        device: &Path,
        pass_phrase: &[u8],
        new: &[u8],
        kdf: &Kdf,
    ) -> anyhow::Result<()> {
        let mut call = self.call("luksAddKey");
        let file = call.secret(pass_phrase)?;
        let new_file = call.secret(new)?;
        call.command
            .args(kdf.arguments())
            .arg("--key-file")
            .arg(file)
            .arg(device)
            .arg(new_file);
        call.done("add a keyslot").map(drop)
    }

    /// Removes a keyslot.
    pub(crate) fn remove(&self, device: &Path, keyslot: u32) -> anyhow::Result<()> {
        let mut call = self.call("luksKillSlot");
        call.command.arg(device).arg(keyslot.to_string());
        call.done("remove a keyslot").map(drop)
    }

    /// Adds a token.
    pub(crate) fn add_token(&self, device: &Path, json: &str) -> anyhow::Result<()> {
        let mut call = self.call("token");
        let file = call.secret(json.as_bytes())?;
        call.command
            .args(["import", "--json-file"])
            .arg(file)
            .arg(device);
        call.done("add a token").map(drop)
    }

    /// Removes a token.
    pub(crate) fn remove_token(&self, device: &Path, number: &str) -> anyhow::Result<()> {
        let mut call = self.call("token");
        call.command
            .args(["remove", "--token-id", number])
            .arg(device);
        call.done("remove a token").map(drop)
    }

    /// Makes a LUKS2 volume; all that was on the device is lost.
    pub(crate) fn format(
        &self,
        device: &Path,
        cipher: &str,
        key: &[u8],
        pass_phrase: &[u8],
        kdf: &Kdf,
        more: &[OsString],
    ) -> anyhow::Result<()> {
        let mut call = self.call("luksFormat");
        let key_file = call.secret(key)?;
        let file = call.secret(pass_phrase)?;
        call.command
            .args(["--type", "luks2", "--cipher", cipher])
            .args(["--key-size", &(8 * key.len()).to_string()])
            .args(kdf.arguments())
            .args(more)
            .arg("--volume-key-file")
            .arg(key_file)
            .arg("--key-file")
            .arg(file)
            .arg(device);
        call.done("make the volume").map(drop)
    }

    /// Opens a plain volume with these bytes as its key.
    pub(crate) fn open_plain<'a>(
        &self,
        key: &[u8],
        options: impl IntoIterator<Item = &'a str>,
        device: &Path,
        name: &OsStr,
    ) -> anyhow::Result<()> {
        let mut call = self.call("open");
        let file = call.secret(key)?;
        call.command
            .args(["--type", "plain"])
            .args(["--key-size", &(8 * key.len()).to_string()])
            .args(["--keyfile-size", &key.len().to_string()])
            .arg("--key-file")
            .arg(file)
            .args(options)
            .arg(device)
            .arg(name);
        call.done("open the volume").map(drop)
    }

    fn call(&self, action: &str) -> Call {
        let mut command = Command::new(&self.program);
        command
            .arg(action)
            .arg("--batch-mode")
            // Its messages are read.
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        Call {
            command,
            pipes: Vec::new(),
        }
    }
}

impl Call {
    /// Lets the program read `bytes`; returns the path for its command line.
    fn secret(&mut self, bytes: &[u8]) -> anyhow::Result<String> {
        ensure!(
            bytes.len() <= SECRET_MAX,
            "a key file has more than {SECRET_MAX} bytes"
        );
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .context("cannot make a pipe")?;
        let mut left = bytes;
        while !left.is_empty() {
            let count = rustix::io::write(&writer, left).context("cannot write to a pipe")?;
            left = &left[count..];
        }
        rustix::io::fcntl_setfd(&reader, FdFlags::empty()).context("cannot hand on a pipe")?;
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        self.pipes.push(reader);
        Ok(path)
    }

    fn run(mut self) -> anyhow::Result<Output> {
        self.command.output().context("cannot start cryptsetup")
    }

    fn done(self, what: &str) -> anyhow::Result<Output> {
        let output = self.run()?;
        ensure!(output.status.success(), "{}", failed(what, &output));
        Ok(output)
    }

    /// Runs it with its output in locked memory. `None` if the pass phrase was wrong.
    fn secret_output<T>(
        mut self,
        parse: impl FnOnce(&[u8]) -> anyhow::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start cryptsetup")?;
        let mut memory = Locked::new()?;
        let mut stdout = child.stdout.take().context("no output")?;
        let mut len = 0;
        loop {
            match stdout.read(&mut memory.bytes_mut()[len..])? {
                0 => break,
                count => len += count,
            }
        }
        // If the buffer was too small, the program would wait for ever.
        drop(stdout);
        let output = child
            .wait_with_output()
            .context("cannot wait for cryptsetup")?;
        if output.status.code() == Some(NO_PERMISSION) {
            return Ok(None);
        }
        ensure!(
            output.status.success(),
            "{}",
            failed("read the volume's key", &output)
        );
        parse(&memory.bytes()[..len]).map(Some)
    }
}

fn failed(what: &str, output: &Output) -> String {
    format!(
        "cryptsetup could not {what}: {}{}",
        String::from_utf8_lossy(&output.stderr).trim_end(),
        match output.status.code() {
            Some(code) => format!(" (exit code {code})"),
            None => " (ended by a signal)".to_owned(),
        }
    )
}

/// The key in what `luksDump --dump-volume-key` prints: all hex digits after its last colon.
fn parse_key(text: &[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    const TITLE: &[u8] = b"MK dump:";
    let Some(at) = text.windows(TITLE.len()).position(|part| part == TITLE) else {
        bail!("cryptsetup printed the volume's key in another form than expected");
    };
    let mut key = Zeroizing::new(Vec::with_capacity(SECRET_MAX / 2));
    let mut high = None;
    for &byte in &text[at + TITLE.len()..] {
        if byte.is_ascii_whitespace() {
            continue;
        }
        let digit = char::from(byte).to_digit(16);
        let digit = digit.context("the volume's key is not in hex")?;
        high = match high {
            None => Some(digit),
            Some(high) => {
                key.push(u8::try_from(16 * high + digit)?);
                None
            }
        };
    }
    ensure!(
        high.is_none() && !key.is_empty(),
        "the volume's key is cut short"
    );
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_key_is_read() {
        let text = b"LUKS header information for x\nMK bits: \t24\nMK dump:\t00 fe \n\t\t7a \n";
        assert_eq!(**parse_key(text).unwrap(), [0, 0xfe, 0x7a]);
        for text in [
            &b"MK dump:\t"[..],
            b"MK dump:\t0",
            b"MK dump:\tzz",
            b"no key",
        ] {
            assert!(parse_key(text).is_err());
        }
    }
}
