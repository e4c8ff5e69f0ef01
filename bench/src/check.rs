// SPDX-License-Identifier: GPL-2.0
//! All competitors must do the same before any of them is timed: a wrong one may be fast for that reason.

use anyhow::{bail, Context, Result};

use crate::competitor::Competitor;
use crate::measure::{Buffers, Plan};
use crate::workload::{direction_name, Direction, Workload, DIRECTIONS};

/// A sector whose successors carry into the higher bytes of the number.
const SECTOR: u64 = 0xfffe;

/// Checks every competitor against the first, which has to be among at least two, on every workload in both directions; and that
/// decryption undoes encryption.
pub fn agree(competitors: &mut [Box<dyn Competitor>], buffers: &mut Buffers) -> Result<()> {
    if competitors.len() < 2 {
        bail!("there are not two competitors to check against each other");
    }
    for workload in Workload::ALL {
        for direction in DIRECTIONS {
            let mut expected: Option<(&'static str, Vec<u8>)> = None;
            for competitor in &mut *competitors {
                let name = competitor.name();
                let result = run(&mut **competitor, workload, direction, buffers)?;
                let (first, expected) = expected.get_or_insert_with(|| (name, result.clone()));
                if let Some(at) = differs(&result, expected) {
                    bail!(
                        "{name} and {first} differ: {} {workload}, first in byte {at} (data unit {}): one of them is wrong, so nothing is timed",
                        direction_name(direction),
                        at / workload.bytes
                    );
                }
            }
        }
        for competitor in &mut *competitors {
            undone(&mut **competitor, workload, buffers)?;
        }
    }
    Ok(())
}

fn run(
    competitor: &mut dyn Competitor,
    workload: Workload,
    direction: Direction,
    buffers: &mut Buffers,
) -> Result<Vec<u8>> {
    let (src, dst) = buffers.get(workload.total());
    // What an earlier competitor left must not pass for this one's.
    dst.fill(0);
    Plan::new(competitor, workload, direction)
        .run(competitor, SECTOR, src, dst, false)
        .ok()
        .with_context(|| format!("{} refused {workload}", competitor.name()))?;
    Ok(dst.to_vec())
}

/// Decrypts what was encrypted.
fn undone(
    competitor: &mut dyn Competitor,
    workload: Workload,
    buffers: &mut Buffers,
) -> Result<()> {
    let ciphertext = run(competitor, workload, Direction::Encrypt, buffers)?;
    let (src, dst) = buffers.get(workload.total());
    Plan::new(competitor, workload, Direction::Decrypt)
        .run(competitor, SECTOR, &ciphertext, dst, false)
        .ok()
        .with_context(|| format!("{} refused {workload}", competitor.name()))?;
    if src != dst || ciphertext == src {
        bail!(
            "{}: decrypting {workload} does not give back what was encrypted",
            competitor.name()
        );
    }
    Ok(())
}

/// The first byte in which they differ.
fn differs(a: &[u8], b: &[u8]) -> Option<usize> {
    a.iter().zip(b).position(|(a, b)| a != b)
}

#[cfg(test)]
mod tests {
    use tresor::handle::Variant;

    use super::*;
    use crate::competitor::{Kind, Refused, Request, Roster};

    /// Flips one bit of one data unit in one direction.
    struct Wrong {
        right: Box<dyn Competitor>,
        direction: Direction,
        sector: u64,
    }

    impl Competitor for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }

        fn kind(&self) -> Kind {
            Kind::Library
        }

        fn crypt(&mut self, request: &mut Request<'_>) -> Result<(), Refused> {
            self.right.crypt(request)?;
            if request.direction == self.direction && request.sector == self.sector {
                request.dst[request.unit_bytes - 1] ^= 1;
            }
            Ok(())
        }
    }

    fn roster(variant: Variant) -> Vec<Box<dyn Competitor>> {
        Roster::set_up(variant, None)
            .expect("the roster without a kernel")
            .competitors
    }

    #[test]
    fn all_without_the_kernel_agree() {
        for variant in [Variant::Aes128, Variant::Aes256] {
            agree(&mut roster(variant), &mut Buffers::new()).expect("they agree");
        }
    }

    #[test]
    fn one_wrong_bit_is_caught() {
        for direction in DIRECTIONS {
            for sector in [SECTOR, SECTOR + 7] {
                let mut competitors = roster(Variant::Aes256);
                let right = competitors.pop().expect("someone");
                competitors.push(Box::new(Wrong {
                    right,
                    direction,
                    sector,
                }));
                let error = agree(&mut competitors, &mut Buffers::new())
                    .expect_err("a wrong competitor")
                    .to_string();
                assert!(
                    error.contains("wrong") && error.contains(direction_name(direction)),
                    "{error}"
                );
            }
        }
    }
}
