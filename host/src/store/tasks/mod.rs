//! Tasks: what runs when, and what has run.

mod fire;
mod row;
mod runs;

use jiff::Timestamp;
use longshore_protocol::ipc::{ContextMode, Misfire, Overlap, ScheduleType, TaskStatus};
use longshore_protocol::{GroupId, TaskId};
use rusqlite::{Connection, OptionalExtension, params};

pub use self::fire::{Fired, Firing};
use self::row::{COLUMNS, read};
pub use self::runs::{Run, RunOutcome, TaskRun};
pub(super) use self::runs::{begin_run, end_run, task_of_turn};
use super::{Store, StoreError, millis};

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Whose it is.
    pub group: GroupId,
    /// What the agent is told.
    pub prompt: String,
    /// How its times are said.
    pub schedule_type: ScheduleType,
    /// Its times.
    pub schedule_value: String,
    /// The IANA zone that was named for it; absent: the group's.
    pub timezone: Option<String>,
    /// The IANA zone in which its times were reckoned last.
    pub zone: String,
    /// Which conversation its runs belong to.
    pub context_mode: ContextMode,
    /// What becomes of missed runs.
    pub misfire: Misfire,
    /// What becomes of overlapping runs.
    pub overlap: Overlap,
    /// Up to how much later than its time a run starts.
    pub jitter_seconds: u32,
    /// How it stands.
    pub status: TaskStatus,
    /// Why it is paused.
    pub paused_because: Option<PausedBecause>,
    /// From where intervals count.
    pub anchor: Timestamp,
    /// Its next time; absent when there is none.
    pub next_run: Option<Timestamp>,
    /// When that is acted on: later by its jitter.
    pub due_at: Option<Timestamp>,
    /// How many runs in a row have failed.
    pub failures: u32,
    /// Who made it: a group's folder, or `operator`.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

/// Why a task is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedBecause {
    /// Somebody asked for it.
    Asked,
    /// Too many runs in a row failed.
    Failures,
    /// Its group is not registered. It goes on when the group is again.
    GroupGone,
    /// Its times can no longer be reckoned.
    Unreckonable,
}

impl PausedBecause {
    const ALL: [Self; 4] = [Self::Asked, Self::Failures, Self::GroupGone, Self::Unreckonable];

    /// In the store, and for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked for",
            Self::Failures => "its last runs failed",
            Self::GroupGone => "its group is not registered",
            Self::Unreckonable => "its times cannot be reckoned",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What a decision changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskChange {
    /// Nothing.
    Nothing,
    /// A new task.
    Add(Box<Task>),
    /// The task as it is from now on.
    Set(Box<Task>),
    /// The same, and its runs that wait are called off.
    SetAndCallOff(Box<Task>),
}

impl TaskChange {
    /// The task as it is from now on.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        match self {
            Self::Nothing => None,
            Self::Add(task) | Self::Set(task) | Self::SetAndCallOff(task) => Some(task),
        }
    }
}

/// Where tasks are that may have to change when the groups do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPlace {
    /// Whose they are.
    pub group: GroupId,
    /// Whether they are paused because the group was gone.
    pub group_gone: bool,
    /// The zone in which their times were reckoned.
    pub zone: String,
    /// Whether that is their own, and not the group's.
    pub own_zone: bool,
}

/// Which tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskFilter {
    /// Of this group only.
    pub group: Option<GroupId>,
    /// Also those that are completed or were cancelled.
    pub ended: bool,
    /// No more than so many.
    pub limit: Option<usize>,
}

