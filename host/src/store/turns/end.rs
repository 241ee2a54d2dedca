//! How a turn ends.

use jiff::Timestamp;
use longshore_protocol::{Failure, TurnId};
use rusqlite::{Connection, params};

use super::EndTurn;
use crate::store::outbox::{OutboxKind, insert};
use crate::store::tasks::{RunOutcome, end_run};
use crate::store::{millis, sessions, undelivered};

pub(super) fn end_turn(connection: &Connection, turn: &TurnId, end: &EndTurn, now: Timestamp) -> rusqlite::Result<()> {
    let (group, chat, provider, last): (String, String, String, Option<i64>) = connection
        .prepare_cached("SELECT group_id, chat, provider, last_seq FROM turns WHERE id = ?1")?
        .query_row([turn.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    set_state(connection, turn, end, now)?;
    match end {
        EndTurn::Settled => undelivered::told(connection, &chat, turn.as_str())?,
        EndTurn::Retry { forget_session: false, .. } => {}
        EndTurn::Retry { forget_session: true, .. } => {
            if let (Ok(group), Ok(provider)) = (group.parse(), provider.parse()) {
                sessions::forget(connection, &group, provider)?;
            }
        }
        EndTurn::GaveUp { notice, .. } => {
            insert(connection, OutboxKind::Notice, &chat, Some(turn.as_str()), None, notice, now)?;
        }
    }
    let Some(last) = last else { return end_task_turn(connection, turn, end, now) };
    if matches!(end, EndTurn::Retry { .. }) {
        return Ok(());
    }
    move_cursor(connection, &group, last)
}

/// Every message of the group up to this one has been in an ended turn.
pub(super) fn move_cursor(connection: &Connection, group: &str, last: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO cursors VALUES (?1, ?2)
             ON CONFLICT (group_id) DO UPDATE SET settled_seq = max(settled_seq, excluded.settled_seq)",
        )?
        .execute(params![group, last])
        .map(drop)
}

fn set_state(connection: &Connection, turn: &TurnId, end: &EndTurn, now: Timestamp) -> rusqlite::Result<()> {
    let ended = Some(millis(now));
    let (state, failure, not_before, ended, uncount) = match end {
        EndTurn::Settled => ("settled", None, None, ended, 0),
        EndTurn::Retry { failure, at, counted, .. } => {
            ("waiting", Some(failure), at.map(millis), None, i64::from(!counted))
        }
        EndTurn::GaveUp { failure, .. } => ("gave_up", Some(failure), None, ended, 0),
    };
    connection
        .prepare_cached(
            "UPDATE turns SET state = ?2, failure_code = ?3, failure_message = ?4, not_before = ?5, ended_at = ?6,
                attempt = attempt - ?7 WHERE id = ?1",
        )?
        .execute(params![
            turn.as_str(),
            state,
            failure.map(|failure| &failure.code),
            failure.map(|failure| &failure.message),
            not_before,
            ended,
            uncount,
        ])
        .map(drop)
}

/// The run ends with its turn. A turn that waits for another try keeps its run waiting.
fn end_task_turn(connection: &Connection, turn: &TurnId, end: &EndTurn, now: Timestamp) -> rusqlite::Result<()> {
    let said = |failure: &Failure| format!("{}: {}", failure.code, failure.message);
    let (outcome, error, pause) = match end {
        EndTurn::Settled => (RunOutcome::Ok, None, false),
        EndTurn::Retry { failure, .. } => (RunOutcome::Waiting, Some(said(failure)), false),
        EndTurn::GaveUp { failure, pause_task, .. } => (RunOutcome::Failed, Some(said(failure)), *pause_task),
    };
    end_run(connection, turn.as_str(), outcome, error.as_deref(), pause, now)
}
