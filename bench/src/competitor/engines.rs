// SPDX-License-Identifier: GPL-2.0
//! Our engines: whatever `tresor::user` finds for this CPU.

use tresor::class::Class;
use tresor::handle::{Handle, Variant};
use tresor::public_secret::PUBLIC_S;
use tresor::user::{set_secret, Units, Xts};

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
    for xts in Xts::all() {
        roster.competitors.push(Box::new(Engine {
            name: Box::leak(format!("tresor-{}", xts.name()).into_boxed_str()),
            kernel: same_class(xts.class()),
            xts,
            variant,
            handle,
        }));
    }
}

/// The kernel's engine for the CPUs that a class of ours is for.
///
/// Without VAES, AVX-512 helps the kernel nothing: it takes the engine for AVX there. It has no
/// assembly for CPUs without AES-NI.
fn same_class(class: Class) -> Option<&'static str> {
    Some(match class {
        Class::Avx512 => "kernel-vaes-avx512",
        Class::Vaes => "kernel-vaes-avx2",
        Class::Avx512vl | Class::Avx => "kernel-aesni-avx",
        Class::Aesni => "kernel-aesni",
        Class::Ssse3 => return None,
    })
}

impl Competitor for Engine {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind {
        Kind::Engine(self.kernel)
    }

    fn batches(&self) -> bool {
        true
    }

    fn crypt(&mut self, request: &mut Request<'_>) -> Result<(), Refused> {
        let units = Units {
            tweak_iv: plain64(request.sector),
            len: request.unit_bytes,
        };
        self.xts
            .crypt_units(
                self.variant,
                request.direction,
                &self.handle,
                request.src,
                request.dst,
                &units,
            )
            .map_err(|_| Refused)
    }
}
