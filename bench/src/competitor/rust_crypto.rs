// SPDX-License-Identifier: GPL-2.0
//! RustCrypto: `aes` (which uses AES-NI where there is) under `xts-mode`.

use aes::cipher::{BlockCipher, BlockDecrypt, BlockEncrypt, KeyInit, KeySizeUser};
use aes::{Aes128, Aes256};
use xts_mode::Xts128;

use super::{plain64, Competitor, Kind, Refused, Request, Roster};
use crate::workload::Direction;

struct RustCrypto<C: BlockCipher + BlockEncrypt + BlockDecrypt>(Xts128<C>);

pub(super) fn join(roster: &mut Roster, key: &[u8]) {
    roster.competitors.push(if key.len() == 64 {
        boxed::<Aes256>(key)
    } else {
        boxed::<Aes128>(key)
    });
}

fn boxed<C>(key: &[u8]) -> Box<dyn Competitor>
where
    C: BlockCipher + BlockEncrypt + BlockDecrypt + KeyInit + KeySizeUser + 'static,
{
    let (k1, k2) = key.split_at(key.len() / 2);
    Box::new(RustCrypto(Xts128::<C>::new(
        C::new(k1.into()),
        C::new(k2.into()),
    )))
}

impl<C: BlockCipher + BlockEncrypt + BlockDecrypt> Competitor for RustCrypto<C> {
    fn name(&self) -> &'static str {
        "rustcrypto"
    }

    fn kind(&self) -> Kind {
        Kind::Library
    }

    /// `xts-mode` works in place only, so the data is copied first: a few hundredths of a cycle per byte.
    fn crypt(&mut self, request: &mut Request<'_>) -> Result<(), Refused> {
        let tweak = plain64(request.sector);
        request.dst.copy_from_slice(request.src);
        match request.direction {
            Direction::Encrypt => self.0.encrypt_sector(request.dst, tweak),
            Direction::Decrypt => self.0.decrypt_sector(request.dst, tweak),
        }
        Ok(())
    }
}
