// SPDX-License-Identifier: GPL-2.0
//! `tresorctl recover`: opens a volume on a stock kernel.
//!
//! S is computed from slot and pass phrase, the volume's real key from S, and stock cryptsetup opens the
//! same sectors with the kernel's own `aes`. So S and the key are in RAM: for emergencies.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{bail, ensure, Context};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::luks::cryptsetup::Cryptsetup;
use crate::luks::key::Cipher;
use crate::luks::metadata::{Metadata, Segment};
use crate::luks::LuksPass;
use crate::register_secret::FromSlot;
use crate::{consent, locked};

/// Bytes of the sectors in which cryptsetup counts.
const SECTOR: u64 = 512;

/// Options of `recover`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The device with the volume.
    #[arg(value_name = "DEV")]
    device: PathBuf,
    /// The name that the opened volume gets, in /dev/mapper.
    #[arg(required_unless_present = "print_key", conflicts_with = "print_key")]
    name: Option<OsString>,
    /// Print the volume's key in hex, and what else is needed to open it by other means, instead of
    /// opening it.
    #[arg(long)]
    print_key: bool,
    /// Only for reading.
    #[arg(long)]
    readonly: bool,
    /// LUKS2: read the LUKS pass phrase from this file. Plain: the key file that the volume is opened
    /// with (the handle). "-": standard input.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// It is a plain volume, as it is opened by `cryptsetup open --type plain` with these options.
    #[arg(long, requires = "key_file")]
    plain: bool,
    #[command(flatten)]
    geometry: Geometry,
    #[command(flatten)]
    from: FromSlot,
    /// Do not ask whether you agree.
    #[arg(long)]
    yes: bool,
}

/// What the header of a LUKS volume says, and the command line of a plain one.
#[derive(clap::Args)]
struct Geometry {
    /// Plain: the cipher.
    #[arg(
        long,
        value_name = "NAME",
        requires = "plain",
        default_value = "tresor-xts-plain64"
    )]
    cipher: String,
    /// Plain: bits of the key file that count; default: all.
    #[arg(long, value_name = "BITS", requires = "plain")]
    key_size: Option<usize>,
    /// Plain: where the volume begins, in sectors of 512 bytes.
    #[arg(long, value_name = "SECTORS", requires = "plain", default_value_t = 0)]
    offset: u64,
    /// Plain: the number of its first sector.
    #[arg(long, value_name = "SECTORS", requires = "plain", default_value_t = 0)]
    skip: u64,
    /// Plain: its size in sectors of 512 bytes; default: to the end.
    #[arg(long, value_name = "SECTORS", requires = "plain")]
    size: Option<u64>,
    /// Plain: bytes of its sectors.
    #[arg(long, value_name = "BYTES", requires = "plain", default_value_t = SECTOR)]
    sector_size: u64,
}

/// Opens the volume, or prints its key.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    locked::keep_all_in_memory()?;
    ensure!(
        options.key_file.is_none()
            || options.key_file != options.from.pass_phrase.pass_phrase_file
            || options.key_file.as_deref() != Some("-".as_ref()),
        "standard input cannot be both the key file and the pass phrase file"
    );
    let cryptsetup = Cryptsetup::find()?;
    let metadata = (!options.plain)
        .then(|| read_metadata(&cryptsetup, options))
        .transpose()?;
    let segment = match &metadata {
        Some(metadata) => metadata.segment()?,
        None => options.geometry.segment()?,
    };
    let cipher = Cipher::named(&segment.encryption)?;
    consent::ask(
        "The register secret and the key of this volume will be in the RAM of this machine, the key for as long \
         as the volume is open: whoever can read the RAM, now or in a crash dump or swap, has the volume. Do this \
         only where the driver cannot be used, and on a machine that you trust.\n",
        options.yes,
    )?;
    let bytes = match &metadata {
        Some(metadata) => luks_key(&cryptsetup, options, metadata)?,
        None => plain_key(options)?,
    };
    let stored = metadata.as_ref().map(|metadata| metadata.stored_slots().1);
    let s = options.from.secret(&stored.unwrap_or_default())?;
    let key = cipher.key(&bytes, &s)?;
    drop(s);
    let Some(name) = &options.name else {
        print!("{}", *description(&segment, cipher.stock, &key)?);
        return Ok(());
    };
    let mut arguments = vec![format!("--cipher={}", cipher.stock)];
    arguments.extend(geometry(&segment).map(|(option, value)| format!("--{option}={value}")));
    if options.readonly {
        arguments.push("--readonly".to_owned());
    }
    let arguments = arguments.iter().map(String::as_str);
    cryptsetup.open_plain(&key, arguments, &options.device, name)?;
    println!(
        "Opened as /dev/mapper/{0}. `cryptsetup close {0}` closes it.",
        name.to_string_lossy()
    );
    Ok(())
}

