//! What the rows tell of one message, turn or outbox row, read from the file directly: with a host beside, or
//! without.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::beside::Beside;
use super::{StoreError, migrate, timestamp};

/// How many rows of a kind are told.
const LIMIT: usize = 200;
/// How many rows an id may mean.
const CANDIDATES: usize = 20;
/// From how many characters on the beginning of a turn's id is enough.
const TURN_PREFIX: usize = 6;

const MESSAGE: &str = "SELECT m.seq, m.chat, m.platform_id, m.sent_at, m.received_at, m.route, m.wakes, m.stops,
        m.edited_at, m.deleted_at, m.turn, c.channel FROM messages m LEFT JOIN chats c ON c.chat = m.chat";
const TURN: &str = "SELECT t.id, t.group_id, t.chat, t.provider, t.task, t.scheduled_for, t.state, t.attempt, t.said,
        t.not_before, t.failure_code, t.failure_message, t.input_tokens, t.cached_input_tokens, t.output_tokens,
        t.created_at, t.started_at, t.ended_at, r.fired_at
    FROM turns t LEFT JOIN runs r ON r.turn = t.id";
const OUTBOX: &str = "SELECT id, message_id, chat, turn, kind, length(text), state, attempts, not_before, error,
        created_at, ended_at FROM outbox";

/// A row that can be traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A message, by its number.
    Message(i64),
    /// A turn, by its id.
    Turn(String),
    /// Something to be sent, by its row's number.
    Outbox(i64),
}

/// A row that an id may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub subject: Subject,
    /// Its chat.
    pub chat: String,
    /// When it came to be.
    pub at: Timestamp,
}

/// Everything that the rows tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Story {
    /// The message, or the newest that woke the turn.
    pub message: Option<MessageRow>,
    /// How many messages the turn covers.
    pub covered: u64,
    /// The turn that covers the message, or that said it.
    pub turn: Option<TurnRow>,
    /// What the turn said, in order, or the row alone.
    pub outbox: Vec<OutboxRow>,
    /// The turn of the chat that is open, if the message has none.
    pub open: Option<TurnRow>,
    /// When the group's turn before this one ended.
    pub before_ended_at: Option<Timestamp>,
}

/// A message, without its text and its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// The row's number.
    pub seq: i64,
    /// The chat.
    pub chat: String,
    /// The platform's id.
    pub platform_id: String,
    /// The channel of the chat.
    pub channel: Option<String>,
    /// When it was said.
    pub sent_at: Timestamp,
    /// When the host got it.
    pub received_at: Timestamp,
    /// Why it wakes the group or does not.
    pub route: String,
    /// Whether it does.
    pub wakes: bool,
    /// Whether it asks for the turn to be stopped.
    pub stops: bool,
    /// When it was changed.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// The turn that covers it.
    pub turn: Option<String>,
}

/// How a turn stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnState {
    /// It is to be run, or run again.
    Waiting,
    /// It runs.
    Running,
    /// It is over and went well.
    Settled,
    /// It is over.
    GaveUp,
}

/// A turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnRow {
    /// Its id.
    pub id: String,
    /// Its group's folder.
    pub group: String,
    /// The chat.
    pub chat: String,
    /// Who answered in its last attempt.
    pub provider: Option<String>,
    /// The task that it is a run of.
    pub task: Option<String>,
    /// For when that was planned.
    pub scheduled_for: Option<Timestamp>,
    /// When it was fired.
    pub fired_at: Option<Timestamp>,
    /// How it stands.
    pub state: TurnState,
    /// How often it was tried.
    pub attempt: u32,
    /// Whether it had a visible effect.
    pub said: bool,
    /// Not to be tried again before.
    pub not_before: Option<Timestamp>,
    /// Why it failed the last time: code and reason.
    pub failure: Option<(String, String)>,
    /// Tokens: read, of those cached, written.
    pub tokens: [u64; 3],
    /// When it came to be.
    pub created_at: Timestamp,
    /// When its last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// How a row of the outbox stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxState {
    /// It is to be sent.
    Pending,
    /// The platform has it.
    Sent,
    /// It was given up.
    Dead,
}

