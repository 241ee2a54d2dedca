//! Which turn is next.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::closed::{Tell, close_at_stop, move_cursor, settled};
use super::{Begin, BeginTurn, BegunTurn, CoveredMessage, Subject};
use crate::store::tasks::{begin_run, task_of_turn};
use crate::store::undelivered::{Undelivered, hand_over};
use crate::store::{millis, sessions, timestamp};

/// A turn that may begin.
struct Candidate {
    id: String,
    kind: Kind,
}

/// What it is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Messages from the first of these numbers to the last.
    Messages(i64, i64),
    /// The same, and it is not a row yet.
    NewMessages(i64, i64),
    Task,
}

/// Whether there is a turn of a kind.
enum Look {
    None,
    NotBefore(Timestamp),
    Now(Candidate),
}

pub(super) fn begin_turn(connection: &Connection, begin: &BeginTurn, now: Timestamp) -> rusqlite::Result<Begin> {
    if close_at_stop(connection, &begin.group, &begin.chat, Tell::Yes, now)? {
        return Ok(Begin::Stopped);
    }
    settle_unwanted(connection, begin, now)?;
    let messages = match waiting(connection, begin, "first_seq IS NOT NULL", now)? {
        Look::None => new_turn(connection, begin)?,
        look => look,
    };
    let candidate = match (messages, waiting(connection, begin, "task IS NOT NULL", now)?) {
        (Look::Now(messages), Look::Now(task)) => {
            if last_was_a_task(connection, begin)? {
                messages
            } else {
                task
            }
        }
        (Look::Now(candidate), _) | (_, Look::Now(candidate)) => candidate,
        (Look::NotBefore(one), Look::NotBefore(other)) => return Ok(Begin::NotBefore(one.min(other))),
        (Look::NotBefore(at), Look::None) | (Look::None, Look::NotBefore(at)) => return Ok(Begin::NotBefore(at)),
        (Look::None, Look::None) => return Ok(Begin::Nothing),
    };
    start(connection, begin, candidate, now).map(|turn| Begin::Turn(Box::new(turn)))
}

/// Ends turns that wait for another try and of which no message wakes the group any more: those that did
/// were deleted, or say something else now.
fn settle_unwanted(connection: &Connection, begin: &BeginTurn, now: Timestamp) -> rusqlite::Result<()> {
    let ended = connection
        .prepare_cached(
            "UPDATE turns SET state = 'settled', ended_at = ?2, not_before = NULL
             WHERE group_id = ?1 AND state = 'waiting' AND first_seq IS NOT NULL
                AND EXISTS (SELECT 1 FROM messages m WHERE m.chat = turns.chat
                            AND m.seq BETWEEN turns.first_seq AND turns.last_seq
                            AND (m.edited_at IS NOT NULL OR m.deleted_at IS NOT NULL))
                AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.chat = turns.chat AND m.wakes = 1
                                AND m.seq BETWEEN turns.first_seq AND turns.last_seq)
             RETURNING last_seq",
        )?
        .query_map(params![begin.group.as_str(), millis(now)], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    ended.into_iter().try_for_each(|last| move_cursor(connection, &begin.group, last))
}

/// The turn of one kind that waits and may begin first.
fn waiting(connection: &Connection, begin: &BeginTurn, kind: &str, now: Timestamp) -> rusqlite::Result<Look> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT id, first_seq, last_seq, ifnull(not_before, 0) FROM turns
             WHERE group_id = ?1 AND state = 'waiting' AND {kind}
             ORDER BY max(ifnull(not_before, 0), ?2), created_at, id LIMIT 1",
        ))?
        .query_row(params![begin.group.as_str(), millis(now)], |row| {
            let kind = match (row.get(1)?, row.get(2)?) {
                (Some(first), Some(last)) => Kind::Messages(first, last),
                _ => Kind::Task,
            };
            Ok((Candidate { id: row.get(0)?, kind }, timestamp(row.get(3)?)))
        })
        .optional()?;
    Ok(match found {
        None => Look::None,
        Some((_, at)) if at > now => Look::NotBefore(at),
        Some((candidate, _)) => Look::Now(candidate),
    })
}

/// A turn that is not a row yet, over every message since the last ended turn.
fn new_turn(connection: &Connection, begin: &BeginTurn) -> rusqlite::Result<Look> {
    let cursor = settled(connection, &begin.group)?;
    let wakes: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE chat = ?1 AND wakes = 1 AND seq > ?2)")?
        .query_row(params![begin.chat, cursor], |row| row.get(0))?;
    if !wakes {
        return Ok(Look::None);
    }
    let (first, last) = connection
        .prepare_cached("SELECT min(seq), max(seq) FROM messages WHERE chat = ?1 AND seq > ?2")?
        .query_row(params![begin.chat, cursor], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Look::Now(Candidate { id: Uuid::now_v7().simple().to_string(), kind: Kind::NewMessages(first, last) }))
}

