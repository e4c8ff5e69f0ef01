// SPDX-License-Identifier: GPL-2.0
//! What several test binaries share: handles of wanted keys, memory between guard pages.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test binary uses its part"
)]

pub(crate) mod rsp;

use std::ptr;

use rustix::mm::{mmap_anonymous, mprotect, munmap, MapFlags, MprotectFlags, ProtFlags};
use tresor::handle::{Handle, Variant};
use tresor::reference::{self, Aes};
use tresor::user::{Class, Direction, KeySize, Mode, Modes, Position, Xts};

pub(crate) const PAGE: usize = 4096;
pub(crate) const VARIANTS: [Variant; 2] = [Variant::Aes128, Variant::Aes256];
/// Key sizes of AES, with their bytes.
pub(crate) const SIZES: [(KeySize, usize); 3] = [
    (KeySize::Aes128, 16),
    (KeySize::Aes192, 24),
    (KeySize::Aes256, 32),
];
pub(crate) const DIRECTIONS: [Direction; 2] = [Direction::Encrypt, Direction::Decrypt];

/// The XTS engine of a class.
pub(crate) fn xts(class: Class) -> Xts {
    let mut engines = Xts::all().into_iter();
    found(class, engines.find(|engine| engine.class() == class))
}

/// The engines of the other modes of a class.
pub(crate) fn modes(class: Class) -> Modes {
    let mut engines = Modes::all().into_iter();
    found(class, engines.find(|engine| engine.class() == class))
}

/// Tests of classes that this CPU cannot run are ignored, and so never ask. That was decided when
/// they were compiled: on another CPU they say so by failing.
fn found<T>(class: Class, engine: Option<T>) -> T {
    engine.unwrap_or_else(|| {
        panic!(
            "this CPU cannot run class {}, or TRESOR_DISABLE names it, but neither was so when the \
             tests were compiled; run: cargo clean -p tresor",
            class.name()
        )
    })
}

/// Makes tests of functions that take an engine: for each class a module with all of them.
///
/// A class that this CPU cannot run, or that is disabled, is shown as ignored.
macro_rules! for_each_class {
    ($($test:ident),* $(,)?) => {
        $crate::common::for_each_class!(
            @all [$($test)*]
            avx512 "avx512" Avx512,
            avx512vl "avx512vl" Avx512vl,
            vaes "vaes" Vaes,
            avx "avx" Avx,
            aesni "aesni" Aesni,
            ssse3 "ssse3" Ssse3,
        );
    };
    (@all $tests:tt $($module:ident $name:tt $class:ident,)*) => {
        $($crate::common::for_each_class!(@class xts $module $name $class $tests);)*

        // A class that is not in the list above does not compile.
        const _: fn(tresor::user::Class) = |class| match class {
            $(tresor::user::Class::$class => (),)*
        };
    };
    (@class $engine:ident $module:ident $name:tt $class:ident [$($test:ident)*]) => {
        mod $module {
            $(
                #[test]
                #[cfg_attr(
                    tresor_skips = $name,
                    ignore = "this CPU cannot run the class, or TRESOR_DISABLE names it"
                )]
                fn $test() {
                    super::$test($crate::common::$engine(tresor::user::Class::$class));
                }
            )*
        }
    };
}
pub(crate) use for_each_class;

/// The same for functions that take the engines of modes, which only two classes have.
macro_rules! for_each_mode_class {
    ($($test:ident),* $(,)?) => {
        $crate::common::for_each_class!(@class modes aesni "aesni" Aesni [$($test)*]);
        $crate::common::for_each_class!(@class modes ssse3 "ssse3" Ssse3 [$($test)*]);
    };
}
pub(crate) use for_each_mode_class;

