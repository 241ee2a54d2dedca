//! What the kernel says about a process.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;

/// Resident memory, in KiB.
///
/// # Errors
/// There is no such process.
pub fn rss_kibibytes(pid: u32) -> anyhow::Result<u64> {
    status(pid, "VmRSS:")
}

/// The most resident memory that it ever had, in KiB.
///
/// # Errors
/// There is no such process.
pub fn peak_rss_kibibytes(pid: u32) -> anyhow::Result<u64> {
    status(pid, "VmHWM:")
}

/// How many files it has open.
///
/// # Errors
/// There is no such process.
pub fn open_files(pid: u32) -> anyhow::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The time that a process's threads have run; sampled, so that those that end are not forgotten.
#[derive(Debug, Default)]
pub struct CpuTime(HashMap<String, u64>);

impl CpuTime {
    /// Looks at the threads that there are now.
    ///
    /// # Errors
    /// There is no such process.
    pub fn sample(&mut self, pid: u32) -> anyhow::Result<()> {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?;
            // A thread may end between the two calls.
            let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
            self.0.insert(thread.file_name().to_string_lossy().into_owned(), nanoseconds);
        }
        Ok(())
    }

    /// The time of all of them.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.0.values().sum())
    }
}

fn status(pid: u32, field: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field)).with_context(|| format!("no {field}"))?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}
