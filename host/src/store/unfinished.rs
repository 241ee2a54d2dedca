//! What has not come to its end, read from the file directly: with a host beside, or without.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::beside::Beside;
use super::{StoreError, migrate, timestamp};

/// How many rows of a kind are told.
const LIMIT: usize = 200;

const WITHOUT_TURN: &str =
    "SELECT chat, min(seq), count(*), min(received_at) FROM messages WHERE wakes = 1 AND turn IS NULL
    GROUP BY chat ORDER BY min(seq) LIMIT ?1";
const OPEN_TURNS: &str = "SELECT t.group_id, t.chat, t.state, t.attempt, t.not_before, t.failure_code, t.failure_message, t.started_at, t.task,
        ifnull(min(m.received_at), t.created_at), min(m.seq), count(m.seq)
    FROM turns t LEFT JOIN messages m ON m.chat = t.chat AND m.seq BETWEEN t.first_seq AND t.last_seq AND m.wakes = 1
    WHERE t.state IN ('waiting', 'running') GROUP BY t.id ORDER BY t.created_at, t.id LIMIT ?1";
/// A chat's later rows wait for its oldest, whose tries and error these are: SQLite takes bare columns
/// from the row with the minimum.
const UNSENT: &str = "SELECT chat, count(*), created_at, attempts, not_before, error, min(id) FROM outbox
    WHERE state = 'pending' GROUP BY chat ORDER BY created_at LIMIT ?1";
/// A text of which pieces are dead is one dead letter, with the first of them: SQLite takes bare columns from it.
const DEAD: &str = "SELECT chat, min(id), attempts, error, ended_at FROM outbox
    WHERE state = 'dead' AND told <> 2 AND ended_at >= ?2 GROUP BY ifnull(part_of, id) ORDER BY min(id) DESC LIMIT ?1";
const PAUSED: &str = "SELECT id, group_id, paused_because FROM tasks
    WHERE status = 'paused' AND paused_because <> 'asked for' ORDER BY group_id, id LIMIT ?1";
const ACTIVE: &str = "SELECT id, group_id, due_at FROM tasks
    WHERE status = 'active' AND due_at IS NOT NULL ORDER BY due_at LIMIT ?1";
const NEWEST: &str = "SELECT max(received_at) FROM messages WHERE seq = (SELECT max(seq) FROM messages)";

/// Everything of an installation that has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unfinished {
    /// Messages that wake their group and have no turn yet, by chat.
    pub without_turn: Vec<WithoutTurn>,
    /// Turns that have not ended.
    pub open_turns: Vec<OpenTurn>,
    /// Rows that are to be sent, by chat.
    pub unsent: Vec<Unsent>,
    /// Rows that were given up, the newest first.
    pub dead: Vec<DeadLetter>,
    /// Tasks that the host itself has paused.
    pub paused: Vec<PausedTask>,
    /// Tasks that wait for their time, those that are due first.
    pub active: Vec<ActiveTask>,
    /// When the newest message came.
    pub newest_message: Option<Timestamp>,
}

/// Messages of a chat that wake its group and have no turn yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithoutTurn {
    /// The chat.
    pub chat: String,
    /// The number of the oldest.
    pub first_seq: i64,
    /// How many.
    pub messages: u64,
    /// Since when the oldest waits.
    pub since: Timestamp,
}

/// A turn that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTurn {
    /// Its group's folder.
    pub group: String,
    /// The chat.
    pub chat: String,
    /// Since when it runs, if it does; else it waits.
    pub running_since: Option<Timestamp>,
    /// How often it was tried.
    pub attempt: u32,
    /// When it is tried again at the earliest.
    pub not_before: Option<Timestamp>,
    /// Why it failed the last time.
    pub failure: Option<String>,
    /// The task, if it is a run of one.
    pub task: Option<String>,
    /// The number of the oldest message that it answers.
    pub first_seq: Option<i64>,
    /// How many messages that wake the group it answers.
    pub messages: u64,
    /// Since when the oldest of them waits, or the run.
    pub since: Timestamp,
}

