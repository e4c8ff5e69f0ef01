// SPDX-License-Identifier: GPL-2.0
//! The kernel configuration: tinyconfig plus our fragments, and proof that every line took effect.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

use crate::layer::write_if_changed;
use crate::make::Make;
use crate::process;

/// A fragment file: its name and text.
pub(crate) struct Fragment {
    name: String,
    text: String,
}

/// All fragments in the order of their names.
pub(crate) fn fragments(dir: &Path) -> Result<Vec<Fragment>> {
    let mut paths: Vec<PathBuf> = fs_err::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "config")
        })
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            Ok(Fragment {
                name,
                text: fs_err::read_to_string(path)?,
            })
        })
        .collect()
}

/// The fragments as one text, for the stamp and for kconfig.
pub(crate) fn joined(fragments: &[Fragment]) -> String {
    fragments
        .iter()
        .map(|fragment| format!("# {}\n{}\n", fragment.name, fragment.text))
        .collect()
}

/// Writes the configuration into the build directory. It is touched only when it changes.
pub(crate) fn generate(make: &Make, fragments: &[Fragment]) -> Result<()> {
    let new = make.out().join("config.new");
    let kconfig = |target: &str| {
        process::output(make.command(&[target]).env("KCONFIG_CONFIG", &new))
            .with_context(|| format!("the kernel's `make {target}` failed"))
    };
    kconfig("tinyconfig")?;
    let mut text = fs_err::read_to_string(&new)?;
    text.push_str(&joined(fragments));
    fs_err::write(&new, text)?;
    kconfig("olddefconfig")?;
    let text = fs_err::read_to_string(&new)?;
    check(fragments, &text)?;
    write_if_changed(&make.out().join(".config"), text.as_bytes())?;
    fs_err::remove_file(&new)?;
    Ok(())
}

/// Writes a configuration of somebody's own into the build directory, with what the fragments say. Returns which of its lines these changed.
pub(crate) fn adapt(make: &Make, theirs: &str, fragments: &[Fragment]) -> Result<Vec<String>> {
    let new = make.out().join("config.new");
    fs_err::write(&new, format!("{theirs}\n{}", joined(fragments)))?;
    process::output(make.command(&["olddefconfig"]).env("KCONFIG_CONFIG", &new))
        .context("the kernel's `make olddefconfig` failed")?;
    let text = fs_err::read_to_string(&new)?;
    check(fragments, &text)?;
    write_if_changed(&make.out().join(".config"), text.as_bytes())?;
    fs_err::remove_file(&new)?;
    Ok(changes(theirs, fragments))
}

/// The lines that fragments change, as `SYMBOL: before -> after`.
fn changes(theirs: &str, fragments: &[Fragment]) -> Vec<String> {
    let before: BTreeMap<&str, &str> = theirs.lines().filter_map(setting).collect();
    fragments
        .iter()
        .flat_map(|fragment| fragment.text.lines().filter_map(setting))
        .filter_map(|(symbol, after)| {
            let before = before.get(symbol).copied().unwrap_or("n");
            (!same(before, after)).then(|| format!("{symbol}: {before} -> {after}"))
        })
        .collect()
}

/// Every line of the fragments must have taken effect: kconfig drops without a word what it cannot satisfy.
fn check(fragments: &[Fragment], config: &str) -> Result<()> {
    let have: BTreeMap<&str, &str> = config.lines().filter_map(setting).collect();
    let mut wanted: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for fragment in fragments {
        for (symbol, value) in fragment.text.lines().filter_map(setting) {
            if let Some((earlier, other)) = wanted.insert(symbol, (value, &fragment.name)) {
                if earlier != value {
                    wrong.push(format!(
                        "{symbol} is {earlier} in {other} but {value} in {}",
                        fragment.name
                    ));
                }
            }
            let actual = have.get(symbol).copied().unwrap_or("n");
            if !same(actual, value) {
                wrong.push(format!(
                    "{symbol}={value} ({}) became {actual}",
                    fragment.name
                ));
            }
        }
    }
    if !wrong.is_empty() {
        bail!(
            "configuration lines without effect (a dependency is missing, or the kernel renamed the symbol):\n  {}",
            wrong.join("\n  ")
        );
    }
    Ok(())
}

/// Whether two values are one: a text that is empty may be there or not.
fn same(a: &str, b: &str) -> bool {
    let nothing = |value: &str| ["n", "\"\""].contains(&value);
    a == b || (nothing(a) && nothing(b))
}

/// `CONFIG_X=value` or `# CONFIG_X is not set`, which is the value `n`.
fn setting(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("# ") {
        return rest
            .strip_suffix(" is not set")
            .filter(|symbol| symbol.starts_with("CONFIG_"))
            .map(|symbol| (symbol, "n"));
    }
    line.split_once('=')
        .filter(|(symbol, _)| symbol.starts_with("CONFIG_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(text: &str) -> Fragment {
        Fragment {
            name: "test.config".into(),
            text: text.into(),
        }
    }

    const CONFIG: &str =
        "CONFIG_SMP=y\nCONFIG_NR_CPUS=8\n# CONFIG_KGDB is not set\nCONFIG_LOCALVERSION=\"-x\"\n";

    #[test]
    fn lines_in_effect_pass() {
        let good = "# why\nCONFIG_SMP=y\nCONFIG_NR_CPUS=8\n# CONFIG_KGDB is not set\n# CONFIG_UNKNOWN is not set\n\
                    CONFIG_LOCALVERSION=\"-x\"\n";
        assert!(check(&[fragment(good)], CONFIG).is_ok());
    }

    #[test]
    fn a_dropped_line_is_named() {
        for (bad, name) in [
            ("CONFIG_DM_CRYPT=y", "CONFIG_DM_CRYPT"),
            ("CONFIG_NR_CPUS=4", "CONFIG_NR_CPUS"),
            ("# CONFIG_SMP is not set", "CONFIG_SMP"),
            ("CONFIG_KGDB=y", "CONFIG_KGDB"),
        ] {
            let error = check(&[fragment(bad)], CONFIG).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("test.config"),
                "{error}"
            );
        }
    }

    #[test]
    fn only_what_is_different_is_called_a_change() {
        let ours = fragment("CONFIG_SMP=y\n# CONFIG_KGDB is not set\n# CONFIG_NR_CPUS is not set\nCONFIG_KEYS=\"\"\nCONFIG_RUST=y");
        assert_eq!(
            changes(CONFIG, &[ours]),
            ["CONFIG_NR_CPUS: 8 -> n", "CONFIG_RUST: n -> y"]
        );
    }

    #[test]
    fn fragments_that_contradict_each_other_are_refused() {
        let fragments = [fragment("CONFIG_SMP=n"), fragment("CONFIG_SMP=y")];
        assert!(check(&fragments, CONFIG).is_err());
    }
}
