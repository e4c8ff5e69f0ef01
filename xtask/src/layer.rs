// SPDX-License-Identifier: GPL-2.0
//! Our changes on top of a kernel tree, kept so that an unchanged file is never written: make looks at the times.
//!
//! Beside the tree a *pristine* directory holds a copy of every file that was ever changed. It is made before the file is
//! touched, so after an interruption at any point the next run still knows the original. A file that the original tree
//! does not have is recorded by an empty marker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::WalkDir;

/// Content of files by their path in the tree.
pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A kernel tree and the originals of what was changed in it.
pub(crate) struct Layer {
    tree: PathBuf,
    originals: PathBuf,
    absent: PathBuf,
}

impl Layer {
    /// `pristine` is a directory outside the tree.
    pub(crate) fn new(tree: &Path, pristine: &Path) -> Self {
        Self {
            tree: tree.to_owned(),
            originals: pristine.join("originals"),
            absent: pristine.join("absent"),
        }
    }

    /// The original content of a file; nothing if the original tree does not have it.
    pub(crate) fn original(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        if self.absent.join(path).exists() {
            return Ok(None);
        }
        for dir in [&self.originals, &self.tree] {
            let file = dir.join(path);
            if file.is_file() {
                return Ok(Some(fs_err::read(file)?));
            }
        }
        Ok(None)
    }

    /// Makes the tree the original plus `files`. Returns the number of files written or removed.
    pub(crate) fn apply(&self, files: &Files) -> Result<usize> {
        let mut changed = 0;
        for path in self.recorded()? {
            if !files.contains_key(&path) {
                changed += usize::from(self.restore(&path)?);
            }
        }
        for (path, content) in files {
            self.record(path)?;
            changed += usize::from(write_if_changed(&self.tree.join(path), content)?);
        }
        Ok(changed)
    }

    /// Every path that may differ from the original.
    fn recorded(&self) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for dir in [&self.originals, &self.absent] {
            if dir.exists() {
                paths.extend(list(dir)?);
            }
        }
        Ok(paths)
    }

    fn record(&self, path: &Path) -> Result<()> {
        if self.originals.join(path).exists() || self.absent.join(path).exists() {
            return Ok(());
        }
        let file = self.tree.join(path);
        if file.exists() {
            write_atomically(&self.originals.join(path), &fs_err::read(file)?)
        } else {
            write_atomically(&self.absent.join(path), b"")
        }
    }

    /// Puts the original back, then forgets the record: in this order an interruption does no harm.
    fn restore(&self, path: &Path) -> Result<bool> {
        let (original, absent, file) = (
            self.originals.join(path),
            self.absent.join(path),
            self.tree.join(path),
        );
        if original.exists() {
            let changed = write_if_changed(&file, &fs_err::read(&original)?)?;
            fs_err::remove_file(original)?;
            return Ok(changed);
        }
        let existed = file.exists();
        if existed {
            fs_err::remove_file(&file)?;
            remove_empty_parents(&file, &self.tree);
        }
        fs_err::remove_file(absent)?;
        Ok(existed)
    }
}

/// Files below a directory, relative to it, in order.
pub(crate) fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read {}", dir.display()))?;
        if entry.file_type().is_file() {
            paths.push(entry.path().strip_prefix(dir)?.to_owned());
        }
    }
    Ok(paths)
}

/// Writes the file unless it already has this content.
pub(crate) fn write_if_changed(path: &Path, content: &[u8]) -> Result<bool> {
    if path.exists() && fs_err::read(path)? == content {
        return Ok(false);
    }
    write_atomically(path, content)?;
    Ok(true)
}

/// Writes a file that is never seen half-written.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let dir = path
        .parent()
        .context("a file below a directory has a parent")?;
    fs_err::create_dir_all(dir)?;
    let mode = path.metadata().map(|metadata| metadata.permissions()).ok();
    let file = tempfile::NamedTempFile::new_in(dir)?;
    fs_err::write(file.path(), content)?;
    let mode = mode.unwrap_or_else(|| std::os::unix::fs::PermissionsExt::from_mode(0o644));
    fs_err::set_permissions(file.path(), mode)?;
    file.persist(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// A directory that the original tree does not have goes with its last file.
fn remove_empty_parents(file: &Path, top: &Path) {
    for dir in file.ancestors().skip(1).take_while(|dir| *dir != top) {
        if std::fs::remove_dir(dir).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(entries: &[(&str, &str)]) -> Files {
        entries
            .iter()
            .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
            .collect()
    }

    fn read(tree: &Path, path: &str) -> Option<String> {
        fs_err::read_to_string(tree.join(path)).ok()
    }

    #[test]
    fn changes_come_and_go_and_unchanged_files_are_not_written() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let tree = dir.path().join("tree");
        write_atomically(&tree.join("a/Makefile"), b"original")?;
        let layer = Layer::new(&tree, &dir.path().join("pristine"));

        let first = files(&[("a/Makefile", "patched"), ("new/deep/x.rs", "one")]);
        assert_eq!(layer.apply(&first)?, 2);
        assert_eq!(layer.apply(&first)?, 0);
        assert_eq!(
            layer.original(Path::new("a/Makefile"))?.as_deref(),
            Some(b"original".as_slice())
        );
        assert_eq!(layer.original(Path::new("new/deep/x.rs"))?, None);

        let second = files(&[("a/Makefile", "patched"), ("new/y.rs", "two")]);
        assert_eq!(layer.apply(&second)?, 2);
        assert_eq!(read(&tree, "new/deep/x.rs"), None);
        assert!(!tree.join("new/deep").exists());

        assert_eq!(layer.apply(&Files::new())?, 2);
        assert_eq!(read(&tree, "a/Makefile").as_deref(), Some("original"));
        assert!(!tree.join("new").exists());
        assert_eq!(layer.recorded()?, Vec::<PathBuf>::new());
        Ok(())
    }

    #[test]
    fn an_interruption_between_record_and_write_loses_nothing() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let tree = dir.path().join("tree");
        write_atomically(&tree.join("f"), b"original")?;
        let layer = Layer::new(&tree, &dir.path().join("pristine"));
        layer.record(Path::new("f"))?;
        fs_err::write(tree.join("f"), "half")?;
        layer.apply(&Files::new())?;
        assert_eq!(read(&tree, "f").as_deref(), Some("original"));
        Ok(())
    }
}
