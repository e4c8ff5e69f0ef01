// SPDX-License-Identifier: GPL-2.0
//! What stock `aes` needs to know of a volume: the real key, computed in memory from the bytes that
//! cryptsetup holds and S.

use amnesia::reference as wrapped;
use amnesia::wrapped::{Kind, Wrapped};
use anyhow::{bail, ensure, Context};
use tresor::handle::{Handle, KeySize, Variant};
use tresor::reference::{self, Sha256};
use zeroize::Zeroizing;

/// How the bytes that dm-crypt is given lead to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    /// They are hashed: a derived handle.
    Derived,
    /// They carry the key, encrypted.
    Wrapped,
}

/// The mode of operation, by what stock dm-crypt calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Xts,
    Cbc,
}

/// A cipher of ours, and the same data's cipher on a stock kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cipher {
    scheme: Scheme,
    mode: Mode,
    /// The name for a stock kernel.
    pub(crate) stock: &'static str,
}

impl Cipher {
    /// Finds the cipher of a volume.
    pub(crate) fn named(encryption: &str) -> anyhow::Result<Self> {
        let (cipher, mode) = encryption.split_once('-').unwrap_or((encryption, ""));
        let scheme = match cipher {
            "tresor" => Scheme::Derived,
            "amnesia" | "paes" => Scheme::Wrapped,
            "aes" => bail!(
                "the volume's cipher is {encryption}, which every kernel opens: use `cryptsetup open`"
            ),
            _ => bail!("the volume's cipher is {encryption}, which is none of tresor, amnesia and paes"),
        };
        let (mode, stock) = match mode {
            "xts-plain64" => (Mode::Xts, "aes-xts-plain64"),
            "cbc-plain64" => (Mode::Cbc, "aes-cbc-plain64"),
            _ if mode.starts_with("cbc-essiv") => bail!(
                "{encryption} encrypts its sector numbers with a key of its own, which no stock cipher \
                 does: only a kernel with the driver can open this volume"
            ),
            _ => bail!("{encryption} has no counterpart on a stock kernel that this program knows"),
        };
        Ok(Self {
            scheme,
            mode,
            stock,
        })
    }

    /// The volume key for the stock cipher, of what cryptsetup takes for it.
    pub(crate) fn key(self, bytes: &[u8], s: &[u8; 32]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        match (self.scheme, self.mode) {
            (Scheme::Wrapped, mode) => {
                let handle = Wrapped::parse::<Sha256>(bytes)
                    .context("the volume's key is not a wrapped handle")?;
                let is_xts = handle.kind().xts().is_some();
                ensure!(
                    is_xts == (mode == Mode::Xts),
                    "the wrapped key is for {}, not for {}",
                    handle.kind(),
                    self.stock
                );
                wrapped::unwrap(s, &handle).context(
                    "this slot's secret is not the one that the volume's key is wrapped under; give \
                     another slot",
                )
            }
            (Scheme::Derived, Mode::Xts) => {
                let variant = Variant::from_key_len(bytes.len())?;
                let handle = Handle::derived::<Sha256>(bytes)?;
                Ok(reference::volume_key(s, &handle, variant))
            }
            (Scheme::Derived, Mode::Cbc) => {
                let size = KeySize::from_key_len(bytes.len())?;
                let handle = Handle::derived_aes::<Sha256>(bytes)?;
                Ok(reference::aes_key(s, &handle, size))
            }
        }
    }
}

/// The kind of a wrapped handle for an XTS key.
pub(crate) fn xts_kind(key_bytes: usize) -> anyhow::Result<Kind> {
    match Variant::from_key_len(key_bytes)? {
        Variant::Aes128 => Ok(Kind::XtsAes128),
        Variant::Aes256 => Ok(Kind::XtsAes256),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: [u8; 32] = [9; 32];

    #[test]
    fn both_schemes_give_the_key() {
        let key: Vec<u8> = (0..64).collect();
        let handle = wrapped::wrap(&S, Kind::XtsAes256, &key, [5; 16]).unwrap();
        let bytes = handle.encode::<Sha256>();
        for name in ["paes-xts-plain64", "amnesia-xts-plain64"] {
            let cipher = Cipher::named(name).unwrap();
            assert_eq!(cipher.stock, "aes-xts-plain64");
            assert_eq!(*cipher.key(&bytes, &S).unwrap(), key);
        }
        let derived = Cipher::named("tresor-xts-plain64").unwrap();
        let handle = Handle::derived::<Sha256>(&[7; 64]).unwrap();
        assert_eq!(
            derived.key(&[7; 64], &S).unwrap(),
            reference::volume_key(&S, &handle, Variant::Aes256)
        );
        let cbc = Cipher::named("tresor-cbc-plain64").unwrap();
        assert_eq!(
            (cbc.stock, cbc.key(&[7; 24], &S).unwrap().len()),
            ("aes-cbc-plain64", 24)
        );
    }

    #[test]
    fn what_cannot_be_opened_is_refused_with_the_reason() {
        for (name, reason) in [
            ("aes-xts-plain64", "cryptsetup open"),
            ("tresor-cbc-essiv:sha256", "only a kernel with the driver"),
            ("tresor-xts-plain", "no counterpart"),
            ("serpent-xts-plain64", "none of"),
        ] {
            let error = Cipher::named(name).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let paes = Cipher::named("paes-xts-plain64").unwrap();
        assert!(paes.key(&[0; 128], &S).is_err());
        let other = wrapped::wrap(&[8; 32], Kind::XtsAes128, &[1; 32], [5; 16]).unwrap();
        let error = paes.key(&other.encode::<Sha256>(), &S).unwrap_err();
        assert!(format!("{error:#}").contains("another slot"), "{error:#}");
        let cbc = wrapped::wrap(&S, Kind::Aes256, &[1; 32], [5; 16]).unwrap();
        assert!(paes.key(&cbc.encode::<Sha256>(), &S).is_err());
    }
}
