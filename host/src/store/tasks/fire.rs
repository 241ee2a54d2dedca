//! Firing: a waiting turn and the task's next time, in one transaction.

use jiff::Timestamp;
use longshore_protocol::ipc::{Overlap, TaskStatus};
use longshore_protocol::{GroupId, TaskId};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::row::{COLUMNS, read};
use super::{Task, TaskChange, advance, apply};
use crate::store::{Store, StoreError, millis, timestamp};

/// How many tasks fire in one transaction: the first of them waits for the last.
const BATCH: usize = 64;

/// What is to become of a task that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firing {
    /// These of its times run, in the chat, and it goes on with another.
    Run {
        /// The group's chat.
        chat: String,
        /// The times, oldest first.
        times: Vec<Timestamp>,
        /// Its next time and when to act on it; without one it is completed.
        next: Option<(Timestamp, Timestamp)>,
    },
    /// It does not run; this is what it is from now on.
    Stop(TaskChange),
}

/// What a look at the due tasks led to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fired {
    /// Groups that have a turn waiting, once each.
    pub groups: Vec<GroupId>,
    /// How many runs there are now.
    pub runs: u64,
    /// How many times were left out because the last run was not over.
    pub left_out: u64,
    /// When the tasks were due that have a run now.
    pub due: Vec<Timestamp>,
    /// When the next task is due; that may be past.
    pub next: Option<Timestamp>,
}

impl Store {
    /// Fires the tasks that are due, some of them if there are many: for each, what `decide` says
    /// becomes waiting turns, and its next time is set, all in one transaction.
    ///
    /// # Errors
    /// What the store says; nothing has fired then.
    pub async fn fire(
        &self,
        now: Timestamp,
        decide: impl Fn(&Task, Timestamp) -> Firing + Send + 'static,
    ) -> Result<Fired, StoreError> {
        self.run(move |connection| {
            let due: Vec<Task> = connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM tasks WHERE status = 'active' AND due_at <= ?1 ORDER BY due_at LIMIT ?2",
                ))?
                .query_map(params![millis(now), BATCH], read)?
                .collect::<rusqlite::Result<_>>()?;
            let mut fired = Fired::default();
            for task in due {
                let Some(next_run) = task.next_run else { continue };
                match decide(&task, next_run) {
                    Firing::Stop(change) => apply(connection, &change, now)?,
                    Firing::Run { chat, times, next } => {
                        run(connection, &task, &chat, &times, &mut fired, now)?;
                        fired.due.extend(task.due_at);
                        let status = if next.is_some() { TaskStatus::Active } else { TaskStatus::Completed };
                        let (next_run, due_at) = (next.map(|next| next.0), next.map(|next| next.1));
                        advance(connection, &Task { next_run, due_at, status, ..task })?;
                    }
                }
            }
            fired.next = next_due(connection)?;
            Ok(fired)
        })
        .await
    }

    /// Runs a task now, whenever its next time is. `None` if that very millisecond has its run already
    /// or the last run is not over.
    ///
    /// # Errors
    /// What the store says.
    pub async fn run_now(&self, id: TaskId, chat: String, now: Timestamp) -> Result<Option<GroupId>, StoreError> {
        self.run(move |connection| {
            let Some(task) = super::task(connection, &id)? else { return Ok(None) };
            let mut fired = Fired::default();
            run(connection, &task, &chat, &[now], &mut fired, now)?;
            Ok(fired.groups.pop())
        })
        .await
    }
}

/// Makes waiting turns for the times. A task whose last run is not over is not queued again, but for one
/// if it is to queue; runs of the same firing are no obstacle to each other.
fn run(
    connection: &Connection,
    task: &Task,
    chat: &str,
    times: &[Timestamp],
    fired: &mut Fired,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let open: u64 = connection
        .prepare_cached("SELECT count(*) FROM runs WHERE task = ?1 AND outcome IN ('waiting', 'running')")?
        .query_row([task.id.as_str()], |row| row.get(0))?;
    let allowed = match task.overlap {
        Overlap::Skip => 1,
        Overlap::Queue => 2,
    };
    for time in times {
        let turn = (open < allowed).then(|| Uuid::now_v7().simple().to_string());
        let (outcome, error) = match turn {
            Some(_) => ("waiting", None),
            None => ("skipped", Some("the last run was not over")),
        };
        let inserted = connection
            .prepare_cached(
                "INSERT INTO runs (task, scheduled_for, turn, fired_at, outcome, error) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (task, scheduled_for) DO NOTHING",
            )?
            .execute(params![task.id.as_str(), millis(*time), turn, millis(now), outcome, error])?;
        let (Some(turn), 1) = (turn, inserted) else {
            fired.left_out += inserted as u64;
            continue;
        };
        connection
            .prepare_cached(
                "INSERT INTO turns (id, group_id, chat, task, scheduled_for, state, attempt, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'waiting', 0, ?6)",
            )?
            .execute(params![turn, task.group.as_str(), chat, task.id.as_str(), millis(*time), millis(now)])?;
        fired.runs += 1;
        if !fired.groups.contains(&task.group) {
            fired.groups.push(task.group.clone());
        }
    }
    Ok(())
}

fn next_due(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let due: Option<i64> = connection
        .prepare_cached("SELECT min(due_at) FROM tasks WHERE status = 'active'")?
        .query_row([], |row| row.get(0))?;
    Ok(due.map(timestamp))
}
