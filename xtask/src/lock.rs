// SPDX-License-Identifier: GPL-2.0
//! Two runs in one directory would destroy each other: the second waits for the first.

use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{flock, FlockOperation};

/// A directory that is ours until this value is dropped, also when we are killed.
pub(crate) struct Lock {
    _file: fs_err::File,
}

/// Takes the directory, waiting for another run if need be.
pub(crate) fn take(dir: &Path) -> Result<Lock> {
    fs_err::create_dir_all(dir)?;
    let path = dir.join("lock");
    let file = fs_err::File::create(&path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        eprintln!(
            "another cargo xtask is using {}: waiting for it to end",
            dir.display()
        );
        flock(&file, FlockOperation::LockExclusive)
            .with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(Lock { _file: file })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_second_run_waits_for_the_first() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let first = take(dir.path())?;
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let second = scope.spawn(|| take(dir.path()).map(|_lock| ended.load(Ordering::SeqCst)));
            thread::sleep(Duration::from_millis(100));
            ended.store(true, Ordering::SeqCst);
            drop(first);
            assert!(second.join().expect("no panic")?, "it did not wait");
            Ok(())
        })
    }
}
