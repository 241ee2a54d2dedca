//! How a turn ends.

use jiff::Timestamp;
use longshore_protocol::{Failure, FailureKind, TurnId};
use rusqlite::{Connection, params};

use super::EndTurn;
use super::closed::{Tell, close_at_stop, move_cursor};
use crate::phrases;
use crate::store::outbox::{OutboxKind, insert};
use crate::store::tasks::{RunOutcome, end_run};
use crate::store::{millis, sessions, undelivered};

pub(super) fn end_turn(connection: &Connection, turn: &TurnId, end: &EndTurn, now: Timestamp) -> rusqlite::Result<()> {
    let (group, chat, provider, last): (String, String, String, Option<i64>) = connection
        .prepare_cached("SELECT group_id, chat, provider, last_seq FROM turns WHERE id = ?1")?
        .query_row([turn.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    set_state(connection, turn, end, now)?;
    let Ok(group) = group.parse() else { return Err(rusqlite::Error::InvalidColumnName("turns.group_id".into())) };
    let tell = |notice: &[String]| {
        insert(connection, OutboxKind::Notice, &chat, Some(turn.as_str()), None, notice, now).map(drop)
    };
    match end {
        EndTurn::Settled => undelivered::told(connection, &chat, turn.as_str())?,
        EndTurn::Retry { forget_session: false, .. } => {}
        EndTurn::Retry { forget_session: true, .. } => {
            if let Ok(provider) = provider.parse() {
                sessions::forget(connection, &group, provider)?;
            }
        }
        EndTurn::Postponed { notice, .. } if first_time(connection, turn)? => tell(notice)?,
        EndTurn::Postponed { .. } => {}
        EndTurn::GaveUp { notice, .. } => tell(notice)?,
        EndTurn::Stopped => tell(&[phrases::STOPPED.to_owned()])?,
    }
    match last {
        None => end_task_turn(connection, turn, end, now)?,
        Some(_) if matches!(end, EndTurn::Retry { .. } | EndTurn::Postponed { .. }) => {}
        Some(last) => move_cursor(connection, &group, last)?,
    }
    match end {
        // What was asked for between the turn's beginning and the `/stop` is stopped with it.
        EndTurn::Stopped => close_at_stop(connection, &group, &chat, Tell::No, now).map(drop),
        _ => Ok(()),
    }
}

/// Whether the chat has not been told yet that the turn waits.
fn first_time(connection: &Connection, turn: &TurnId) -> rusqlite::Result<bool> {
    let told =
        connection.prepare_cached("UPDATE turns SET told = 1 WHERE id = ?1 AND told = 0")?.execute([turn.as_str()])?;
    Ok(told > 0)
}

fn set_state(connection: &Connection, turn: &TurnId, end: &EndTurn, now: Timestamp) -> rusqlite::Result<()> {
    let ended = Some(millis(now));
    let stopped = Failure::new("host", FailureKind::Stopped, "somebody asked for it");
    let (state, failure, not_before, ended, uncount) = match end {
        EndTurn::Settled => ("settled", None, None, ended, 0),
        EndTurn::Retry { failure, at, counted, .. } => {
            ("waiting", Some(failure), at.map(millis), None, i64::from(!counted))
        }
        EndTurn::Postponed { failure, at, .. } => ("waiting", Some(failure), Some(millis(*at)), None, 0),
        EndTurn::GaveUp { failure, .. } => ("gave_up", Some(failure), None, ended, 0),
        EndTurn::Stopped => ("gave_up", Some(&stopped), None, ended, 0),
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
        EndTurn::Retry { failure, .. } | EndTurn::Postponed { failure, .. } => {
            (RunOutcome::Waiting, Some(said(failure)), false)
        }
        EndTurn::GaveUp { failure, pause_task, .. } => (RunOutcome::Failed, Some(said(failure)), *pause_task),
        EndTurn::Stopped => (RunOutcome::Cancelled, Some("stopped by somebody in the chat".to_owned()), false),
    };
    end_run(connection, turn.as_str(), outcome, error.as_deref(), pause, now)
}
