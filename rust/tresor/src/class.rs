// SPDX-License-Identifier: GPL-2.0

//! CPU classes: for each, an XTS engine that uses what its CPUs have.

/// A class of CPUs, named by what its engine needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Class {
    /// AVX-512 (F, BW, DQ, VL), VAES and VPCLMULQDQ.
    Avx512 = 0,
    /// AVX-512 (F, BW, DQ, VL), AES-NI and PCLMULQDQ.
    Avx512vl = 1,
    /// AVX2, VAES and VPCLMULQDQ.
    Vaes = 2,
    /// AVX and AES-NI.
    Avx = 3,
    /// AES-NI and SSE4.1.
    Aesni = 4,
    /// SSSE3 alone: AES without AES-NI.
    Ssse3 = 5,
}

impl Class {
    /// All classes, the fastest engine first.
    pub const ALL: [Self; 6] = [
        Self::Avx512,
        Self::Avx512vl,
        Self::Vaes,
        Self::Avx,
        Self::Aesni,
        Self::Ssse3,
    ];

    /// The classes that have engines of the modes other than XTS, the fastest first. Wider ones
    /// would only pay off where a disk uses these modes.
    pub const OF_MODES: [Self; 2] = [Self::Aesni, Self::Ssse3];

    /// The name of the class, as in the symbols of its engine.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx512vl => "avx512vl",
            Self::Vaes => "vaes",
            Self::Avx => "avx",
            Self::Aesni => "aesni",
            Self::Ssse3 => "ssse3",
        }
    }

    /// Whether a comma-separated list of names, as a person writes it to reach slower engines in
    /// tests, has this class.
    pub fn is_in(self, list: &[u8]) -> bool {
        list.split(|&byte| byte == b',')
            .any(|name| name == self.name().as_bytes())
    }
}

/// Expands `$callback!` with each class and its routines: encrypt 128, decrypt 128, encrypt 256,
/// decrypt 256. The one list of them, for the kernel and for user space.
#[allow(unused_macros)] // by the library without engines
macro_rules! xts_engines {
    ($callback:ident) => {
        $callback! {
            Avx512: tresor_xts_avx512_enc_128, tresor_xts_avx512_dec_128,
                    tresor_xts_avx512_enc_256, tresor_xts_avx512_dec_256;
            Avx512vl: tresor_xts_avx512vl_enc_128, tresor_xts_avx512vl_dec_128,
                      tresor_xts_avx512vl_enc_256, tresor_xts_avx512vl_dec_256;
            Vaes: tresor_xts_vaes_enc_128, tresor_xts_vaes_dec_128,
                  tresor_xts_vaes_enc_256, tresor_xts_vaes_dec_256;
            Avx: tresor_xts_avx_enc_128, tresor_xts_avx_dec_128,
                 tresor_xts_avx_enc_256, tresor_xts_avx_dec_256;
            Aesni: tresor_xts_aesni_enc_128, tresor_xts_aesni_dec_128,
                   tresor_xts_aesni_enc_256, tresor_xts_aesni_dec_256;
            Ssse3: tresor_xts_ssse3_enc_128, tresor_xts_ssse3_dec_128,
                   tresor_xts_ssse3_enc_256, tresor_xts_ssse3_dec_256;
        }
    };
}
#[allow(unused_imports)]
pub(crate) use xts_engines;

/// Expands `$callback!` with the routines of the other modes, a line for each class that has them
/// and each key size: ECB, CBC and CBC with ESSIV, to encrypt and to decrypt, and CTR. See
/// asm/modes.inc. The one list of them, for the kernel and for user space.
#[allow(unused_macros)] // by the library without engines
macro_rules! mode_engines {
    ($callback:ident) => {
        $callback! {
            Aesni Aes128:
                tresor_ecb_aesni_enc_128, tresor_ecb_aesni_dec_128,
                tresor_cbc_aesni_enc_128, tresor_cbc_aesni_dec_128,
                tresor_essiv_cbc_aesni_enc_128, tresor_essiv_cbc_aesni_dec_128,
                tresor_ctr_aesni_128;
            Aesni Aes192:
                tresor_ecb_aesni_enc_192, tresor_ecb_aesni_dec_192,
                tresor_cbc_aesni_enc_192, tresor_cbc_aesni_dec_192,
                tresor_essiv_cbc_aesni_enc_192, tresor_essiv_cbc_aesni_dec_192,
                tresor_ctr_aesni_192;
            Aesni Aes256:
                tresor_ecb_aesni_enc_256, tresor_ecb_aesni_dec_256,
                tresor_cbc_aesni_enc_256, tresor_cbc_aesni_dec_256,
                tresor_essiv_cbc_aesni_enc_256, tresor_essiv_cbc_aesni_dec_256,
                tresor_ctr_aesni_256;
            Ssse3 Aes128:
                tresor_ecb_ssse3_enc_128, tresor_ecb_ssse3_dec_128,
                tresor_cbc_ssse3_enc_128, tresor_cbc_ssse3_dec_128,
                tresor_essiv_cbc_ssse3_enc_128, tresor_essiv_cbc_ssse3_dec_128,
                tresor_ctr_ssse3_128;
            Ssse3 Aes192:
                tresor_ecb_ssse3_enc_192, tresor_ecb_ssse3_dec_192,
                tresor_cbc_ssse3_enc_192, tresor_cbc_ssse3_dec_192,
                tresor_essiv_cbc_ssse3_enc_192, tresor_essiv_cbc_ssse3_dec_192,
                tresor_ctr_ssse3_192;
            Ssse3 Aes256:
                tresor_ecb_ssse3_enc_256, tresor_ecb_ssse3_dec_256,
                tresor_cbc_ssse3_enc_256, tresor_cbc_ssse3_dec_256,
                tresor_essiv_cbc_ssse3_enc_256, tresor_essiv_cbc_ssse3_dec_256,
                tresor_ctr_ssse3_256;
        }
    };
}
#[allow(unused_imports)]
pub(crate) use mode_engines;

#[cfg(test)]
mod tests {
    use super::Class;

    #[test]
    fn a_list_names_whole_classes() {
        assert!(Class::Avx.is_in(b"avx512,avx"));
        assert!(!Class::Avx.is_in(b"avx512,avx512vl"));
        assert!(!Class::Aesni.is_in(b""));
    }

    #[test]
    fn the_numbers_are_the_positions() {
        for (position, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, position);
        }
    }
}
