// SPDX-License-Identifier: GPL-2.0
//! Reading the machine's apt sources, in both of their formats, to learn its mirror and key.

/// One suite on one mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// Address of the archive.
    pub(crate) uri: String,
    /// For example `bookworm`.
    pub(crate) suite: String,
    /// Key file the archive is signed with; without it apt's trusted keys count.
    pub(crate) signed_by: Option<String>,
}

impl Mirror {
    /// A one-line source entry for another suite of the same archive.
    pub(crate) fn line(&self, suite: &str) -> String {
        self.entry("deb", suite)
    }

    /// The same for the sources of its packages.
    pub(crate) fn source_line(&self, suite: &str) -> String {
        self.entry("deb-src", suite)
    }

    fn entry(&self, kind: &str, suite: &str) -> String {
        let signed_by = self
            .signed_by
            .as_ref()
            .map_or_else(String::new, |key| format!("[signed-by={key}] "));
        format!("{kind} {signed_by}{} {suite} main\n", self.uri)
    }
}

/// The first mirror of a suite.
pub(crate) fn find<'a>(mirrors: &'a [Mirror], suite: &str) -> Option<&'a Mirror> {
    mirrors.iter().find(|mirror| mirror.suite == suite)
}

/// `VERSION_CODENAME` of /etc/os-release.
pub(crate) fn codename(os_release: &str) -> Option<String> {
    os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim().trim_matches('"').to_owned())
        .filter(|name| !name.is_empty())
}

/// The one-line format: `deb [options] uri suite component...`.
pub(crate) fn parse_list(text: &str) -> Vec<Mirror> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mirror> {
    let line = line.split('#').next()?.trim();
    let mut rest = line
        .strip_prefix("deb")?
        .strip_prefix([' ', '\t'])?
        .trim_start();
    let mut signed_by = None;
    if let Some(inner) = rest.strip_prefix('[') {
        let (options, after) = inner.split_once(']')?;
        signed_by = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .map(str::to_owned);
        rest = after;
    }
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    (usable(uri) && words.any(|component| component == "main")).then(|| Mirror {
        uri: uri.to_owned(),
        suite: suite.to_owned(),
        signed_by,
    })
}

/// The deb822 format: stanzas of `Field: value`, continued by indented lines.
pub(crate) fn parse_deb822(text: &str) -> Vec<Mirror> {
    let mut mirrors = Vec::new();
    let mut stanza: Vec<(String, String)> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .chain([""])
    {
        if line.trim().is_empty() {
            mirrors.extend(stanza_mirrors(&stanza));
            stanza.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((field, value)) = line.split_once(':') {
            stanza.push((field.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    mirrors
}

fn stanza_mirrors(stanza: &[(String, String)]) -> Vec<Mirror> {
    let get = |name: &str| {
        stanza
            .iter()
            .find(|(field, _)| field == name)
            .map_or("", |(_, value)| value.as_str())
    };
    let has = |name: &str, word: &str| get(name).split_whitespace().any(|value| value == word);
    if !has("types", "deb")
        || !has("components", "main")
        || get("enabled").eq_ignore_ascii_case("no")
    {
        return Vec::new();
    }
    // A key can also be written out in the stanza; only a file can be named in our list.
    let signed_by = get("signed-by")
        .split_whitespace()
        .next()
        .filter(|key| key.starts_with('/'));
    let mut mirrors = Vec::new();
    for uri in get("uris").split_whitespace().filter(|uri| usable(uri)) {
        for suite in get("suites").split_whitespace() {
            mirrors.push(Mirror {
                uri: uri.to_owned(),
                suite: suite.to_owned(),
                signed_by: signed_by.map(str::to_owned),
            });
        }
    }
    mirrors
}

/// An installation disc holds no other suites.
fn usable(uri: &str) -> bool {
    uri.contains(':') && !uri.starts_with("cdrom:")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb deb-src
# a comment between the fields
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://mirror.test/off
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: https://other.test/node_20.x
Suites: nodistro
Components:
 main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
";

    #[test]
    fn deb822_gives_mirror_suite_and_key() {
        let mirrors = parse_deb822(DEB822);
        let suites: Vec<&str> = mirrors.iter().map(|mirror| mirror.suite.as_str()).collect();
        assert_eq!(suites, ["bookworm", "bookworm-updates", "nodistro"]);
        let main = find(&mirrors, "bookworm").expect("the first stanza names it");
        assert_eq!(
            main.line("trixie-backports"),
            "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian trixie-backports main\n"
        );
        assert_eq!(mirrors[2].signed_by, None);
        assert_eq!(find(&mirrors, "sid"), None);
    }

    #[test]
    fn one_line_entries() {
        let text = "\
# deb http://mirror.test/commented bookworm main
deb cdrom:[Debian GNU/Linux 12]/ bookworm main
deb-src http://mirror.test/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.test/debian bookworm main contrib # why
deb\thttps://mirror.test/security bookworm-security main
deb http://mirror.test/partial bookworm contrib
";
        let mirrors = parse_list(text);
        assert_eq!(mirrors.len(), 2, "{mirrors:?}");
        assert_eq!(
            mirrors[0].line("x"),
            "deb [signed-by=/k.gpg] http://mirror.test/debian x main\n"
        );
        assert_eq!(
            mirrors[1].line("y"),
            "deb https://mirror.test/security y main\n"
        );
    }

    #[test]
    fn release_name() {
        assert_eq!(
            codename("ID=debian\nVERSION_CODENAME=bookworm\n").as_deref(),
            Some("bookworm")
        );
        assert_eq!(
            codename("VERSION_CODENAME=\"trixie\"").as_deref(),
            Some("trixie")
        );
        assert_eq!(codename("ID=alpine\n"), None);
    }
}
