//! The database of NanoClaw v1, `store/messages.db`, read from a copy of it.
//!
//! Its releases added columns over time and never took one away, and SQLite lets a column hold anything: a
//! column that is not there reads as nothing, and every value as text.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::StoreError;
use super::beside::is_damage;

/// How many rows of a table are read.
const MAX_ROWS: usize = 100_000;
/// How many messages of a chat are, the newest.
const MAX_MESSAGES: usize = 200_000;

/// The open copy.
pub struct Foreign {
    connection: Connection,
}

/// Rows of one table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// Columns that were asked for and are not there.
    pub missing: Vec<&'static str>,
    /// The values in the order in which they were asked for.
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether there are more than were read.
    pub cut: bool,
}

/// A message of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The platform's id.
    pub id: String,
    /// Who said it.
    pub sender: String,
    /// The person's name.
    pub sender_name: String,
    /// What was said.
    pub content: String,
    /// When, as written.
    pub timestamp: String,
}

impl Foreign {
    /// Opens a copy, which SQLite may put in order: what a journal or a log beside it holds is taken in.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open(copy: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(Self { connection })
    }

    /// What is wrong with the file; `None` when it is sound.
    ///
    /// # Errors
    /// When it could not be checked.
    pub fn damage(&self) -> Result<Option<String>, StoreError> {
        let found = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        match found {
            Ok(line) if line == "ok" => Ok(None),
            Ok(line) => Ok(Some(line)),
            Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// The rows of a table; `None` if there is no such table.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn rows(&self, table: &str, columns: &[&'static str]) -> Result<Option<Rows>, StoreError> {
        let there = self.columns(table)?;
        if there.is_empty() {
            return Ok(None);
        }
        let missing =
            columns.iter().copied().filter(|name| !there.iter().any(|there| there == name)).collect::<Vec<_>>();
        let wanted: Vec<String> = columns
            .iter()
            .map(|name| if missing.contains(name) { "NULL".to_owned() } else { format!("\"{name}\"") })
            .collect();
        let query = format!("SELECT {} FROM \"{table}\" ORDER BY 1 LIMIT {}", wanted.join(", "), MAX_ROWS + 1);
        let mut query = self.connection.prepare(&query)?;
        let mut rows = query
            .query_map([], |row| (0..columns.len()).map(|column| row.get_ref(column).map(text)).collect())?
            .collect::<rusqlite::Result<Vec<Vec<Option<String>>>>>()?;
        let cut = rows.len() > MAX_ROWS;
        rows.truncate(MAX_ROWS);
        Ok(Some(Rows { missing, rows, cut }))
    }

    /// What people said in a chat after a time, and the assistant had not looked at.
    ///
    /// # Errors
    /// What SQLite says; without the table or its columns it is none.
    pub fn unanswered(&self, chat: &str, after: &str, assistant: &str) -> Result<u64, StoreError> {
        let there = self.columns("messages")?;
        if !["chat_jid", "timestamp", "content"].iter().all(|name| there.iter().any(|there| there == name)) {
            return Ok(0);
        }
        let bot = if there.iter().any(|name| name == "is_bot_message") { "ifnull(is_bot_message, 0)" } else { "0" };
        let query = format!(
            "SELECT count(*) FROM messages WHERE chat_jid = ?1 AND timestamp > ?2 AND {bot} = 0
                AND substr(content, 1, length(?3) + 1) <> ?3 || ':'"
        );
        Ok(self.connection.query_row(&query, params![chat, after, assistant], |row| row.get(0))?)
    }

    /// What was said in a chat since a time, the oldest first; the newest 200,000 of it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn messages(&self, chat: &str, since: &str) -> Result<Vec<Said>, StoreError> {
        let mut query = self.connection.prepare(
            "SELECT id, sender, sender_name, content, timestamp FROM messages
             WHERE chat_jid = ?1 AND timestamp >= ?2 AND id <> '' ORDER BY timestamp DESC, rowid DESC LIMIT ?3",
        )?;
        let mut found = query
            .query_map(params![chat, since, MAX_MESSAGES], |row| {
                let value = |column| row.get_ref(column).map(|value| text(value).unwrap_or_default());
                Ok(Said {
                    id: value(0)?,
                    sender: value(1)?,
                    sender_name: value(2)?,
                    content: value(3)?,
                    timestamp: value(4)?,
                })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        found.reverse();
        Ok(found)
    }

    /// A table's columns; none if there is no such table, or it is a view.
    fn columns(&self, table: &str) -> Result<Vec<String>, StoreError> {
        let kind: Option<String> = self
            .connection
            .query_row("SELECT type FROM sqlite_schema WHERE name = ?1 AND type = 'table'", [table], |row| row.get(0))
            .optional()?;
        if kind.is_none() {
            return Ok(Vec::new());
        }
        let mut query = self.connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
        Ok(query.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}
