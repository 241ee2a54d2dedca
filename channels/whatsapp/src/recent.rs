//! What was said lately: to quote it in a reply, and to know what we have said ourselves.
//!
//! A reply that quotes needs the quoted text and its author, and the host's line has only the id. It is on
//! disk because a reply may come after a restart, and so may a `send` line that was carried out already.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};

/// How many messages are kept.
const KEPT: i64 = 5000;
/// Between two clean-ups, in messages.
const CLEAN_EVERY: i64 = 500;
/// How much of a text is kept: a quote shows only its beginning.
const MAX_TEXT_BYTES: usize = 1024;

/// A message that can be quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotable {
    /// Who said it.
    pub sender: String,
    /// Its beginning.
    pub text: String,
}

/// How far one of our own messages got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// It was about to be written.
    Written,
    /// The server has it.
    Confirmed,
}

/// The messages.
#[derive(Debug)]
pub struct Recent(Mutex<Connection>);

impl Recent {
    /// Opens the database; it is made if it is missing.
    ///
    /// # Errors
    /// It cannot be opened or is damaged.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;
             CREATE TABLE IF NOT EXISTS message (
                 number INTEGER PRIMARY KEY,
                 chat   TEXT NOT NULL,
                 id     TEXT NOT NULL,
                 sender TEXT NOT NULL,
                 text   TEXT NOT NULL,
                 own    INTEGER NOT NULL DEFAULT 0, -- 1: we were about to write it; 2: the server has it
                 UNIQUE (chat, id)
             ) STRICT;",
        )?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Keeps what somebody said.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn heard(&self, chat: &str, id: &str, sender: &str, text: &str) -> rusqlite::Result<()> {
        self.keep(chat, id, sender, text, 0)
    }

    /// Keeps what we are about to say.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn saying(&self, chat: &str, id: &str, sender: &str, text: &str) -> rusqlite::Result<()> {
        self.keep(chat, id, sender, text, 1)
    }

    fn keep(&self, chat: &str, id: &str, sender: &str, text: &str, own: i64) -> rusqlite::Result<()> {
        let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
        let connection = self.connection();
        connection
            .prepare_cached(
                "INSERT INTO message (chat, id, sender, text, own) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (chat, id) DO NOTHING",
            )?
            .execute(params![chat, id, sender, text, own])?;
        let number = connection.last_insert_rowid();
        if number % CLEAN_EVERY == 0 {
            connection.execute("DELETE FROM message WHERE number <= ?1", [number - KEPT])?;
        }
        Ok(())
    }

    /// The server has what we said.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn confirmed(&self, chat: &str, id: &str) -> rusqlite::Result<()> {
        self.connection()
            .prepare_cached("UPDATE message SET own = 2 WHERE chat = ?1 AND id = ?2")?
            .execute(params![chat, id])?;
        Ok(())
    }

    /// Somebody changed what they had said.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn edited(&self, chat: &str, id: &str, text: &str) -> rusqlite::Result<()> {
        let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
        self.connection()
            .prepare_cached("UPDATE message SET text = ?3 WHERE chat = ?1 AND id = ?2")?
            .execute(params![chat, id, text])?;
        Ok(())
    }

    /// What can be quoted, if it is still known.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn find(&self, chat: &str, id: &str) -> rusqlite::Result<Option<Quotable>> {
        self.connection()
            .prepare_cached("SELECT sender, text FROM message WHERE chat = ?1 AND id = ?2")?
            .query_row(params![chat, id], |row| Ok(Quotable { sender: row.get(0)?, text: row.get(1)? }))
            .optional()
    }

    /// Whether we said it ourselves, and how far that got.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn own(&self, chat: &str, id: &str) -> rusqlite::Result<Option<Own>> {
        let own: Option<i64> = self
            .connection()
            .prepare_cached("SELECT own FROM message WHERE chat = ?1 AND id = ?2")?
            .query_row(params![chat, id], |row| row.get(0))
            .optional()?;
        Ok(match own {
            Some(1) => Some(Own::Written),
            Some(2) => Some(Own::Confirmed),
            _ => None,
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // No statement is left half done by a panic: each is one transaction.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_can_be_quoted_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recent.db");
        Recent::open(&path).unwrap().heard("g", "1", "ann", "hello").unwrap();
        let recent = Recent::open(&path).unwrap();
        assert_eq!(recent.find("g", "1").unwrap(), Some(Quotable { sender: "ann".into(), text: "hello".into() }));
        assert_eq!(recent.find("other", "1").unwrap(), None);
        assert_eq!(recent.own("g", "1").unwrap(), None);
        recent.edited("g", "1", "hallo").unwrap();
        assert_eq!(recent.find("g", "1").unwrap().unwrap().text, "hallo");
    }

    #[test]
    fn our_own_message_is_known_until_and_after_the_server_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let recent = Recent::open(&folder.path().join("recent.db")).unwrap();
        recent.saying("g", "1", "me", "hello").unwrap();
        assert_eq!(recent.own("g", "1").unwrap(), Some(Own::Written));
        recent.confirmed("g", "1").unwrap();
        recent.saying("g", "1", "me", "hello").unwrap();
        assert_eq!(recent.own("g", "1").unwrap(), Some(Own::Confirmed));
    }

    #[test]
    fn no_more_is_kept_than_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let recent = Recent::open(&folder.path().join("recent.db")).unwrap();
        recent.connection().execute_batch("PRAGMA synchronous = OFF; BEGIN").unwrap();
        for number in 0..KEPT + 2 * CLEAN_EVERY {
            recent.heard("g", &number.to_string(), "ann", &"ü".repeat(MAX_TEXT_BYTES)).unwrap();
        }
        recent.connection().execute_batch("COMMIT").unwrap();
        let count: i64 = recent.connection().query_row("SELECT count(*) FROM message", [], |row| row.get(0)).unwrap();
        assert_eq!(count, KEPT);
        assert_eq!(recent.find("g", "5999").unwrap().unwrap().text.len(), MAX_TEXT_BYTES);
        assert_eq!(recent.find("g", "0").unwrap(), None);
    }
}