/// Something to be sent, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The row's number.
    pub id: i64,
    /// The message id that the platform is given.
    pub message_id: String,
    /// The chat.
    pub chat: String,
    /// The turn that said it.
    pub turn: Option<String>,
    /// Whether the host itself says it, and not the agent.
    pub is_notice: bool,
    /// How long its text is.
    pub characters: u64,
    /// How it stands.
    pub state: OutboxState,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried again before.
    pub not_before: Option<Timestamp>,
    /// Why it was not sent.
    pub error: Option<String>,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it was sent or given up.
    pub ended_at: Option<Timestamp>,
}

/// The store's file, to be asked.
pub struct Stories(Beside);

impl Stories {
    /// Opens the file to read. `None` for one of an older release, which the host brings up to date.
    ///
    /// # Errors
    /// [`StoreError::Newer`]; otherwise what SQLite says.
    pub fn open(file: &Path) -> Result<Option<Self>, StoreError> {
        let beside = Beside::open_to_read(file)?;
        let found = beside.schema(file)?;
        Ok((found == migrate::NEWEST).then_some(Self(beside)))
    }

    /// Every row that an id may mean: the number of a message or of an outbox row, a platform's id, a message id
    /// of ours, a turn's id or how it begins.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn candidates(&self, id: &str) -> Result<Vec<Candidate>, StoreError> {
        let connection = self.0.connection();
        let number: Option<i64> = id.parse().ok();
        let message = |row: &Row<'_>| candidate(row, Subject::Message(row.get(0)?));
        let mut found = rows(
            connection,
            "SELECT seq, chat, received_at FROM messages WHERE platform_id = ?1 OR seq = ?2 ORDER BY seq DESC LIMIT ?3",
            params![id, number, CANDIDATES],
            message,
        )?;
        if id.len() >= TURN_PREFIX && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            found.extend(rows(
                connection,
                "SELECT id, chat, created_at FROM turns WHERE id >= ?1 AND id < ?1 || char(0x10ffff) ORDER BY id DESC LIMIT ?2",
                params![id.to_ascii_lowercase(), CANDIDATES],
                |row| candidate(row, Subject::Turn(row.get(0)?)),
            )?);
        }
        found.extend(rows(
            connection,
            "SELECT id, chat, created_at FROM outbox WHERE message_id = ?1 OR id = ?2 ORDER BY id DESC LIMIT ?3",
            params![id, number, CANDIDATES],
            |row| candidate(row, Subject::Outbox(row.get(0)?)),
        )?);
        Ok(found)
    }

    /// What the rows tell of the subject; nothing if it is not there.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn story(&self, subject: &Subject) -> Result<Story, StoreError> {
        let connection = self.0.connection();
        // One transaction: what moves on meanwhile is seen before or after.
        connection.execute_batch("BEGIN")?;
        let story = story(connection, subject);
        connection.execute_batch("COMMIT")?;
        Ok(story?)
    }
}