impl Store {
    /// Tasks, those of one group together, in the order in which they were made.
    ///
    /// # Errors
    /// What the store says.
    pub async fn tasks(&self, filter: TaskFilter) -> Result<Vec<Task>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM tasks WHERE (?1 IS NULL OR group_id = ?1)
                        AND (?2 OR status IN ('active', 'paused')) ORDER BY group_id, created_at, id LIMIT ?3",
                ))?
                .query_map(
                    params![
                        filter.group.as_ref().map(GroupId::as_str),
                        filter.ended,
                        filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX)),
                    ],
                    read,
                )?
                .collect()
        })
        .await
    }

    /// One task.
    ///
    /// # Errors
    /// What the store says.
    pub async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        self.read(move |connection| task(connection, &id)).await
    }

    /// Decides about a task and does it, in one transaction. `decide` is told the task as it is, if it
    /// exists, and how many tasks its group, or else `group`, has that are not over.
    ///
    /// # Errors
    /// What the store says.
    pub async fn decide_task<T: Send + 'static>(
        &self,
        id: TaskId,
        group: Option<GroupId>,
        now: Timestamp,
        decide: impl FnOnce(Option<Task>, u64) -> (T, TaskChange) + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(move |connection| {
            let found = task(connection, &id)?;
            let counted = found.as_ref().map(|task| &task.group).or(group.as_ref());
            let count = counted.map_or(Ok(0), |group| count(connection, group))?;
            let (answer, change) = decide(found, count);
            apply(connection, &change, now)?;
            Ok(answer)
        })
        .await
    }

    /// How many tasks are active and how many are paused.
    ///
    /// # Errors
    /// What the store says.
    pub async fn task_counts(&self) -> Result<(u64, u64), StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT count(*) FILTER (WHERE status = 'active'), count(*) FILTER (WHERE status = 'paused') FROM tasks",
                )?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .await
    }

    /// For which groups, and in which zones, there are tasks that are active or wait for their group.
    ///
    /// # Errors
    /// What the store says.
    pub async fn task_places(&self) -> Result<Vec<TaskPlace>, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT DISTINCT group_id, status = 'paused', zone, timezone IS NOT NULL FROM tasks
                     WHERE status = 'active' OR (status = 'paused' AND paused_because = ?1)",
                )?
                .query_map([PausedBecause::GroupGone.as_str()], |row| {
                    Ok(TaskPlace {
                        group: row::parsed(row, 0)?,
                        group_gone: row.get(1)?,
                        zone: row.get(2)?,
                        own_zone: row.get(3)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// Decides again about the tasks of a group that are active or wait for the group.
    ///
    /// # Errors
    /// What the store says.
    pub async fn review_tasks(
        &self,
        group: GroupId,
        now: Timestamp,
        decide: impl Fn(&Task) -> TaskChange + Send + 'static,
    ) -> Result<(), StoreError> {
        self.run(move |connection| {
            let tasks: Vec<Task> = connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM tasks WHERE group_id = ?1
                        AND (status = 'active' OR (status = 'paused' AND paused_because = ?2))",
                ))?
                .query_map([group.as_str(), PausedBecause::GroupGone.as_str()], read)?
                .collect::<rusqlite::Result<_>>()?;
            tasks.iter().try_for_each(|task| apply(connection, &decide(task), now))
        })
        .await
    }
}

/// One task.
pub(super) fn task(connection: &Connection, id: &TaskId) -> rusqlite::Result<Option<Task>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM tasks WHERE id = ?1"))?
        .query_row([id.as_str()], read)
        .optional()
}

/// Every task, also those that are over.
pub(super) fn all_tasks(connection: &Connection) -> rusqlite::Result<Vec<Task>> {
    connection.prepare(&format!("SELECT {COLUMNS} FROM tasks"))?.query_map([], read)?.collect()
}

/// How many of the group's tasks are not over.
pub(super) fn count(connection: &Connection, group: &GroupId) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM tasks WHERE group_id = ?1 AND status IN ('active', 'paused')")?
        .query_row([group.as_str()], |row| row.get(0))
}

/// Makes a change.
pub(super) fn apply(connection: &Connection, change: &TaskChange, now: Timestamp) -> rusqlite::Result<()> {
    match change {
        TaskChange::Nothing => Ok(()),
        TaskChange::Add(task) => row::write(connection, "INSERT", task),
        TaskChange::Set(task) => row::write(connection, "REPLACE", task),
        TaskChange::SetAndCallOff(task) => {
            row::write(connection, "REPLACE", task)?;
            runs::call_off(connection, &task.id, now)
        }
    }
}

/// Moves a task that fired to its next time, without touching what else it is.
fn advance(connection: &Connection, task: &Task) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE tasks SET next_run = ?2, due_at = ?3, status = ?4 WHERE id = ?1")?
        .execute(params![task.id.as_str(), task.next_run.map(millis), task.due_at.map(millis), task.status.as_str(),])
        .map(drop)
}
