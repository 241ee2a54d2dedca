//! What is no longer answered because somebody said so.

use jiff::Timestamp;
use longshore_protocol::{Failure, FailureKind, GroupId};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use crate::phrases;
use crate::store::millis;
use crate::store::outbox::{OutboxKind, insert};

/// Whether the chat is told that what it waited for will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    /// One sentence.
    Yes,
    /// It was told by other means.
    No,
}

/// Ends what the group's chat asked for up to its last `/stop`, if there is one that nobody has seen to:
/// the turn that waits for another try, and the messages that no turn covers yet. Whether there was such a stop.
pub(super) fn close_at_stop(
    connection: &Connection,
    group: &GroupId,
    chat: &str,
    tell: Tell,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let settled = settled(connection, group)?;
    let stop: Option<i64> = connection
        .prepare_cached("SELECT max(seq) FROM messages WHERE chat = ?1 AND stops = 1 AND seq > ?2")?
        .query_row(params![chat, settled], |row| row.get(0))?;
    match stop {
        Some(stop) => close(connection, group, chat, stop, tell, now).map(|_| true),
        None => Ok(false),
    }
}

/// Ends everything that waits in the group's chat; whether anything did.
pub(super) fn close_all(
    connection: &Connection,
    group: &GroupId,
    chat: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let newest: Option<i64> = connection
        .prepare_cached(
            "SELECT max(seq) FROM messages WHERE chat = ?1 AND wakes = 1
                AND seq > ifnull((SELECT settled_seq FROM cursors WHERE group_id = ?2), 0)",
        )?
        .query_row(params![chat, group.as_str()], |row| row.get(0))?;
    match newest {
        Some(newest) => close(connection, group, chat, newest, Tell::Yes, now),
        None => Ok(false),
    }
}

/// Ends what waits up to a message; whether anything did.
fn close(
    connection: &Connection,
    group: &GroupId,
    chat: &str,
    upto: i64,
    tell: Tell,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let failure = Failure::new("host", FailureKind::Stopped, "somebody asked for it");
    let waiting: Option<i64> = connection
        .prepare_cached(
            "UPDATE turns SET state = 'gave_up', failure_code = ?2, failure_message = ?3, not_before = NULL, ended_at = ?4
             WHERE group_id = ?1 AND state = 'waiting' AND task IS NULL RETURNING last_seq",
        )?
        .query_row(params![group.as_str(), failure.code, failure.message, millis(now)], |row| row.get(0))
        .optional()?;
    let covered = settled(connection, group)?.max(waiting.unwrap_or(0));
    let (first, woke): (Option<i64>, bool) = connection
        .prepare_cached(
            "SELECT min(seq), ifnull(max(wakes), 0) FROM messages WHERE chat = ?1 AND seq > ?2 AND seq <= ?3",
        )?
        .query_row(params![chat, covered, upto], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let turn = Uuid::now_v7().simple().to_string();
    if let Some(first) = first {
        connection
            .prepare_cached(
                "INSERT INTO turns (id, group_id, chat, first_seq, last_seq, state, attempt, failure_code, failure_message,
                    created_at, ended_at) VALUES (?1, ?2, ?3, ?4, ?5, 'gave_up', 0, ?6, ?7, ?8, ?8)",
            )?
            .execute(params![
                turn,
                group.as_str(),
                chat,
                first,
                upto,
                failure.code,
                failure.message,
                millis(now)
            ])?;
        connection
            .prepare_cached("UPDATE messages SET turn = ?1 WHERE chat = ?2 AND seq BETWEEN ?3 AND ?4")?
            .execute(params![turn, chat, first, upto])?;
    }
    move_cursor(connection, group, covered.max(upto))?;
    let closed = waiting.is_some() || woke;
    if tell == Tell::Yes {
        let sentence = if closed { phrases::STOPPED } else { phrases::NOTHING_TO_STOP };
        let turn = first.map(|_| turn.as_str());
        insert(connection, OutboxKind::Notice, chat, turn, None, &[sentence.to_owned()], now)?;
    }
    Ok(closed)
}

/// Up to which message the group's turns have ended.
pub(super) fn settled(connection: &Connection, group: &GroupId) -> rusqlite::Result<i64> {
    let settled = connection
        .prepare_cached("SELECT settled_seq FROM cursors WHERE group_id = ?1")?
        .query_row([group.as_str()], |row| row.get(0))
        .optional()?;
    Ok(settled.unwrap_or(0))
}

/// Every message up to this one belongs to a turn that has ended.
pub(super) fn move_cursor(connection: &Connection, group: &GroupId, last: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO cursors VALUES (?1, ?2)
             ON CONFLICT (group_id) DO UPDATE SET settled_seq = max(settled_seq, excluded.settled_seq)",
        )?
        .execute(params![group.as_str(), last])
        .map(drop)
}
