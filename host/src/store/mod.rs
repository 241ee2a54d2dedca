//! The store: SQLite, and the only module with SQL.
//!
//! One thread owns the connection. What arrives while a transaction commits goes into the next one,
//! so a burst shares an fsync; each request has a savepoint of its own, so one that fails fails alone.
//! An answer is given only after the commit: who hears `Ok` may act on it.

pub mod backup;
pub mod beside;
pub mod care;
pub mod changes;
mod commit;
pub mod glance;
pub mod import;
pub mod introduced;
pub mod letters;
pub mod messages;
mod migrate;
pub mod nanoclaw;
pub mod outbox;
pub mod petitions;
pub mod search;
pub mod sessions;
pub mod story;
pub mod tasks;
#[cfg(test)]
mod tests;
pub mod transcript;
pub mod turns;
pub mod undelivered;
pub mod unfinished;
pub mod usage;

pub use self::commit::{Answer, Fuse};

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;
use thiserror::Error;

use self::commit::Access;

/// The database file, under an installation's root.
pub const FILE: &str = "data/longshore.db";

/// Why the store did not do it.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// No room, or locked by another program: the same request may succeed later.
    #[error("the store cannot write now: {0}")]
    Stalled(String),
    /// A newer release has written this file.
    #[error("`{file}` was written by a newer release (schema {found}, this one knows {known}); install that release")]
    Newer {
        /// The database file.
        file: String,
        /// The schema version in the file.
        found: i64,
        /// The newest version that this binary knows.
        known: i64,
    },
    /// SQLite refused.
    #[error("the store failed: {0}")]
    Sqlite(Arc<rusqlite::Error>),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
        match error.sqlite_error_code() {
            Some(DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure) => Self::Stalled(error.to_string()),
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

/// A handle on the store; clones share it. The thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct Store {
    requests: commit::Requests,
}

impl Store {
    /// Opens or makes the database file and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a file of a newer release; otherwise what SQLite says.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        Self::open_with(file, None)
    }

    /// The same, with a fuse that ends the store in the middle of things.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(file: &Path, fuse: Option<Fuse>) -> Result<Self, StoreError> {
        let mut connection = Connection::open(file)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        // FULL: a commit that was answered survives a power cut, not only a crash.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // 2 MiB of page cache: the working set is the newest rows.
        connection.pragma_update(None, "cache_size", -2048)?;
        migrate::migrate(&mut connection, file)?;
        Ok(Self { requests: commit::start(connection, fuse)? })
    }

    /// Runs `work` in a transaction and answers after the commit.
    async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.requests.enqueue(Access::Write, work).await?.committed().await
    }

    /// Runs `work`, which writes nothing.
    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.requests.enqueue(Access::Read, work).await?.committed().await
    }
}

fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// A stored time. One out of jiff's range can only come from a damaged file; it reads as the epoch.
fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}