/// Rows of a chat that are to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// The chat.
    pub chat: String,
    /// How many.
    pub rows: u64,
    /// Since when the oldest waits.
    pub since: Timestamp,
    /// How often that was tried.
    pub attempts: u32,
    /// When it is tried again at the earliest.
    pub not_before: Option<Timestamp>,
    /// Why it was not sent.
    pub error: Option<String>,
}

/// A row that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The chat.
    pub chat: String,
    /// The row's number.
    pub id: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not sent.
    pub error: Option<String>,
    /// When it was given up.
    pub at: Timestamp,
}

/// A task that the host itself has paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedTask {
    /// The task.
    pub id: String,
    /// Its group's folder.
    pub group: String,
    /// Why.
    pub because: String,
}

/// A task that waits for its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveTask {
    /// The task.
    pub id: String,
    /// Its group's folder.
    pub group: String,
    /// When it is to run.
    pub due_at: Timestamp,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspection {
    /// The file is of an older release and is brought up to date when the host starts.
    Older {
        /// Its schema version.
        found: i64,
    },
    /// What has not come to its end.
    Read(Box<Unfinished>),
}

/// Reads what has not come to its end; dead letters since `dead_since`.
///
/// # Errors
/// [`StoreError::Newer`]; otherwise what SQLite says.
pub fn inspect(file: &Path, dead_since: Timestamp) -> Result<Inspection, StoreError> {
    let beside = Beside::open_to_read(file)?;
    let found = beside.schema(file)?;
    if found < migrate::NEWEST {
        return Ok(Inspection::Older { found });
    }
    let connection = beside.connection();
    // One transaction: what moves on meanwhile is seen before or after, and never in neither place.
    connection.execute_batch("BEGIN")?;
    Ok(Inspection::Read(Box::new(Unfinished {
        without_turn: rows(connection, WITHOUT_TURN, params![LIMIT], |row| {
            Ok(WithoutTurn {
                chat: row.get(0)?,
                first_seq: row.get(1)?,
                messages: row.get(2)?,
                since: timestamp(row.get(3)?),
            })
        })?,
        open_turns: rows(connection, OPEN_TURNS, params![LIMIT], open_turn)?,
        unsent: rows(connection, UNSENT, params![LIMIT], |row| {
            Ok(Unsent {
                chat: row.get(0)?,
                rows: row.get(1)?,
                since: timestamp(row.get(2)?),
                attempts: row.get(3)?,
                not_before: row.get::<_, Option<i64>>(4)?.map(timestamp),
                error: row.get(5)?,
            })
        })?,
        dead: rows(connection, DEAD, params![LIMIT, super::millis(dead_since)], |row| {
            Ok(DeadLetter {
                chat: row.get(0)?,
                id: row.get(1)?,
                attempts: row.get(2)?,
                error: row.get(3)?,
                at: timestamp(row.get::<_, Option<i64>>(4)?.unwrap_or_default()),
            })
        })?,
        paused: rows(connection, PAUSED, params![LIMIT], |row| {
            Ok(PausedTask { id: row.get(0)?, group: row.get(1)?, because: row.get(2)? })
        })?,
        active: rows(connection, ACTIVE, params![LIMIT], |row| {
            Ok(ActiveTask { id: row.get(0)?, group: row.get(1)?, due_at: timestamp(row.get(2)?) })
        })?,
        newest_message: connection.query_row(NEWEST, [], |row| row.get::<_, Option<i64>>(0))?.map(timestamp),
    })))
}

fn open_turn(row: &Row<'_>) -> rusqlite::Result<OpenTurn> {
    let state: String = row.get(2)?;
    let (code, message): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
    Ok(OpenTurn {
        group: row.get(0)?,
        chat: row.get(1)?,
        running_since: row.get::<_, Option<i64>>(7)?.filter(|_| state == "running").map(timestamp),
        attempt: row.get(3)?,
        not_before: row.get::<_, Option<i64>>(4)?.map(timestamp),
        failure: code.map(|code| format!("{code}: {}", message.unwrap_or_default())),
        task: row.get(8)?,
        since: timestamp(row.get(9)?),
        first_seq: row.get(10)?,
        messages: row.get(11)?,
    })
}

fn rows<T>(
    connection: &rusqlite::Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(sql)?.query_map(parameters, read)?.collect()
}

#[cfg(test)]
mod tests;
