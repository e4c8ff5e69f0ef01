// SPDX-License-Identifier: GPL-2.0
//! The kernel's own engines, assembled from a kernel tree when the measurement starts and called as its glue code calls them.

use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};
use libloading::Library;
use tempfile::TempDir;

use super::{plain64, Competitor, Kind, Refused, Request, Roster};
use crate::workload::Direction;

/// The files in a kernel tree. They need nothing but a few macros of the kernel, which `kernel-shim` and the engines' own shim supply.
const SOURCES: [&str; 2] = [
    "arch/x86/crypto/aes-xts-avx-x86_64.S",
    "arch/x86/crypto/aesni-intel_asm.S",
];

const INCLUDE: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/kernel-shim"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../rust/tresor/user/include"),
];

/// `struct crypto_aes_ctx`: both key schedules and the length of the key, in ordinary memory.
#[repr(C, align(16))]
struct AesContext {
    encrypt: [u32; 60],
    decrypt: [u32; 60],
    key_length: u32,
}

type SetKey = unsafe extern "C" fn(*mut AesContext, *const u8, u32);
type EncryptIv = unsafe extern "C" fn(*const AesContext, *mut u8);
type AvxCrypt = unsafe extern "C" fn(*const AesContext, *const u8, *mut u8, c_int, *mut u8);
type SseEncrypt = unsafe extern "C" fn(*const AesContext, *mut u8, *const u8);
type SseCrypt = unsafe extern "C" fn(*const AesContext, *mut u8, *const u8, u32, *mut u8);

/// The functions of an engine: the two files differ in the order of arguments.
enum Functions {
    Avx {
        encrypt_iv: EncryptIv,
        encrypt: AvxCrypt,
        decrypt: AvxCrypt,
    },
    Sse {
        encrypt_block: SseEncrypt,
        encrypt: SseCrypt,
        decrypt: SseCrypt,
    },
}

struct KernelXts {
    name: &'static str,
    crypt_key: Box<AesContext>,
    tweak_key: Box<AesContext>,
    functions: Functions,
}

/// Name, suffix of the functions, and whether this CPU is one that the kernel would register the engine on.
fn avx_engines() -> [(&'static str, &'static str, bool); 3] {
    let avx = has_aesni() && std::is_x86_feature_detected!("avx");
    let vaes = avx
        && std::is_x86_feature_detected!("avx2")
        && std::is_x86_feature_detected!("vaes")
        && std::is_x86_feature_detected!("vpclmulqdq");
    let avx512 = vaes
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("bmi2");
    [
        ("kernel-vaes-avx512", "vaes_avx512", avx512),
        ("kernel-vaes-avx2", "vaes_avx2", vaes),
        ("kernel-aesni-avx", "aesni_avx", avx),
    ]
}

fn has_aesni() -> bool {
    std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("sse4.1")
}

pub(super) fn join(roster: &mut Roster, key: &[u8], tree: &Path) -> Result<()> {
    if !has_aesni() {
        roster
            .absent
            .push(("kernel", "this CPU has no AES-NI".to_owned()));
        return Ok(());
    }
    let version = version(tree)?;
    let library = assemble(tree)?;
    // SAFETY: the types are those of the declarations in the kernel's aesni-intel_glue.c.
    let set_key: SetKey = unsafe { *library.get(b"aesni_set_key")? };
    let (k1, k2) = key.split_at(key.len() / 2);
    let add = |roster: &mut Roster, name, functions| {
        roster.competitors.push(Box::new(KernelXts {
            name,
            crypt_key: expand(set_key, k1),
            tweak_key: expand(set_key, k2),
            functions,
        }));
    };
    for (name, suffix, runs) in avx_engines() {
        if runs {
            // SAFETY: as above.
            let functions = unsafe {
                Functions::Avx {
                    encrypt_iv: *library.get(b"aes_xts_encrypt_iv")?,
                    encrypt: *library.get(format!("aes_xts_encrypt_{suffix}").as_bytes())?,
                    decrypt: *library.get(format!("aes_xts_decrypt_{suffix}").as_bytes())?,
                }
            };
            add(roster, name, functions);
        } else {
            roster
                .absent
                .push((name, "this CPU lacks its instructions".to_owned()));
        }
    }
    // SAFETY: as above.
    let functions = unsafe {
        Functions::Sse {
            encrypt_block: *library.get(b"aesni_enc")?,
            encrypt: *library.get(b"aesni_xts_enc")?,
            decrypt: *library.get(b"aesni_xts_dec")?,
        }
    };
    add(roster, "kernel-aesni", functions);
    roster.versions.push(version);
    Ok(())
}

