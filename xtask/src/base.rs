// SPDX-License-Identifier: GPL-2.0
//! The kernel base that the patches belong to, and the order of the patches.

use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

/// kernel-patches/7.3/base: Debian's source package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// For example `linux-source-7.3`.
    pub(crate) package: String,
    /// The version the patches were made for.
    pub(crate) version: String,
    /// SHA-256 of the package file of that version, in hex.
    pub(crate) sha256: String,
}

impl Base {
    /// Reads the base file of a patch directory.
    pub(crate) fn read(patches: &Path) -> Result<Self> {
        let path = patches.join("base");
        let text = fs_err::read_to_string(&path)?;
        Self::parse(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let get = |field: &str| {
            lines(text)
                .find_map(|line| line.strip_prefix(field)?.strip_prefix(' '))
                .map(|value| value.trim().to_owned())
                .with_context(|| format!("the line `{field} ...` is missing"))
        };
        let base = Self {
            package: get("package")?,
            version: get("version")?,
            sha256: get("sha256")?,
        };
        if base.sha256.len() != 64 || !base.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            bail!("`sha256` is not 64 hex digits");
        }
        base.series()?;
        Ok(base)
    }

    /// The kernel series, for example `7.3`.
    pub(crate) fn series(&self) -> Result<&str> {
        self.package
            .strip_prefix("linux-source-")
            .with_context(|| format!("`{}` is not a linux-source package", self.package))
    }
}

/// Reads kernel-patches/7.3/series: the patch files in order. No series file means no patches yet.
pub(crate) fn read_series(patches: &Path) -> Result<Vec<PathBuf>> {
    let path = patches.join("series");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs_err::read_to_string(&path)?;
    let names = parse_series(&text).with_context(|| format!("{} is damaged", path.display()))?;
    Ok(names.iter().map(|name| patches.join(name)).collect())
}

fn parse_series(text: &str) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for line in lines(text) {
        if line.contains(char::is_whitespace) || line.contains('/') {
            bail!("`{line}` is not a file name: one patch of this directory per line, no options");
        }
        if names.iter().any(|name| name == line) {
            bail!("`{line}` is listed twice");
        }
        names.push(line.to_owned());
    }
    Ok(names)
}

/// Lines of a hand-written file without comments and empty lines.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_file() {
        let sha256 = "0123456789abcdef".repeat(4);
        let text =
            format!("# why\npackage linux-source-7.3\nversion 7.3.4-1~bpo13+1\nsha256 {sha256}\n");
        let base = Base::parse(&text).expect("a complete file");
        assert_eq!(base.series().expect("a kernel package"), "7.3");
        assert_eq!(base.version, "7.3.4-1~bpo13+1");
        assert!(Base::parse(&text.replace("sha256 0", "sha256 ")).is_err());
        assert!(Base::parse(&text.replace("version", "versoin")).is_err());
        assert!(Base::parse(&text.replace("linux-source-7.3", "bash")).is_err());
    }

    #[test]
    fn series_file() {
        assert_eq!(
            parse_series("# c\n0001-a.patch\n\n0002-b.patch # why\n").expect("good"),
            ["0001-a.patch", "0002-b.patch"]
        );
        assert!(parse_series("a.patch\na.patch\n").is_err());
        assert!(parse_series("a.patch -p0\n").is_err());
        assert!(parse_series("../a.patch\n").is_err());
    }
}
