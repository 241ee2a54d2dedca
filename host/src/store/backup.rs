//! Copies of the store: one is made while a host writes or while none runs, and put back while none runs.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::backup::Backup;
use rustix::fs::FlockOperation;
use thiserror::Error;

use super::beside::{Beside, beside, is_damage, log_of};
use super::{StoreError, migrate};

/// Tables that every release has had.
const TABLES: [&str; 5] = ["chats", "messages", "cursors", "turns", "outbox"];

/// A copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its size in bytes.
    pub bytes: u64,
    /// How many messages are in it.
    pub messages: u64,
    /// Its schema version.
    pub schema: i64,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The copy as it is in place now.
    pub copied: Copied,
    /// Where the database is that was there before; `None` if none was.
    pub previous: Option<PathBuf>,
    /// Whether the host brings it up to date at its next start.
    pub is_older: bool,
}

/// Why nothing was copied.
#[derive(Debug, Error)]
pub enum BackupError {
    /// There is no such file.
    #[error("there is no `{0}`")]
    Missing(PathBuf),
    /// It is something else.
    #[error("`{0}` is no Longshore database")]
    NotOurs(PathBuf),
    /// It cannot be relied on.
    #[error("`{file}` is damaged: {damage}")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What SQLite found.
        damage: String,
    },
    /// Something is there already.
    #[error("`{0}` is there already; choose another name, or give --force to replace it")]
    Exists(PathBuf),
    /// That name is the database's own.
    #[error("`{0}` is where the host keeps its database; choose another place")]
    Own(PathBuf),
    /// Somebody else is at it.
    #[error("another backup to `{0}` runs now")]
    Busy(PathBuf),
    /// Another program reads or writes the database.
    #[error("another program has `{0}` open; close it first")]
    InUse(PathBuf),
    /// The store's own words.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system's.
    #[error("`{path}`: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    |error| BackupError::Io { path: path.to_owned(), error }
}

/// Copies the database at `database` as it is at this moment to the file `to`, which is there whole or not
/// at all, is checked, and only its owner may read it.
///
/// # Errors
/// Nothing was copied; what was at `to` is as it was.
pub fn back_up(database: &Path, to: &Path, replace: bool) -> Result<Copied, BackupError> {
    if is_own(database, to) {
        return Err(BackupError::Own(to.to_owned()));
    }
    if !replace && fs::symlink_metadata(to).is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let source = open_ours(database)?;
    let part = beside(to, ".tmp");
    // Held until the end: of two backups to one file the second gives up.
    let held = hold(&part)?;
    let copied = copy(&source, &part).inspect_err(|_| drop(fs::remove_file(&part)))?;
    fs::rename(&part, to).map_err(at(to))?;
    drop(held);
    settle(to)?;
    Ok(copied)
}

/// Puts the copy `from` in the place of the database at `database`, which is kept under another name. The
/// caller has made certain that no host runs. Whenever this ends before its time, the one or the other is
/// in place and whole.
///
/// # Errors
/// The database is as it was.
pub fn restore(from: &Path, database: &Path, now: Timestamp) -> Result<Restored, BackupError> {
    let source = open_ours(from)?;
    if let Some(damage) = source.damage_in_full()? {
        return Err(BackupError::Damaged { file: from.to_owned(), damage });
    }
    let part = beside(database, ".restoring");
    let held = hold(&part)?;
    let copied = copy(&source, &part).inspect_err(|_| drop(fs::remove_file(&part)))?;
    drop(source);
    let previous = put_aside(database, now).inspect_err(|_| drop(fs::remove_file(&part)))?;
    fs::rename(&part, database).map_err(at(database))?;
    drop(held);
    settle(database)?;
    Ok(Restored { is_older: copied.schema < migrate::NEWEST, copied, previous })
}

/// Opens a file to read that is a database of this or an older release.
fn open_ours(file: &Path) -> Result<Beside, BackupError> {
    if !file.is_file() {
        return Err(BackupError::Missing(file.to_owned()));
    }
    let opened = Beside::open_to_read(file)?;
    match identify(&opened, file) {
        Ok(true) => Ok(opened),
        Ok(false) => Err(BackupError::NotOurs(file.to_owned())),
        Err(StoreError::Sqlite(error)) if is_damage(&error) => {
            Err(BackupError::Damaged { file: file.to_owned(), damage: error.to_string() })
        }
        Err(error) => Err(error.into()),
    }
}

