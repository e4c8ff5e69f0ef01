// SPDX-License-Identifier: GPL-2.0
//! The new kernel files: `rust/` of this repository mirrors where they go in the tree.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{bail, Result};

use crate::layer::{list, Files, Layer};

/// Where a directory or file of the repository goes in the kernel tree.
const MIRRORS: &[(&str, &str)] = &[
    ("rust/kernel", "rust/kernel"),
    ("rust/helpers", "rust/helpers"),
    // Before the directory that it is in.
    ("rust/amnesia/asm", "drivers/crypto/tresor/asm/amnesia"),
    ("rust/tresor/asm", "drivers/crypto/tresor/asm"),
    (
        "rust/amnesia/include/asm/msr-home.h",
        "arch/x86/include/asm/msr-home.h",
    ),
    ("rust/tresor/include/asm", "arch/x86/include/asm"),
    // Before the directory that it is in.
    ("rust/amnesia/src", "drivers/crypto/tresor/src/amnesia"),
    ("rust/tresor/src", DRIVER_SRC),
    ("rust/tresor/Kconfig", "drivers/crypto/tresor/Kconfig"),
    ("rust/tresor/Makefile", "drivers/crypto/tresor/Makefile"),
    (
        "rust/tresor/static_calls.c",
        "drivers/crypto/tresor/static_calls.c",
    ),
    (
        "rust/tresor/livepatch-test.c",
        "drivers/crypto/tresor/livepatch-test.c",
    ),
];

/// Parts of the driver's sources that only cargo compiles: the library's root, the reference in ordinary memory, and what links
/// the engines into user space.
const USER_ONLY: &[&str] = &["lib.rs", "reference.rs", "reference", "user.rs", "user"];

/// Directory in the kernel tree that only our driver makes.
pub(crate) const DRIVER_DIR: &str = "drivers/crypto/tresor";

/// The driver's Rust sources in the kernel tree.
const DRIVER_SRC: &str = "drivers/crypto/tresor/src";

/// All new files by their path in the tree.
pub(crate) fn files(root: &Path) -> Result<Files> {
    let mut files = Files::new();
    for (from, to) in MIRRORS {
        let from = root.join(from);
        if from.is_file() {
            files.insert(PathBuf::from(to), fs_err::read(&from)?);
        } else if from.is_dir() {
            for path in list(&from)?.into_iter().filter(|path| is_source(path)) {
                if to.starts_with(DRIVER_SRC) && USER_ONLY.iter().any(|user| path.starts_with(user))
                {
                    continue;
                }
                files.insert(Path::new(to).join(&path), fs_err::read(from.join(&path))?);
            }
        }
    }
    Ok(files)
}

/// Where a file of the tree comes from in the repository, for messages that a person can act on.
pub(crate) fn source_of(tree_path: &Path) -> Option<PathBuf> {
    MIRRORS.iter().find_map(|(from, to)| {
        let rest = tree_path.strip_prefix(to).ok()?;
        Some(if rest.as_os_str().is_empty() {
            PathBuf::from(from)
        } else {
            Path::new(from).join(rest)
        })
    })
}

/// Patched and new files together; a new file must be new.
pub(crate) fn combine(layer: &Layer, mut patched: Files, new: &Files) -> Result<Files> {
    for (path, content) in new {
        if patched.contains_key(path) || layer.original(path)?.is_some() {
            bail!(
                "the kernel tree already has {}: it is already patched, or of another version than the patches",
                path.display()
            );
        }
        patched.insert(path.clone(), content.clone());
    }
    Ok(patched)
}

/// Leaves out what editors and patch leave behind.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = path.extension().and_then(OsStr::to_str);
    !name.starts_with('.')
        && !name.ends_with('~')
        && !matches!(extension, Some("orig" | "rej" | "o" | "swp"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::write_atomically;

    #[test]
    fn mirrors_map_both_ways() -> Result<()> {
        let dir = tempfile::tempdir()?;
        for path in [
            "rust/kernel/crypto/skcipher.rs",
            "rust/amnesia/asm/window-msr.S",
            "rust/amnesia/include/asm/msr-home.h",
            "rust/amnesia/src/lib.rs",
            "rust/amnesia/src/mod.rs",
            "rust/amnesia/src/wrapped.rs",
            "rust/tresor/Kconfig",
            "rust/tresor/src/tresor.rs",
            "rust/tresor/src/tresor.rs.orig",
            "rust/tresor/src/lib.rs",
            "rust/tresor/src/reference/xts.rs",
            "rust/tresor/tests/user.rs",
            "rust/tresor/Cargo.toml",
        ] {
            write_atomically(&dir.path().join(path), b"x")?;
        }
        let files = files(dir.path())?;
        let paths: Vec<String> = files
            .keys()
            .map(|path| path.display().to_string())
            .collect();
        assert_eq!(
            paths,
            [
                "arch/x86/include/asm/msr-home.h",
                "drivers/crypto/tresor/Kconfig",
                "drivers/crypto/tresor/asm/amnesia/window-msr.S",
                "drivers/crypto/tresor/src/amnesia/mod.rs",
                "drivers/crypto/tresor/src/amnesia/wrapped.rs",
                "drivers/crypto/tresor/src/tresor.rs",
                "rust/kernel/crypto/skcipher.rs"
            ]
        );
        for path in files.keys() {
            let source = source_of(path).expect("every new file has a source");
            assert!(dir.path().join(source).is_file());
        }
        assert_eq!(source_of(Path::new("kernel/panic.c")), None);
        Ok(())
    }

    #[test]
    fn a_new_file_that_exists_is_refused() -> Result<()> {
        let dir = tempfile::tempdir()?;
        write_atomically(
            &dir.path().join("tree/drivers/crypto/tresor/Kconfig"),
            b"theirs",
        )?;
        let layer = Layer::new(&dir.path().join("tree"), &dir.path().join("pristine"));
        let new = Files::from([(
            PathBuf::from("drivers/crypto/tresor/Kconfig"),
            b"ours".to_vec(),
        )]);
        let error = combine(&layer, Files::new(), &new).unwrap_err().to_string();
        assert!(error.contains("already"), "{error}");
        Ok(())
    }
}
