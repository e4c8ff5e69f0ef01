// SPDX-License-Identifier: GPL-2.0
//! What waited in vain beside another machine is done once more, alone.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, RwLock};

use anyhow::Result;
use qemu_tests::is_late;

/// Which scenarios were repeated, and the right to run: shared by most, exclusive for those.
#[derive(Default)]
pub(super) struct Repeats {
    alone: RwLock<()>,
    names: Mutex<Vec<String>>,
}

impl Repeats {
    /// Does `work`; if that is late, calls `keep`, which moves its logs away and returns where they are, and does it again when nothing
    /// else runs. Any other failure stays one, and so does the second.
    pub(super) fn run(
        &self,
        name: &str,
        keep: impl FnOnce() -> Result<PathBuf>,
        work: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let first = {
            let _beside_others = self.alone.read().unwrap_or_else(PoisonError::into_inner);
            work()
        };
        match first {
            Err(error) if is_late(&error) => {
                let kept = keep()?;
                eprintln!(
                    "{name} waited in vain; once more when no other machine runs. Its logs: {}\n{error:#}",
                    kept.display()
                );
                let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
                names.push(name.to_owned());
                drop(names);
                let _alone = self.alone.write().unwrap_or_else(PoisonError::into_inner);
                work()
            }
            result => result,
        }
    }

    /// Those that were repeated.
    pub(super) fn names(self) -> Vec<String> {
        self.names
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::TryLockError;

    use anyhow::anyhow;
    use qemu_tests::late;

    use super::*;

    /// The result of work that ends with each of `errors` in turn, how often it was done, and what is on record.
    fn run(errors: [Option<anyhow::Error>; 2]) -> (Result<()>, usize, Vec<String>) {
        let repeats = Repeats::default();
        let errors = errors.map(|error| Cell::new(Some(error)));
        let done = Cell::new(0);
        let result = repeats.run(
            "name",
            || Ok("kept".into()),
            || {
                let which = done.replace(done.get() + 1);
                let shared = repeats.alone.try_read().is_ok();
                assert_eq!(shared, which == 0, "only the second time is alone");
                let exclusive = matches!(repeats.alone.try_write(), Err(TryLockError::WouldBlock));
                assert!(exclusive, "nobody else may be alone meanwhile");
                errors[which].take().unwrap().map_or(Ok(()), Err)
            },
        );
        (result, done.get(), repeats.names())
    }

    #[test]
    fn late_is_done_again_and_told() {
        let (result, done, names) = run([Some(late("no answer")), None]);
        assert!(result.is_ok());
        assert_eq!((done, names), (2, vec!["name".to_owned()]));
    }

    #[test]
    fn late_twice_has_failed() {
        let (result, done, _) = run([Some(late("no answer")), Some(late("no answer"))]);
        assert!(result.is_err());
        assert_eq!(done, 2);
    }

    #[test]
    fn another_failure_is_not_tried_again() {
        let (result, done, names) = run([Some(anyhow!("a leak")), None]);
        assert!(result.is_err());
        assert_eq!((done, names), (1, vec![]));
    }

    #[test]
    fn what_passes_is_done_once() {
        let (result, done, names) = run([None, None]);
        assert!(result.is_ok());
        assert_eq!((done, names), (1, vec![]));
    }

    #[test]
    fn second_try_without_logs_moved_does_not_happen() {
        let repeats = Repeats::default();
        let done = Cell::new(0);
        let work = || {
            done.set(done.get() + 1);
            Err(late("no answer"))
        };
        let result = repeats.run("name", || Err(anyhow!("full disk")), work);
        assert!(result.unwrap_err().to_string().contains("full disk"));
        assert_eq!(done.get(), 1);
    }
}