/// The handle whose volume key under `s` is `key`: as the key is mask XOR key stream, the mask is
/// key XOR key stream.
pub(crate) fn handle_of_key(s: &[u8; 32], iv: [u8; 16], key: &[u8]) -> Handle {
    let variant = Variant::from_key_len(key.len()).unwrap();
    let mut handle = Handle { iv, mask: [0; 64] };
    let stream = reference::volume_key(s, &handle, variant);
    for ((mask, key), stream) in handle.mask.iter_mut().zip(key).zip(stream.iter()) {
        *mask = key ^ stream;
    }
    handle
}

/// The handle whose key under `s` for a mode with one key is `key`, of 16, 24 or 32 bytes.
pub(crate) fn handle_of_aes_key(s: &[u8; 32], iv: [u8; 16], key: &[u8]) -> Handle {
    let mut padded = [0; 32];
    padded[..key.len()].copy_from_slice(key);
    handle_of_key(s, iv, &padded)
}

/// What the engine is to make of one data unit, from the oracle.
pub(crate) fn oracle(
    key: &[u8],
    direction: Direction,
    tweak_iv: &[u8; 16],
    data: &[u8],
) -> Vec<u8> {
    let mut data = data.to_vec();
    match direction {
        Direction::Encrypt => reference::encrypt(key, tweak_iv, &mut data),
        Direction::Decrypt => reference::decrypt(key, tweak_iv, &mut data),
    }
    .unwrap();
    data
}

/// What a mode is to make of data, from the oracle.
pub(crate) fn mode_oracle(
    mode: Mode,
    direction: Direction,
    key: &[u8],
    iv: &[u8; 16],
    data: &[u8],
) -> Vec<u8> {
    let aes = Aes::new(key).unwrap();
    let mut data = data.to_vec();
    match (mode, direction) {
        (Mode::Ecb, Direction::Encrypt) => aes.ecb_encrypt(&mut data),
        (Mode::Ecb, Direction::Decrypt) => aes.ecb_decrypt(&mut data),
        (Mode::Cbc, Direction::Encrypt) => aes.cbc_encrypt(iv, &mut data),
        (Mode::Cbc, Direction::Decrypt) => aes.cbc_decrypt(iv, &mut data),
        (Mode::Ctr, _) => aes.ctr(iv, &mut data),
    }
    data
}

/// The start of data unit `sector`, as plain64 numbers it.
pub(crate) fn sector(sector: u64) -> Position {
    let mut tweak_iv = [0; 16];
    tweak_iv[..8].copy_from_slice(&sector.to_le_bytes());
    Position {
        tweak_iv,
        first_block: 0,
    }
}

/// Bytes that look random and differ from each other by `seed`; cheap, for bulk data.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// Pages of memory with an inaccessible page before and after them.
pub(crate) struct Guarded {
    base: *mut u8,
    pages: usize,
}

impl Guarded {
    pub(crate) fn new(pages: usize) -> Self {
        let len = (pages + 2) * PAGE;
        // SAFETY: a new private mapping touches no memory of anyone.
        let base = unsafe {
            let base = mmap_anonymous(ptr::null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE)
                .unwrap();
            mprotect(
                base.byte_add(PAGE),
                pages * PAGE,
                MprotectFlags::READ | MprotectFlags::WRITE,
            )
            .unwrap();
            base.cast()
        };
        Self { base, pages }
    }

    /// All bytes between the guard pages.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the pages are mapped for reading and writing, and `self` is borrowed for as long
        // as the slice.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(PAGE), self.pages * PAGE) }
    }

    /// The first `len` bytes: the byte before them is in a guard page.
    pub(crate) fn at_start(&mut self, len: usize) -> &mut [u8] {
        &mut self.bytes()[..len]
    }

    /// The last `len` bytes: the byte after them is in a guard page.
    pub(crate) fn at_end(&mut self, len: usize) -> &mut [u8] {
        let bytes = self.bytes();
        let start = bytes.len() - len;
        &mut bytes[start..]
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping is this object's, and nothing refers to it any more.
        unsafe { munmap(self.base.cast(), (self.pages + 2) * PAGE).unwrap() }
    }
}
