// SPDX-License-Identifier: GPL-2.0

//! Waiting in vain: the one kind of failure that may also be the host's, which had other things to do than to emulate this machine.

use std::fmt;

use anyhow::Error;

/// Something did not come in the time it was given. The text says what, and how long.
#[derive(Debug)]
pub(crate) struct Late(pub(crate) String);

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Late {}

/// Whether a scenario failed because it waited in vain, whatever the contexts that were added say. A wrong result, a leak, a complaint of the kernel
/// or a machine that is gone is something else, and so is verified I/O without progress: that is what a lost request looks like.
pub fn is_late(error: &Error) -> bool {
    error.downcast_ref::<Late>().is_some()
}

/// Such a failure, for tests of what is done about one.
pub fn late(what: &str) -> Error {
    Late(what.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use anyhow::{anyhow, Context, Result};

    use super::{is_late, late};

    #[test]
    fn only_waiting_in_vain_is_late() {
        let late: Result<()> = Err(late("no answer"));
        assert!(is_late(&late.context("booting").unwrap_err()));
        assert!(!is_late(&anyhow!("no answer").context("booting")));
    }
}