fn story(connection: &Connection, subject: &Subject) -> rusqlite::Result<Story> {
    let mut story = Story::default();
    match subject {
        Subject::Message(seq) => {
            story.message = one(connection, &format!("{MESSAGE} WHERE m.seq = ?1"), [seq], message)?;
            if let Some(id) = story.message.as_ref().and_then(|message| message.turn.as_deref()) {
                story.turn = turn_by(connection, id)?;
            }
        }
        Subject::Turn(id) => story.turn = turn_by(connection, id)?,
        Subject::Outbox(id) => {
            story.outbox = rows(connection, &format!("{OUTBOX} WHERE id = ?1"), [id], outbox)?;
            if let Some(id) = story.outbox.first().and_then(|row| row.turn.as_deref()) {
                story.turn = turn_by(connection, id)?;
            }
        }
    }
    let Some(turn) = &story.turn else {
        if let Some(MessageRow { chat, .. }) = &story.message {
            let open =
                format!("{TURN} WHERE t.chat = ?1 AND t.state IN ('waiting', 'running') ORDER BY t.state LIMIT 1");
            story.open = one(connection, &open, [chat], turn_row)?;
        }
        return Ok(story);
    };
    story.covered = connection.query_row(
        "SELECT count(*) FROM messages WHERE turn = ?1 AND chat = ?2",
        [&turn.id, &turn.chat],
        |row| row.get(0),
    )?;
    if story.message.is_none() {
        let woke = format!("{MESSAGE} WHERE m.chat = ?2 AND m.turn = ?1 AND m.wakes = 1 ORDER BY m.seq DESC LIMIT 1");
        story.message = one(connection, &woke, [&turn.id, &turn.chat], message)?;
    }
    if !matches!(subject, Subject::Outbox(_)) {
        let said = format!("{OUTBOX} WHERE turn = ?1 ORDER BY id LIMIT {LIMIT}");
        story.outbox = rows(connection, &said, [&turn.id], outbox)?;
    }
    let before = "SELECT max(ended_at) FROM turns WHERE group_id = ?1 AND id < ?2 AND started_at IS NOT NULL";
    let before: Option<i64> = connection.query_row(before, [&turn.group, &turn.id], |row| row.get(0))?;
    story.before_ended_at = before.map(timestamp);
    Ok(story)
}

fn turn_by(connection: &Connection, id: &str) -> rusqlite::Result<Option<TurnRow>> {
    one(connection, &format!("{TURN} WHERE t.id = ?1"), [id], turn_row)
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(timestamp))
}

fn candidate(row: &Row<'_>, subject: Subject) -> rusqlite::Result<Candidate> {
    Ok(Candidate { subject, chat: row.get(1)?, at: timestamp(row.get(2)?) })
}

fn message(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        seq: row.get(0)?,
        chat: row.get(1)?,
        platform_id: row.get(2)?,
        sent_at: timestamp(row.get(3)?),
        received_at: timestamp(row.get(4)?),
        route: row.get(5)?,
        wakes: row.get(6)?,
        stops: row.get(7)?,
        edited_at: time(row, 8)?,
        deleted_at: time(row, 9)?,
        turn: row.get(10)?,
        channel: row.get(11)?,
    })
}

fn turn_row(row: &Row<'_>) -> rusqlite::Result<TurnRow> {
    let state: String = row.get(6)?;
    let code: Option<String> = row.get(10)?;
    let reason: Option<String> = row.get(11)?;
    Ok(TurnRow {
        id: row.get(0)?,
        group: row.get(1)?,
        chat: row.get(2)?,
        provider: row.get(3)?,
        task: row.get(4)?,
        scheduled_for: time(row, 5)?,
        state: match state.as_str() {
            "waiting" => TurnState::Waiting,
            "running" => TurnState::Running,
            "settled" => TurnState::Settled,
            _ => TurnState::GaveUp,
        },
        attempt: row.get(7)?,
        said: row.get(8)?,
        not_before: time(row, 9)?,
        failure: code.map(|code| (code, reason.unwrap_or_default())),
        tokens: [row.get(12)?, row.get(13)?, row.get(14)?],
        created_at: timestamp(row.get(15)?),
        started_at: time(row, 16)?,
        ended_at: time(row, 17)?,
        fired_at: time(row, 18)?,
    })
}

fn outbox(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    let (kind, state): (String, String) = (row.get(4)?, row.get(6)?);
    Ok(OutboxRow {
        id: row.get(0)?,
        message_id: row.get(1)?,
        chat: row.get(2)?,
        turn: row.get(3)?,
        is_notice: kind == "notice",
        characters: row.get(5)?,
        state: match state.as_str() {
            "pending" => OutboxState::Pending,
            "sent" => OutboxState::Sent,
            _ => OutboxState::Dead,
        },
        attempts: row.get(7)?,
        not_before: time(row, 8)?,
        error: row.get(9)?,
        created_at: timestamp(row.get(10)?),
        ended_at: time(row, 11)?,
    })
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    connection.query_row(sql, parameters, read).optional()
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(sql)?.query_map(parameters, read)?.collect()
}

#[cfg(test)]
mod tests;
