// SPDX-License-Identifier: GPL-2.0
//! Files of NIST's Cryptographic Algorithm Validation Program. They are not committed: a Debian
//! package has them.

const PACKAGE: &str = "python3-cryptography-vectors";

/// Where the package puts those of AES.
const DIRECTORY: &str = "/usr/lib/python3/dist-packages/cryptography_vectors/ciphers/AES";

/// The text of a file, named below the directory of AES.
pub(crate) fn read(path: &str) -> String {
    let path = format!("{DIRECTORY}/{path}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "cannot read {path}: {error}; install the Debian package {PACKAGE}, as \
             `cargo xtask setup` does"
        )
    })
}

/// The cases of a text, each from its count on.
pub(crate) fn cases(text: &str) -> impl Iterator<Item = &str> {
    text.split("COUNT = ").skip(1)
}

/// A field of a case.
pub(crate) fn field<'a>(case: &'a str, name: &str) -> Option<&'a str> {
    case.lines()
        .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" = "))
}
