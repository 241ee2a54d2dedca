//! What each `codex` thread has cost so far.
//!
//! `codex` reports the thread's total, the host is told the turn's share. The total before a turn is kept
//! in a file beside the threads themselves, so that it outlives the container as they do.

use std::path::{Path, PathBuf};

use longshore_protocol::{SessionId, Usage};
use serde::{Deserialize, Serialize};

use crate::regular;

const FILE: &str = "longshore-usage.json";
/// Bytes of the file that are read.
const LIMIT: u64 = 256 * 1024;
/// Threads that are remembered; the one used longest ago goes first.
const THREADS: usize = 64;

/// The record of one `CODEX_HOME`.
#[derive(Debug)]
pub struct Totals {
    home: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    threads: Vec<Thread>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Thread {
    thread: SessionId,
    usage: Usage,
}

impl Totals {
    /// The record in this `CODEX_HOME`.
    #[must_use]
    pub fn of(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }

    /// What the thread had cost when it was last recorded.
    #[must_use]
    pub fn get(&self, thread: &SessionId) -> Option<Usage> {
        self.read().threads.into_iter().find(|entry| entry.thread == *thread).map(|entry| entry.usage)
    }

    /// Records what the thread has cost; without room for it the next turn's share stays unknown.
    pub fn set(&self, thread: &SessionId, usage: Usage) {
        let mut record = self.read();
        record.threads.retain(|entry| entry.thread != *thread);
        record.threads.push(Thread { thread: thread.clone(), usage });
        let surplus = record.threads.len().saturating_sub(THREADS);
        record.threads.drain(..surplus);
        let Ok(text) = serde_json::to_vec(&record) else { return };
        let draft = self.home.join(format!("{FILE}.new"));
        let written = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, self.home.join(FILE)));
        if let Err(error) = written {
            eprintln!("longshore-agent: cannot record the usage of `{thread}`: {error}");
        }
    }

    /// A record that is not there or not readable is an empty one.
    fn read(&self) -> Record {
        let bytes = regular::read(&self.home.join(FILE), LIMIT).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_outlives_its_reader_and_stays_bounded() {
        let home = tempfile::tempdir().unwrap();
        let id = |n: usize| format!("thread-{n}").parse::<SessionId>().unwrap();
        let usage = |n: usize| Usage { input_tokens: n as u64, ..Usage::default() };
        for n in 0..THREADS + 5 {
            Totals::of(home.path()).set(&id(n), usage(n));
            Totals::of(home.path()).set(&id(1), usage(1000 + n));
        }
        let totals = Totals::of(home.path());
        assert_eq!(totals.get(&id(1)), Some(usage(1000 + THREADS + 4)));
        assert_eq!(totals.get(&id(THREADS + 4)), Some(usage(THREADS + 4)));
        assert_eq!(totals.get(&id(0)), None);
        assert_eq!(totals.read().threads.len(), THREADS);
    }

    #[test]
    fn a_damaged_record_is_an_empty_one() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(FILE), "{\"threads\":[{").unwrap();
        let totals = Totals::of(home.path());
        let id: SessionId = "t".parse().unwrap();
        assert_eq!(totals.get(&id), None);
        totals.set(&id, Usage::default());
        assert_eq!(totals.get(&id), Some(Usage::default()));
    }
}