fn read_metadata(cryptsetup: &Cryptsetup, options: &Options) -> anyhow::Result<Metadata> {
    let text = cryptsetup.metadata(&options.device).with_context(|| {
        format!(
            "{} is no LUKS2 volume; give --plain and --key-file if it is a plain one",
            options.device.display()
        )
    })?;
    Metadata::parse(&text)
}

/// What cryptsetup takes for the key of a LUKS2 volume.
fn luks_key(
    cryptsetup: &Cryptsetup,
    options: &Options,
    metadata: &Metadata,
) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let pass_phrase = LuksPass::get(options.key_file.as_ref(), "LUKS pass phrase: ")?;
    let key = cryptsetup
        .open(&options.device, pass_phrase.bytes())?
        .ok_or(Failure::WrongPassPhrase)
        .context("the LUKS pass phrase")?;
    ensure!(
        metadata.is_volume_key(&key)?,
        "what cryptsetup printed is not the volume's key"
    );
    Ok(key)
}

/// What dm-crypt is given for the key of a plain volume.
fn plain_key(options: &Options) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let file = LuksPass::get(options.key_file.as_ref(), "")?;
    let bytes = match options.geometry.key_size {
        None => file.bytes(),
        Some(bits) if bits % 8 == 0 => file
            .bytes()
            .get(..bits / 8)
            .with_context(|| format!("the key file has fewer than {bits} bits"))?,
        Some(_) => bail!("--key-size is in bits, a multiple of 8"),
    };
    Ok(Zeroizing::new(bytes.to_vec()))
}

impl Geometry {
    fn segment(&self) -> anyhow::Result<Segment> {
        let bytes = |sectors: u64| {
            sectors
                .checked_mul(SECTOR)
                .context("a number of sectors is too large")
        };
        Ok(Segment {
            offset: bytes(self.offset)?,
            size: self.size.map(bytes).transpose()?,
            iv_tweak: self.skip,
            encryption: self.cipher.clone(),
            sector_size: self.sector_size,
        })
    }
}

/// The options of cryptsetup that say where the data is.
fn geometry(segment: &Segment) -> impl Iterator<Item = (&'static str, u64)> {
    [
        ("offset", Some(segment.offset / SECTOR)),
        ("skip", Some(segment.iv_tweak)),
        ("size", segment.size.map(|size| size / SECTOR)),
        ("sector-size", Some(segment.sector_size)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

/// The key in hex and the geometry, a line each.
fn description(segment: &Segment, cipher: &str, key: &[u8]) -> anyhow::Result<Zeroizing<String>> {
    // Long enough never to be moved, which would leave a copy.
    let mut text = Zeroizing::new(String::with_capacity(4096));
    write!(text, "cipher={cipher}\nkey=")?;
    for byte in key {
        write!(text, "{byte:02x}")?;
    }
    text.push('\n');
    for (option, value) in geometry(segment) {
        writeln!(text, "{option}={value}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_opens_it_is_told() {
        let segment = Segment {
            offset: 16 << 20,
            size: Some(1 << 20),
            iv_tweak: 8,
            encryption: String::new(),
            sector_size: 4096,
        };
        assert_eq!(
            **description(&segment, "aes-xts-plain64", &[0xab, 1]).unwrap(),
            *"cipher=aes-xts-plain64\nkey=ab01\noffset=32768\nskip=8\nsize=2048\nsector-size=4096\n"
        );
    }
}
