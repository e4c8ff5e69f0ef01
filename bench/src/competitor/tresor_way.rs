// SPDX-License-Identifier: GPL-2.0
//! TRESOR's way: a block cipher that makes its whole key schedule for every block, under a generic XTS that knows blocks only.

use super::{plain64, Competitor, Kind, Refused, Request, Roster, TRESOR_WAY};
use crate::workload::Direction;

type BlockFn = unsafe extern "C" fn(*const u8, *const u8, *mut u8);

extern "C" {
    fn bench_per_block_enc_128(key: *const u8, src: *const u8, dst: *mut u8);
    fn bench_per_block_dec_128(key: *const u8, src: *const u8, dst: *mut u8);
    fn bench_per_block_enc_256(key: *const u8, src: *const u8, dst: *mut u8);
    fn bench_per_block_dec_256(key: *const u8, src: *const u8, dst: *mut u8);
}

struct PerBlock {
    k1: Vec<u8>,
    k2: Vec<u8>,
    encrypt: BlockFn,
    decrypt: BlockFn,
}

pub(super) fn join(roster: &mut Roster, key: &[u8]) {
    if !std::is_x86_feature_detected!("aes") {
        roster
            .absent
            .push((TRESOR_WAY, "this CPU has no AES-NI".to_owned()));
        return;
    }
    let (k1, k2) = key.split_at(key.len() / 2);
    let (encrypt, decrypt): (BlockFn, BlockFn) = if k1.len() == 32 {
        (bench_per_block_enc_256, bench_per_block_dec_256)
    } else {
        (bench_per_block_enc_128, bench_per_block_dec_128)
    };
    roster.competitors.push(Box::new(PerBlock {
        k1: k1.to_vec(),
        k2: k2.to_vec(),
        encrypt,
        decrypt,
    }));
}

/// One block in place.
fn block(function: BlockFn, key: &[u8], data: &mut [u8; 16]) {
    let data = data.as_mut_ptr();
    // SAFETY: the CPU has AES-NI, or there would be no `PerBlock`; `key` has the bytes that `function` reads (they are chosen together), `data`
    // a block.
    unsafe { function(key.as_ptr(), data.cast_const(), data) }
}

impl Competitor for PerBlock {
    fn name(&self) -> &'static str {
        TRESOR_WAY
    }

    fn kind(&self) -> Kind {
        Kind::TresorWay
    }

    fn crypt(&mut self, request: &mut Request<'_>) -> Result<(), Refused> {
        let function = match request.direction {
            Direction::Encrypt => self.encrypt,
            Direction::Decrypt => self.decrypt,
        };
        let mut tweak = plain64(request.sector);
        block(self.encrypt, &self.k2, &mut tweak);
        let mut tweak = u128::from_le_bytes(tweak);
        let blocks = request.src.chunks_exact(16);
        for (src, dst) in blocks.zip(request.dst.chunks_exact_mut(16)) {
            let mut data = [0; 16];
            data.copy_from_slice(src);
            data = (u128::from_le_bytes(data) ^ tweak).to_le_bytes();
            block(function, &self.k1, &mut data);
            data = (u128::from_le_bytes(data) ^ tweak).to_le_bytes();
            dst.copy_from_slice(&data);
            // x^128 = x^7 + x^2 + x + 1
            tweak = (tweak << 1) ^ ((tweak >> 127) * 0x87);
        }
        Ok(())
    }
}
