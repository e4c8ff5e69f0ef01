// SPDX-License-Identifier: GPL-2.0
//! apt with its own source list, lists and cache below target/, so that the machine's own setup is never edited.
//!
//! There are two such worlds. *Install* knows only the machine's own release, its updates and its backports: nothing of
//! a newer release can slip in as a dependency. *Download* knows the releases that hold the kernel source, and is used only
//! with `apt-get download`, which installs nothing. Signatures are checked by apt, with the keys of the machine's own
//! sources.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{bail, Context, Result};

use crate::paths::Workspace;
use crate::process;
use crate::sources::{self, Mirror};
use crate::space;

/// One private apt world.
pub(crate) struct Apt {
    dir: PathBuf,
    /// Text of its source list.
    list: String,
    /// The machine's own release, for example `bookworm`.
    pub(crate) codename: String,
}

impl Apt {
    /// The machine's release with its updates, security fixes and backports.
    pub(crate) fn for_install(workspace: &Workspace) -> Result<Self> {
        let (mirrors, codename) = machine_mirrors()?;
        let main = sources::find(&mirrors, &codename).with_context(|| no_mirror(&codename))?;
        let mut list = String::new();
        for suite in ["", "-updates", "-backports"] {
            list.push_str(&main.line(&format!("{codename}{suite}")));
        }
        if let Some(security) = sources::find(&mirrors, &format!("{codename}-security")) {
            list.push_str(&security.line(&format!("{codename}-security")));
        }
        Ok(Self {
            dir: workspace.target.join("apt/install"),
            list,
            codename,
        })
    }

    /// The releases that hold the kernel source and rust-src now.
    pub(crate) fn for_download(workspace: &Workspace) -> Result<Self> {
        Self::of_suites(workspace, "download", &["trixie", "trixie-backports"])
    }

    /// Suites whose programs are unpacked for machines under test; a world for each purpose, named as its directory.
    pub(crate) fn for_unpacking(
        workspace: &Workspace,
        name: &str,
        suites: &[&str],
    ) -> Result<Self> {
        Self::of_suites(workspace, name, suites)
    }

    /// The sources of a suite's packages.
    pub(crate) fn for_source(workspace: &Workspace, name: &str, suite: &str) -> Result<Self> {
        let (mirrors, codename) = machine_mirrors()?;
        let main = sources::find(&mirrors, &codename).with_context(|| no_mirror(&codename))?;
        Ok(Self {
            dir: workspace.target.join("apt").join(name),
            list: main.source_line(suite),
            codename,
        })
    }

    /// Where packages go that left the releases above.
    pub(crate) fn for_later_releases(workspace: &Workspace) -> Result<Self> {
        Self::of_suites(workspace, "later", &["testing", "unstable"])
    }

    fn of_suites(workspace: &Workspace, name: &str, suites: &[&str]) -> Result<Self> {
        let (mirrors, codename) = machine_mirrors()?;
        let main = sources::find(&mirrors, &codename).with_context(|| no_mirror(&codename))?;
        let list = suites.iter().map(|suite| main.line(suite)).collect();
        Ok(Self {
            dir: workspace.target.join("apt").join(name),
            list,
            codename,
        })
    }

