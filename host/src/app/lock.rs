//! One host for one installation.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use rustix::fs::FlockOperation;

/// How long to wait for the lock of a host that has just died.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// Whether the folder is an installation.
///
/// # Errors
/// Says how to make one.
pub fn check(root: &Path) -> anyhow::Result<()> {
    if !root.join("data").is_dir() {
        bail!(
            "`{}` is no Longshore installation; `longshore setup` or `longshore init` makes one there",
            root.display()
        );
    }
    Ok(())
}

/// Takes the installation for this process alone.
///
/// # Errors
/// Somebody else has it, or it is none.
pub fn lock(root: &Path) -> anyhow::Result<File> {
    check(root)?;
    let path = root.join("data/host.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path)?;
    // A host that was killed while it started a child leaves its lock to the child for a moment, until
    // that runs its own program.
    let begin = Instant::now();
    while rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if begin.elapsed() > LOCK_PATIENCE {
            bail!("another `longshore run` serves `{}` already; stop it first", root.display());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(file)
}
