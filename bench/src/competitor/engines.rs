// SPDX-License-Identifier: GPL-2.0
//! Our engines: whatever `tresor::user` finds for this CPU.

use tresor::handle::{Handle, Variant};
use tresor::public_secret::PUBLIC_S;
use tresor::user::{set_secret, Position, Xts};

use super::{plain64, Competitor, Kind, Refused, Request, Roster};

struct Engine {
    name: &'static str,
    kernel: Option<&'static str>,
    xts: Xts,
    variant: Variant,
    handle: Handle,
}

pub(super) fn join(roster: &mut Roster, variant: Variant, handle: Handle) {
    set_secret(&PUBLIC_S);
    if let Some(xts) = Xts::detect() {
        let class = "aesni";
        roster.competitors.push(Box::new(Engine {
            name: Box::leak(format!("tresor-{class}").into_boxed_str()),
            kernel: same_class(class),
            xts,
            variant,
            handle,
        }));
    }
}

/// The kernel's engine for the CPUs that a class of ours is for, if it has one.
///
/// Without VAES, AVX-512 helps the kernel nothing: it takes the engine for AVX there.
fn same_class(class: &str) -> Option<&'static str> {
    match class {
        "avx512" => Some("kernel-vaes-avx512"),
        "vaes" => Some("kernel-vaes-avx2"),
        "avx512vl" | "avx" => Some("kernel-aesni-avx"),
        "aesni" => Some("kernel-aesni"),
        _ => None,
    }
}

impl Competitor for Engine {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind {
        Kind::Engine(self.kernel)
    }

    fn crypt(&mut self, request: &mut Request<'_>) -> Result<(), Refused> {
        let position = Position {
            tweak_iv: plain64(request.sector),
            first_block: 0,
        };
        self.xts
            .crypt(
                self.variant,
                request.direction,
                &self.handle,
                request.src,
                request.dst,
                &position,
            )
            .map_err(|_| Refused)
    }
}