fn last_was_a_task(connection: &Connection, begin: &BeginTurn) -> rusqlite::Result<bool> {
    let last = connection
        .prepare_cached(
            "SELECT task IS NOT NULL FROM turns WHERE group_id = ?1 AND started_at IS NOT NULL
             ORDER BY started_at DESC, id DESC LIMIT 1",
        )?
        .query_row([begin.group.as_str()], |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(false))
}

fn start(
    connection: &Connection,
    begin: &BeginTurn,
    candidate: Candidate,
    now: Timestamp,
) -> rusqlite::Result<BegunTurn> {
    let Candidate { id, kind } = candidate;
    let (attempt, created_at): (u32, i64) = match kind {
        Kind::NewMessages(first, last) => {
            connection
                .prepare_cached(
                    "INSERT INTO turns (id, group_id, chat, provider, first_seq, last_seq, state, attempt, created_at, started_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running', 1, ?7, ?7)",
                )?
                .execute(params![
                    id,
                    begin.group.as_str(),
                    begin.chat,
                    begin.provider.as_str(),
                    first,
                    last,
                    millis(now)
                ])?;
            connection
                .prepare_cached("UPDATE messages SET turn = ?1 WHERE chat = ?2 AND seq BETWEEN ?3 AND ?4")?
                .execute(params![id, begin.chat, first, last])?;
            (1, millis(now))
        }
        // A row that waits keeps its range of messages; a task's turn is told in the chat that the group has now.
        Kind::Messages(..) | Kind::Task => connection
            .prepare_cached(
                "UPDATE turns SET state = 'running', attempt = attempt + 1, provider = ?2,
                    chat = iif(task IS NULL, chat, ?3), not_before = NULL, started_at = ?4 WHERE id = ?1
                 RETURNING attempt, created_at",
            )?
            .query_row(params![id, begin.provider.as_str(), begin.chat, millis(now)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?,
    };
    let mut since = created_at;
    let subject = match kind {
        Kind::Messages(first, last) | Kind::NewMessages(first, last) => {
            let Covered { messages, omitted, oldest } =
                covered(connection, &begin.chat, first, last, begin.max_messages)?;
            since = oldest.unwrap_or(since);
            Subject::Messages { messages, omitted }
        }
        Kind::Task => {
            begin_run(connection, &id, now)?;
            let run = task_of_turn(connection, &id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            Subject::Task(run)
        }
    };
    let session = sessions::session(connection, &begin.group, begin.provider)?;
    let channel = connection
        .prepare_cached("SELECT channel FROM chats WHERE chat = ?1")?
        .query_row([&begin.chat], |row| row.get(0))
        .optional()?;
    let Ok(id) = id.parse() else { return Err(rusqlite::Error::InvalidColumnName("turns.id".into())) };
    let settled = settled(connection, &begin.group)?;
    let (since, undelivered) = (timestamp(since), Undelivered::default());
    let mut turn = BegunTurn { id, attempt, since, subject, channel, session, settled, undelivered };
    // What an isolated run is told, nobody remembers.
    if !turn.is_isolated() {
        turn.undelivered = hand_over(connection, &begin.chat, turn.id.as_str())?;
    }
    Ok(turn)
}

/// Messages of a range.
struct Covered {
    messages: Vec<CoveredMessage>,
    /// How many of them are not loaded.
    omitted: u64,
    /// When the oldest came that wakes the group.
    oldest: Option<i64>,
}

fn covered(connection: &Connection, chat: &str, first: i64, last: i64, limit: usize) -> rusqlite::Result<Covered> {
    let (total, oldest): (u64, Option<i64>) = connection
        .prepare_cached(
            "SELECT count(*), min(iif(wakes = 1, received_at, NULL)) FROM messages
             WHERE chat = ?1 AND seq BETWEEN ?2 AND ?3 AND deleted_at IS NULL",
        )?
        .query_row(params![chat, first, last], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut query = connection.prepare_cached(
        "WITH range AS (SELECT * FROM messages WHERE chat = ?1 AND seq BETWEEN ?2 AND ?3 AND deleted_at IS NULL)
         SELECT sender, sender_name, platform_id, text, reply_to, sent_at, wakes, edited_at IS NOT NULL FROM range
         WHERE seq IN (SELECT seq FROM range ORDER BY seq DESC LIMIT ?4)
            OR seq = (SELECT max(seq) FROM range WHERE wakes = 1)
         ORDER BY seq",
    )?;
    let messages = query
        .query_map(params![chat, first, last, limit], |row| {
            Ok(CoveredMessage {
                sender: row.get(0)?,
                sender_name: row.get(1)?,
                platform_id: row.get(2)?,
                text: row.get(3)?,
                reply_to: row.get(4)?,
                sent_at: timestamp(row.get(5)?),
                wakes: row.get(6)?,
                edited: row.get(7)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let omitted = total.saturating_sub(messages.len() as u64);
    Ok(Covered { messages, omitted, oldest })
}