fn identify(opened: &Beside, file: &Path) -> Result<bool, StoreError> {
    let mut query =
        opened.connection().prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
    for table in TABLES {
        if query.query_row([table], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(false);
        }
    }
    Ok(opened.schema(file)? > 0)
}

/// Makes an empty file that this process alone writes, readable by its owner alone.
fn hold(part: &Path) -> Result<File, BackupError> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let open =
        || OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).custom_flags(no_follow).open(part);
    let file = open().map_err(at(part))?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(BackupError::Busy(part.to_owned()));
    }
    // What a backup that did not end has left.
    file.set_len(0).map_err(at(part))?;
    for ending in ["-journal", "-wal", "-shm"] {
        let _ = fs::remove_file(beside(part, ending));
    }
    Ok(file)
}

fn copy(source: &Beside, part: &Path) -> Result<Copied, BackupError> {
    let mut target = Connection::open(part)?;
    // All in one step: one moment of the source, whatever is written meanwhile, which it does not hold up.
    Backup::new(source.connection(), &mut target)?.step(-1)?;
    // Without a write-ahead log the copy is one file.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    drop(target);
    let copy = Beside::open_to_read(part)?;
    if let Some(damage) = copy.damage_in_full()? {
        return Err(BackupError::Damaged { file: part.to_owned(), damage });
    }
    let messages = copy.connection().query_row("SELECT count(*) FROM messages", [], |row| row.get(0))?;
    let schema = copy.schema(part)?;
    drop(copy);
    let file = File::open(part).map_err(at(part))?;
    file.sync_all().map_err(at(part))?;
    Ok(Copied { bytes: file.metadata().map_err(at(part))?.len(), messages, schema })
}

/// Gives the database that is in place a second name, under which it stays when another takes its place.
fn put_aside(database: &Path, now: Timestamp) -> Result<Option<PathBuf>, BackupError> {
    let aside = beside(database, &format!(".before-restore-{}", now.strftime("%Y%m%dT%H%M%SZ")));
    let mut previous = None;
    if fs::symlink_metadata(database).is_ok() {
        fold(database)?;
        if let Err(error) = fs::hard_link(database, &aside) {
            if error.kind() == ErrorKind::AlreadyExists {
                return Err(BackupError::Io { path: aside, error });
            }
            // A file system without links.
            fs::copy(database, &aside).map_err(at(&aside))?;
        }
        previous = Some(aside.clone());
    }
    // A log that could not be taken into its database goes with it: it must not be taken into another.
    for ending in ["-wal", "-shm"] {
        let (log, kept) = (beside(database, ending), beside(&aside, ending));
        match fs::metadata(&log) {
            Ok(data) if data.len() > 0 && ending == "-wal" => fs::rename(&log, &kept).map_err(at(&log))?,
            Ok(_) => fs::remove_file(&log).map_err(at(&log))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(at(&log)(error)),
        }
    }
    settle(database)?;
    Ok(previous)
}

/// Takes the database's log into it, if it is a database still.
fn fold(database: &Path) -> Result<(), BackupError> {
    if !log_of(database).exists() {
        return Ok(());
    }
    match Beside::open(database).and_then(|previous| previous.empty_log()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BackupError::InUse(database.to_owned())),
        Err(StoreError::Sqlite(error)) if is_damage(&error) => Ok(()),
        Err(StoreError::Stalled(_)) => Err(BackupError::InUse(database.to_owned())),
        Err(error) => Err(error.into()),
    }
}

/// Makes a rename survive a power cut.
fn settle(file: &Path) -> Result<(), BackupError> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

/// Whether writing there would touch the database itself.
fn is_own(database: &Path, to: &Path) -> bool {
    let same_file = |one: &Path| match (fs::metadata(one), fs::metadata(to)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    };
    let folder = |path: &Path| {
        path.parent()
            .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?
            .canonicalize()
            .ok()
    };
    let by_name = to.file_name().is_some_and(|name| {
        ["", "-wal", "-shm", "-journal", ".restoring"]
            .iter()
            .any(|ending| beside(database, ending).file_name() == Some(name))
    });
    same_file(database) || (by_name && folder(to).is_some() && folder(to) == folder(database))
}

#[cfg(test)]
mod tests;
