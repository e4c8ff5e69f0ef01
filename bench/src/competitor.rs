// SPDX-License-Identifier: GPL-2.0
//! Who is measured: every implementation of AES-XTS behind one trait.

use std::path::Path;

use anyhow::{Context, Result};
use tresor::handle::{Handle, Variant};
use tresor::public_secret::PUBLIC_S;
use tresor::reference;

use crate::workload::Direction;

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod engines;
mod evp;
mod kernel;
mod openssl;
mod rust_crypto;
mod tresor_way;

pub(crate) use kernel::library as kernel_library;

/// Data units to be encrypted or decrypted.
#[derive(Debug)]
pub struct Request<'a> {
    /// Encrypt or decrypt.
    pub direction: Direction,
    /// Number of the first data unit.
    pub sector: u64,
    /// Bytes of a data unit.
    pub unit_bytes: usize,
    /// What is read: whole data units.
    pub src: &'a [u8],
    /// What is written: as many bytes.
    pub dst: &'a mut [u8],
}

/// The competitor could not do the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// What a competitor is, which decides to whom it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An engine of ours, and the kernel's engine for the same class of CPUs.
    Engine(Option<&'static str>),
    /// An engine of the kernel.
    Kernel,
    /// A library.
    Library,
    /// The full key schedule for every block.
    TresorWay,
}

/// The name of the competitor that does it TRESOR's way.
pub const TRESOR_WAY: &str = "tresor-way";

/// An implementation of AES-XTS with its keys set.
pub trait Competitor {
    /// The name in the report and in JSON.
    fn name(&self) -> &'static str;

    /// What it is.
    fn kind(&self) -> Kind;

    /// Whether a request may have several data units.
    fn batches(&self) -> bool {
        false
    }

    /// Does one request.
    fn crypt(&mut self, request: &mut Request<'_>) -> Result<(), Refused>;
}

/// Everyone who takes part on this machine.
pub struct Roster {
    /// Those who are measured.
    pub competitors: Vec<Box<dyn Competitor>>,
    /// Those who are not, and why.
    pub absent: Vec<(&'static str, String)>,
    /// Versions of what came from outside this repository.
    pub versions: Vec<String>,
}

impl Roster {
    /// Sets up everyone who can run here, all with the same volume key. The engines derive theirs from the public S of the self tests, which
    /// becomes the calling thread's; the others get it in memory.
    ///
    /// `kernel_tree` is where the kernel's own engines are.
    pub fn set_up(variant: Variant, kernel_tree: Option<&Path>) -> Result<Self> {
        let handle = Handle::derived::<reference::Sha256>(&[7; 64][..variant.key_len()])
            .context("the key of the measurement")?;
        let key = reference::volume_key(&PUBLIC_S, &handle, variant);
        let mut roster = Self {
            competitors: Vec::new(),
            absent: Vec::new(),
            versions: Vec::new(),
        };
        engines::join(&mut roster, variant, handle);
        match kernel_tree {
            Some(tree) => kernel::join(&mut roster, &key, tree)?,
            None => roster.absent.push((
                "kernel",
                "no kernel tree was given: `cargo xtask bench` fetches one".to_owned(),
            )),
        }
        openssl::join(&mut roster, &key);
        #[cfg(feature = "aws-lc")]
        aws_lc::join(&mut roster, &key);
        #[cfg(not(feature = "aws-lc"))]
        roster.absent.push((
            "aws-lc",
            "built without the feature `aws-lc`: `cargo xtask bench` builds with it".to_owned(),
        ));
        rust_crypto::join(&mut roster, &key);
        tresor_way::join(&mut roster, &key);
        Ok(roster)
    }
}

/// Number of a data unit as an IV, like dm-crypt's plain64.
fn plain64(sector: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..8].copy_from_slice(&sector.to_le_bytes());
    iv
}