    /// Fetches the package lists.
    pub(crate) fn update(&self) -> Result<()> {
        for dir in ["lists/partial", "cache/archives/partial"] {
            fs_err::create_dir_all(self.dir.join(dir))?;
        }
        fs_err::write(self.source_list(), &self.list)?;
        // Without this option a mirror that cannot be reached is only a warning.
        let mut update = self.command("apt-get");
        update.args(["-q", "update", "-o", "APT::Update::Error-Mode=any"]);
        let out = process::capture(&mut update)?;
        let said = process::both(&out);
        if space::ran_out(&said) {
            bail!("the disk is full: free some space and run the command again");
        }
        if !out.status.success() {
            let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("E:")).collect();
            bail!(
                "cannot fetch the package lists: check the network and the Debian mirror in this machine's apt sources, \
                 then run the command again\n{}",
                process::tail(&errors.join("\n"))
            );
        }
        Ok(())
    }

    /// The source list, which [`update`](Self::update) writes.
    pub(crate) fn source_list(&self) -> PathBuf {
        self.dir.join("sources.list")
    }

    /// All versions of a package that the lists know, newest first.
    pub(crate) fn versions(&self, package: &str) -> Result<Vec<String>> {
        let madison = process::output(self.command("apt-cache").args(["madison", package]))?;
        Ok(parse_madison(&madison, package))
    }

    /// Downloads one version of a package into the download directory and returns its path.
    pub(crate) fn download(&self, package: &str, version: &str) -> Result<PathBuf> {
        let dir = self.dir.join("packages");
        fs_err::create_dir_all(&dir)?;
        // apt writes the version with its epoch colon escaped.
        let prefix = format!("{package}_{}_", version.replace(':', "%3a"));
        process::shown(
            self.command("apt-get")
                .args(["-q", "download", &format!("{package}={version}")])
                .current_dir(&dir),
        )
        .with_context(|| {
            format!("cannot download {package} {version}: check the network and the free space, then run the command again")
        })?;
        for entry in fs_err::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                return Ok(entry.path());
            }
        }
        bail!(
            "apt-get download {package}={version} left no package in {}",
            dir.display()
        )
    }

    /// Downloads packages with everything they depend on, as for a machine on which nothing is installed. Returns the paths of all.
    pub(crate) fn download_with_dependencies(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let nothing = self.dir.join("status");
        fs_err::write(&nothing, "")?;
        let mut command = self.command("apt-get");
        command.args(["-o", &format!("Dir::State::status={}", nothing.display())]);
        let extended = self.dir.join("extended_states");
        command.args([
            "-o",
            &format!("Dir::State::extended_states={}", extended.display()),
        ]);
        command.args(["-qq", "-y", "--no-install-recommends", "--download-only"]);
        command.arg("install").args(packages);
        process::shown(&mut command).with_context(|| {
            format!("cannot download {packages:?}: check the network and the free space, then run the command again")
        })?;
        let mut paths = Vec::new();
        for entry in fs_err::read_dir(self.dir.join("cache/archives"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                paths.push(path);
            }
        }
        Ok(paths)
    }

    /// Downloads the source of a package and returns upstream's archive, without Debian's changes.
    pub(crate) fn download_source(&self, package: &str) -> Result<PathBuf> {
        let dir = self.dir.join("sources");
        fs_err::create_dir_all(&dir)?;
        process::shown(
            self.command("apt-get")
                .args(["-q", "--download-only", "source", package])
                .current_dir(&dir),
        )
        .with_context(|| {
            format!("cannot download the source of {package}: check the network and the free space, then run the command again")
        })?;
        for entry in fs_err::read_dir(&dir)? {
            let path = entry?.path();
            if path.to_string_lossy().contains(".orig.tar.")
                && path.extension() != Some("asc".as_ref())
            {
                return Ok(path);
            }
        }
        bail!(
            "the source of {package} has no archive of upstream in {}",
            dir.display()
        )
    }

    /// Installs packages (`name` or `name/suite`), shown to the person. `sudo` when we are not root.
    pub(crate) fn install(&self, packages: &[String], as_root: bool) -> Result<()> {
        let mut command = self.command("apt-get");
        command
            .args(["-q", "-y", "--no-install-recommends", "install"])
            .args(packages);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        if !as_root {
            let mut sudo = Command::new("sudo");
            sudo.args(["env", "DEBIAN_FRONTEND=noninteractive"]);
            sudo.arg(command.get_program()).args(command.get_args());
            command = sudo;
        }
        process::shown(&mut command).context("the packages could not be installed")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let dir = self.dir.display();
        for option in [
            format!("Dir::Etc::sourcelist={dir}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            // The machine's pins are about its own sources; with ours they could only surprise.
            "Dir::Etc::preferences=/dev/null".to_owned(),
            "Dir::Etc::preferencesparts=/dev/null".to_owned(),
            format!("Dir::State::lists={dir}/lists"),
            format!("Dir::Cache={dir}/cache"),
            // The unprivileged user that root's apt changes to often cannot enter target/.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Retries=3".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command.env("LC_ALL", "C.UTF-8");
        command
    }
}

fn no_mirror(codename: &str) -> String {
    format!(
        "this machine's apt sources (/etc/apt/sources.list, /etc/apt/sources.list.d) name no Debian mirror for `{codename}`: \
         add one, or give a kernel source with `cargo xtask kernel build --kernel-src DIR`"
    )
}

/// The mirrors of the machine's own apt sources, and the name of its release.
fn machine_mirrors() -> Result<(Vec<Mirror>, String)> {
    let os_release = fs_err::read_to_string("/etc/os-release")?;
    let codename = sources::codename(&os_release).context(
        "/etc/os-release names no release (VERSION_CODENAME): packages can be installed on Debian 12 or newer only",
    )?;
    let mut mirrors = Vec::new();
    if let Ok(text) = fs_err::read_to_string("/etc/apt/sources.list") {
        mirrors.extend(sources::parse_list(&text));
    }
    if let Ok(entries) = fs_err::read_dir("/etc/apt/sources.list.d") {
        for entry in entries {
            let path = entry?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("list") => {
                    mirrors.extend(sources::parse_list(&fs_err::read_to_string(&path)?))
                }
                Some("sources") => {
                    mirrors.extend(sources::parse_deb822(&fs_err::read_to_string(&path)?))
                }
                _ => {}
            }
        }
    }
    Ok((mirrors, codename))
}

/// `apt-cache madison`: lines of `package | version | source`.
fn parse_madison(text: &str, package: &str) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('|').map(str::trim);
        if let (Some(name), Some(version), Some(source)) =
            (fields.next(), fields.next(), fields.next())
        {
            if name == package
                && source.ends_with("Packages")
                && !versions.iter().any(|seen| seen == version)
            {
                versions.push(version.to_owned());
            }
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn madison_lists_each_version_once() {
        let text = "\
 linux-source-7.3 | 7.3.6-1 | http://mirror.test/debian unstable/main amd64 Packages
 linux-source-7.3 | 7.3.4-1~bpo13+1 | http://mirror.test/debian trixie-backports/main amd64 Packages
 linux-source-7.3 | 7.3.4-1~bpo13+1 | http://mirror.test/debian testing/main amd64 Packages
      linux | 7.3.4-1 | http://mirror.test/debian trixie-backports/main Sources
";
        assert_eq!(
            parse_madison(text, "linux-source-7.3"),
            ["7.3.6-1", "7.3.4-1~bpo13+1"]
        );
        assert!(parse_madison("", "linux-source-7.3").is_empty());
    }
}
