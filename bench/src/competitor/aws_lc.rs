// SPDX-License-Identifier: GPL-2.0
//! AWS-LC through EVP: aws-lc-rs itself offers no XTS, the library below it (aws-lc-sys) does.

use aws_lc_sys as sys;

use super::evp::{Api, Evp};
use super::Roster;

const NAME: &str = "aws-lc";

pub(super) fn join(roster: &mut Roster, key: &[u8]) {
    if key.len() != 64 {
        roster
            .absent
            .push((NAME, "it has no XTS-AES-128".to_owned()));
        return;
    }
    let version = String::from_utf8_lossy(sys::AWSLC_VERSION_NUMBER_STRING);
    let api = Api {
        new: sys::EVP_CIPHER_CTX_new,
        free: sys::EVP_CIPHER_CTX_free,
        init: sys::EVP_CipherInit_ex,
        update: sys::EVP_CipherUpdate,
    };
    // SAFETY: takes no arguments.
    let cipher = unsafe { sys::EVP_aes_256_xts() };
    match Evp::new(NAME, api, cipher, key) {
        Ok(competitor) => {
            roster.competitors.push(Box::new(competitor));
            roster
                .versions
                .push(format!("AWS-LC {}", version.trim_end_matches('\0')));
        }
        Err(error) => roster.absent.push((NAME, format!("{error:#}"))),
    }
}
