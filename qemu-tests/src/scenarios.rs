// SPDX-License-Identifier: GPL-2.0

//! The QEMU tests of `cargo xtask test`: each boots a fresh machine, and each expectation in them can fail.

mod amnesia;
mod bochs;
mod boot;
mod controls;
mod cost;
mod cpu_features;
mod crash_dump;
mod debian;
mod ends;
pub(crate) mod engines;
mod gdb;
mod guards;
mod hotplug;
mod kexec;
mod kgdb;
mod kvm;
mod lab;
mod lifecycle;
mod list;
mod luks;
mod machine;
mod modes;
mod on_request;
mod owner;
mod perf;
mod probes;
mod ram;
mod recipes;
mod results;
mod second_factor;
mod setkey;
mod snapshots;
mod storm;
mod suite;
mod typing;
mod volumes;
mod watch;

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context as _, Result};

pub use self::lifecycle::soak::{soak, Done, Until};
pub use self::list::all;
pub use self::on_request::OnRequest;
pub(crate) use self::watch::controls::CHANNELS as STORING_CHANNELS;
use crate::cryptsetups::Release;
use crate::debian::Debian;
use crate::proof::Depth;
use crate::unpacked::Programs;
use crate::{emulator_bug, initramfs};

/// What every scenario needs.
#[derive(Debug, Clone)]
pub struct Context {
    /// Kernel image (bzImage) with the driver.
    pub kernel: PathBuf,
    /// The addresses of the kernel's symbols (System.map).
    pub system_map: PathBuf,
    /// Image of the control kernel, which leaks on request, for the scenarios that want it.
    pub controls: Option<PathBuf>,
    /// Image of the kernel with what distributions turn on, for the scenarios that want it.
    pub distribution: Option<PathBuf>,
    /// The same kernel with its symbols (vmlinux).
    pub vmlinux: PathBuf,
    /// Debian's Bochs, if one of its scenarios is to run.
    pub bochs: Option<Programs>,
    /// QEMU 11.1, if one of its scenarios is to run.
    pub newer_qemu: Option<Programs>,
    /// Debian's gdb, if a scenario is to run it in a machine.
    pub gdb: Option<Programs>,
    /// A Debian system with our packages, if a scenario is to boot it.
    pub debian: Option<Debian>,
    /// Root file system of the machines.
    pub initramfs: PathBuf,
    /// A TPM2 in software with its tools, if a scenario is to run one.
    pub tpm: Option<Programs>,
    /// A disk with cryptsetup's own tests, if a scenario is to run them.
    pub suite: Option<PathBuf>,
    /// The same with other releases of cryptsetup, for the scenarios that run with them.
    pub cryptsetups: Vec<(Release, PathBuf)>,
    /// How many interrupts must come in windows in a storm.
    pub nmis_in_window: u64,
    /// Directory for images and logs; each scenario has its own below it.
    pub work_dir: PathBuf,
}

impl Context {
    /// `kernel` has its System.map and vmlinux beside it. Builds the initramfs in `work_dir`, once for all scenarios.
    pub fn prepare(kernel: &Path, work_dir: &Path) -> Result<Self> {
        ensure!(
            kernel.exists(),
            "there is no kernel at {}: run `cargo xtask kernel build`",
            kernel.display()
        );
        Ok(Self {
            kernel: kernel.into(),
            system_map: system_map(kernel),
            controls: None,
            distribution: None,
            vmlinux: kernel.with_file_name("vmlinux"),
            bochs: None,
            newer_qemu: None,
            gdb: None,
            debian: None,
            tpm: None,
            suite: None,
            nmis_in_window: nmis_in_window()?,
            initramfs: initramfs::build(work_dir)?,
            cryptsetups: Vec::new(),
            work_dir: work_dir.into(),
        })
    }
}

/// The environment variable that asks for more interrupts in a storm.
const STORM_VARIABLE: &str = "TRESOR_STORM";

/// How many interrupts must come in windows: enough for each boundary many times, unless the environment says another number.
fn nmis_in_window() -> Result<u64> {
    match env::var(STORM_VARIABLE) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{STORM_VARIABLE} is to be a number, not `{text}`")),
        Err(_) => Ok(Depth::Quick.nmis_in_window()),
    }
}

