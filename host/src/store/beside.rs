//! A second connection to the store's file, for what must not hold up the store's own thread, and for
//! looking at it while no host runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle, OpenFlags};

use super::{StoreError, migrate};

/// How many problems of a damaged file are told.
const MAX_PROBLEMS: usize = 5;
/// How long a lock of another connection is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connection.
pub struct Beside {
    connection: Connection,
}

/// What a checkpoint found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// Pages in the write-ahead log.
    pub pages: i64,
    /// Those of them that are in the database file now.
    pub folded: i64,
}

impl Beside {
    /// Opens a file that exists.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        Self::with(file, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Opens a file that exists, to read.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open_to_read(file: &Path) -> Result<Self, StoreError> {
        Self::with(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    fn with(file: &Path, access: OpenFlags) -> Result<Self, StoreError> {
        let connection = Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(PATIENCE)?;
        Ok(Self { connection })
    }

    /// The connection itself.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Ends what the connection is doing, from another thread.
    #[must_use]
    pub fn interrupt(&self) -> InterruptHandle {
        self.connection.get_interrupt_handle()
    }

    /// What is wrong with the file's pages; `None` when it is sound.
    ///
    /// # Errors
    /// When it could not be checked; a damaged file is no error.
    pub fn damage(&self) -> Result<Option<String>, StoreError> {
        self.problems("quick_check")
    }

    /// The same, with the indexes, which takes longer.
    ///
    /// # Errors
    /// As [`Beside::damage`].
    pub(super) fn damage_in_full(&self) -> Result<Option<String>, StoreError> {
        self.problems("integrity_check")
    }

    fn problems(&self, check: &str) -> Result<Option<String>, StoreError> {
        let found = self
            .connection
            .prepare(&format!("PRAGMA {check}({MAX_PROBLEMS})"))
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>());
        match found {
            Ok(lines) if lines == ["ok"] => Ok(None),
            Ok(lines) => Ok(Some(lines.join("; "))),
            Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes into the database file what of the write-ahead log nobody reads any more. Nobody waits.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn fold_log(&self) -> Result<Log, StoreError> {
        self.checkpoint("PASSIVE").map(|(_, log)| log)
    }

    /// Takes all of the log into the file and makes the log empty. Writers wait for a moment. False when a
    /// reader keeps it from being done.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn empty_log(&self) -> Result<bool, StoreError> {
        self.checkpoint("TRUNCATE").map(|(busy, _)| !busy)
    }

    fn checkpoint(&self, mode: &str) -> Result<(bool, Log), StoreError> {
        Ok(self.connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            Ok((row.get(0)?, Log { pages: row.get(1)?, folded: row.get(2)? }))
        })?)
    }

    /// Renews the figures by which SQLite chooses between indexes, where tables have grown.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn optimize(&self) -> Result<(), StoreError> {
        // 0x10002: all tables, not only those that this connection has asked; a bounded look at each.
        Ok(self.connection.execute_batch("PRAGMA analysis_limit = 400; PRAGMA optimize = 0x10002")?)
    }

    /// The schema's version.
    ///
    /// # Errors
    /// [`StoreError::Newer`]; otherwise what SQLite says.
    pub fn schema(&self, file: &Path) -> Result<i64, StoreError> {
        migrate::known_version(&self.connection, file)
    }
}

/// Whether SQLite says that the file itself is not as it should be.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// The write-ahead log of a database file.
#[must_use]
pub fn log_of(file: &Path) -> PathBuf {
    beside(file, "-wal")
}

/// A file whose name is that of `file` and an ending.
pub(super) fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
