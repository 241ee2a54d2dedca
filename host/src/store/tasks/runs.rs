//! The run log: each time of a task, and what became of it.

use jiff::Timestamp;
use longshore_protocol::ipc::ContextMode;
use longshore_protocol::{TaskId, TurnId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::parsed;
use super::{PausedBecause, Task, task};
use crate::store::{Store, StoreError, millis, timestamp};

/// How many bytes of what a run said are kept in the log.
const RESULT_CHARS: usize = 200;
/// The failure code of a turn whose task was called off before it began.
const CALLED_OFF: &str = "TASK_CALLED_OFF";

/// What became of one time of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Its turn waits.
    Waiting,
    /// Its turn runs.
    Running,
    /// Its turn settled.
    Ok,
    /// Its turn was given up.
    Failed,
    /// It was called off before it began.
    Cancelled,
    /// It was left out because the last one was not over.
    Skipped,
}

impl RunOutcome {
    const ALL: [Self; 6] = [Self::Waiting, Self::Running, Self::Ok, Self::Failed, Self::Cancelled, Self::Skipped];

    /// In the store, and for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

impl std::str::FromStr for RunOutcome {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or_else(|| format!("`{text}` is no outcome"))
    }
}

/// One time of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The task's time.
    pub scheduled_for: Timestamp,
    /// The turn, if there is one.
    pub turn: Option<TurnId>,
    /// When its turn began, at its last attempt.
    pub started_at: Option<Timestamp>,
    /// When its turn ended.
    pub ended_at: Option<Timestamp>,
    /// What became of it.
    pub outcome: RunOutcome,
    /// Why it failed or did not run.
    pub error: Option<String>,
    /// How what it said begins.
    pub result: Option<String>,
}

/// What a turn of a task is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRun {
    /// The task.
    pub task: TaskId,
    /// The task's time.
    pub scheduled_for: Timestamp,
    /// What the agent is told.
    pub prompt: String,
    /// Which conversation it belongs to.
    pub context_mode: ContextMode,
    /// How many runs before it failed in a row.
    pub failures: u32,
}

impl Store {
    /// A task's runs, the newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn runs(&self, task: TaskId, limit: usize) -> Result<Vec<Run>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT scheduled_for, turn, started_at, ended_at, outcome, error, result FROM runs
                     WHERE task = ?1 ORDER BY scheduled_for DESC LIMIT ?2",
                )?
                .query_map(params![task.as_str(), limit], |row| {
                    Ok(Run {
                        scheduled_for: timestamp(row.get(0)?),
                        turn: row.get::<_, Option<String>>(1)?.and_then(|turn| turn.parse().ok()),
                        started_at: row.get::<_, Option<i64>>(2)?.map(timestamp),
                        ended_at: row.get::<_, Option<i64>>(3)?.map(timestamp),
                        outcome: parsed(row, 4)?,
                        error: row.get(5)?,
                        result: row.get(6)?,
                    })
                })?
                .collect()
        })
        .await
    }
}

/// The run that a turn is for; `None` for a turn that answers messages.
pub(in crate::store) fn task_of_turn(connection: &Connection, turn: &str) -> rusqlite::Result<Option<TaskRun>> {
    let found = connection
        .prepare_cached("SELECT task, scheduled_for FROM turns WHERE id = ?1 AND task IS NOT NULL")?
        .query_row([turn], |row: &Row<'_>| Ok((parsed::<TaskId>(row, 0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    let Some((id, scheduled_for)) = found else { return Ok(None) };
    let Task { id, prompt, context_mode, failures, .. } =
        task(connection, &id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(Some(TaskRun { task: id, scheduled_for: timestamp(scheduled_for), prompt, context_mode, failures }))
}

/// The turn of a run begins.
pub(in crate::store) fn begin_run(connection: &Connection, turn: &str, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE runs SET outcome = 'running', started_at = ?2 WHERE turn = ?1")?
        .execute(params![turn, millis(now)])
        .map(drop)
}

/// The turn of a run has ended its attempt. A failure counts towards the pause of the task.
pub(in crate::store) fn end_run(
    connection: &Connection,
    turn: &str,
    outcome: RunOutcome,
    error: Option<&str>,
    pause: bool,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let over = !matches!(outcome, RunOutcome::Waiting | RunOutcome::Running);
    let updated = connection
        .prepare_cached(
            "UPDATE runs SET outcome = ?2, error = ?3, ended_at = ?4,
                result = (SELECT substr(text, 1, ?5) FROM outbox WHERE outbox.turn = ?1 AND kind = 'reply' ORDER BY id LIMIT 1)
             WHERE turn = ?1",
        )?
        .execute(params![turn, outcome.as_str(), error, over.then(|| millis(now)), RESULT_CHARS])?;
    if updated == 0 || !over {
        return Ok(());
    }
    connection
        .prepare_cached(
            "UPDATE tasks SET failures = CASE WHEN ?2 THEN 0 ELSE failures + 1 END
             WHERE id = (SELECT task FROM runs WHERE turn = ?1)",
        )?
        .execute(params![turn, outcome == RunOutcome::Ok])?;
    if pause {
        connection
            .prepare_cached(
                "UPDATE tasks SET status = 'paused', paused_because = ?2, next_run = NULL, due_at = NULL
                 WHERE id = (SELECT task FROM runs WHERE turn = ?1) AND status = 'active'",
            )?
            .execute([turn, PausedBecause::Failures.as_str()])?;
    }
    Ok(())
}

/// Ends the runs of a task that wait. One that runs goes on to its end.
pub(super) fn call_off(connection: &Connection, task: &TaskId, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE turns SET state = 'gave_up', failure_code = ?2, failure_message = 'the task was paused or cancelled',
                ended_at = ?3 WHERE state = 'waiting'
                AND id IN (SELECT turn FROM runs WHERE task = ?1 AND outcome = 'waiting')",
        )?
        .execute(params![task.as_str(), CALLED_OFF, millis(now)])?;
    connection
        .prepare_cached(
            "UPDATE runs SET outcome = 'cancelled', error = 'the task was paused or cancelled', ended_at = ?2
             WHERE task = ?1 AND outcome = 'waiting'",
        )?
        .execute(params![task.as_str(), millis(now)])
        .map(drop)
}