/// A shared library of the kernel's files, which is removed when this is dropped.
pub(crate) struct Assembled {
    /// Where it is.
    pub(crate) path: PathBuf,
    _dir: TempDir,
}

/// Makes a shared library of the kernel's files.
pub(crate) fn library(tree: &Path) -> Result<Assembled> {
    let dir = tempfile::tempdir().context("no place for the kernel's engines")?;
    let path = dir.path().join("kernel-xts.so");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-nostdlib"])
        .args(["-Wl,-z,noexecstack", "-Wl,-Bsymbolic"])
        .args(INCLUDE.map(|dir| format!("-I{dir}")))
        .args(SOURCES.map(|file| tree.join(file)))
        .arg("-o")
        .arg(&path);
    let out = cc
        .output()
        .context("cannot start `cc` to assemble the kernel's engines; is package gcc installed?")?;
    if !out.status.success() {
        bail!(
            "the kernel's engines in {} do not assemble; does bench/kernel-shim lack a macro that they use now?\n{}",
            tree.display(),
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(Assembled { path, _dir: dir })
}

/// Opens such a library for the life of the process.
fn assemble(tree: &Path) -> Result<&'static Library> {
    let file = library(tree)?;
    // SAFETY: the library has no initialisation.
    let library = unsafe { Library::new(&file.path) }
        .with_context(|| format!("cannot open {}", file.path.display()))?;
    Ok(Box::leak(Box::new(library)))
}

fn expand(set_key: SetKey, key: &[u8]) -> Box<AesContext> {
    let mut context = Box::new(AesContext {
        encrypt: [0; 60],
        decrypt: [0; 60],
        key_length: 0,
    });
    // SAFETY: the context has the layout of the kernel's, and `key` 16 or 32 bytes.
    unsafe { set_key(&mut *context, key.as_ptr(), key.len() as u32) };
    context
}

/// `Linux 7.3.4`, from the tree's Makefile.
fn version(tree: &Path) -> Result<String> {
    let makefile = fs_err::read_to_string(tree.join("Makefile"))
        .with_context(|| format!("{} is not a kernel source tree", tree.display()))?;
    let part = |name: &str| {
        makefile
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
            .unwrap_or_default()
    };
    Ok(format!(
        "Linux {}.{}.{}",
        part("VERSION"),
        part("PATCHLEVEL"),
        part("SUBLEVEL")
    ))
}

impl Competitor for KernelXts {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind {
        Kind::Kernel
    }

    /// As `xts_crypt()` in aesni-intel_glue.c: the IV is encrypted first, then the data.
    fn crypt(&mut self, request: &mut Request<'_>) -> Result<(), Refused> {
        let mut tweak = plain64(request.sector);
        let tweak = tweak.as_mut_ptr();
        let (src, dst) = (request.src.as_ptr(), request.dst.as_mut_ptr());
        let len = c_int::try_from(request.src.len()).map_err(|_| Refused)?;
        // SAFETY: the contexts are expanded, the tweak has 16 bytes, `src` is readable for `len` bytes and `dst`, which is as long, writable;
        // the CPU has the instructions, or this engine would not have joined.
        unsafe {
            match &self.functions {
                Functions::Avx {
                    encrypt_iv,
                    encrypt,
                    decrypt,
                } => {
                    let crypt = match request.direction {
                        Direction::Encrypt => encrypt,
                        Direction::Decrypt => decrypt,
                    };
                    encrypt_iv(&*self.tweak_key, tweak);
                    crypt(&*self.crypt_key, src, dst, len, tweak);
                }
                Functions::Sse {
                    encrypt_block,
                    encrypt,
                    decrypt,
                } => {
                    let crypt = match request.direction {
                        Direction::Encrypt => encrypt,
                        Direction::Decrypt => decrypt,
                    };
                    encrypt_block(&*self.tweak_key, tweak, tweak.cast_const());
                    crypt(&*self.crypt_key, dst, src, len.unsigned_abs(), tweak);
                }
            }
        }
        Ok(())
    }
}