/// The symbols of a kernel image lie beside it.
fn system_map(kernel: &Path) -> PathBuf {
    kernel.with_file_name("System.map")
}

/// A test on a machine of its own.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Name with its parts separated by `::`, for example `qemu::boot::right_pass_phrase_2cpu`.
    pub name: String,
    run: fn(&mut lab::Lab<'_>) -> Result<()>,
    cpus: u32,
}

impl Scenario {
    /// Where its logs are.
    pub fn dir(&self, context: &Context) -> PathBuf {
        lab::dir(context, &self.name)
    }

    /// Whether it runs on the control kernel: those whose name begins with `qemu::controls::`.
    pub fn is_control(&self) -> bool {
        self.name.starts_with("qemu::controls::")
    }

    /// Whether it runs in QEMU 11.1: those whose name begins with `qemu::newer_qemu::`.
    pub fn is_in_newer_qemu(&self) -> bool {
        self.name.starts_with(NEWER_QEMU)
    }

    /// Whether its machine has a TPM.
    pub fn needs_tpm(&self) -> bool {
        self.name.contains("second_factor")
    }

    /// Whether it runs cryptsetup's own tests.
    pub fn needs_suite(&self) -> bool {
        self.name.contains("cryptsetup_suite")
    }

    /// Whether it runs gdb in its machine.
    pub fn needs_gdb(&self) -> bool {
        self.name.starts_with("qemu::owner::gdb")
    }

    /// Whether it boots a Debian system with our packages.
    pub fn needs_debian(&self) -> bool {
        self.name.starts_with("qemu::debian::")
    }

    /// The release of cryptsetup that it runs with, if not the host's.
    pub fn cryptsetup(&self) -> Option<Release> {
        let mut all = Release::ALL.into_iter();
        all.find(|release| self.name.contains(release.mark()))
    }

    /// Whether it runs on the kernel with what distributions turn on.
    pub fn is_on_distribution(&self) -> bool {
        ON_DISTRIBUTION
            .iter()
            .any(|begin| self.name.starts_with(begin))
    }

    /// Runs it; an error says which expectation failed. Logs are in a directory of its own below the context's.
    pub fn run(&self, context: &Context) -> Result<()> {
        let dir = self.dir(context);
        let kernel = if self.is_control() {
            let kernel = context.controls.as_ref();
            kernel
                .context("there is no control kernel: run `cargo xtask kernel build --controls`")?
        } else if self.is_on_distribution() {
            let kernel = context.distribution.as_ref();
            kernel
                .context("there is no such kernel: run `cargo xtask kernel build --distribution`")?
        } else {
            &context.kernel
        };
        let initramfs = match self.cryptsetup() {
            None => &context.initramfs,
            Some(wanted) => {
                let mut all = context.cryptsetups.iter();
                let found = all.find(|(release, _)| *release == wanted);
                &found.context("this release of cryptsetup is not there")?.1
            }
        };
        let context = Context {
            initramfs: initramfs.clone(),
            kernel: kernel.clone(),
            system_map: system_map(kernel),
            vmlinux: kernel.with_file_name("vmlinux"),
            ..context.clone()
        };
        emulator_bug::retry(&self.name, &dir, || {
            let mut lab = lab::Lab::new(&context, &dir, self.cpus)?;
            (self.run)(&mut lab)?;
            lab.clean_up()
        })
    }
}

/// Beginning of the names of the scenarios in QEMU 11.1.
const NEWER_QEMU: &str = "qemu::newer_qemu::";

/// How the names of the scenarios begin that run on the kernel with what distributions turn on.
const ON_DISTRIBUTION: &[&str] = &[
    "qemu::checked::",
    "qemu::probes::",
    "qemu::next_kernel::",
    "qemu::kvm::",
];

/// The live patch of that kernel, beside its image here and in the driver's directory in its build.
pub const LIVEPATCH_MODULE: &str = "livepatch-test.ko";

/// Beginning of the names of the scenarios in Bochs.
pub const BOCHS: &str = "bochs::";
