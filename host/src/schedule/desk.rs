//! The operator's door to the tasks: what `longshore tasks` asks for, whether a host runs or not.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use longshore_protocol::ipc::{ContextMode, Misfire, Overlap, ScheduleTask, ScheduleType, TaskStatus};
use longshore_protocol::{GroupId, TaskId};
use serde::{Deserialize, Serialize};

use super::request::{self, Circumstances, Making, local};
use super::task_id;
use crate::groups::{Group, Groups};
use crate::ipc::refusal::Refusal;
use crate::store::tasks::{PausedBecause, Run, RunOutcome, Task, TaskChange, TaskFilter};
use crate::store::{Store, StoreError};

/// Who made a task that no agent made.
const OPERATOR: &str = "operator";

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum TaskCommand {
    /// The tasks.
    List {
        /// Of this group only.
        group: Option<GroupId>,
        /// Also those that are over.
        all: bool,
    },
    /// One task, with its newest runs.
    Show {
        /// Which.
        id: TaskId,
        /// How many runs.
        runs: usize,
    },
    /// A new task.
    Add {
        /// Whose.
        group: GroupId,
        /// What and when.
        task: Box<ScheduleTask>,
    },
    /// Pause it.
    Pause {
        /// Which.
        id: TaskId,
    },
    /// Let it run again.
    Resume {
        /// Which.
        id: TaskId,
    },
    /// Call it off.
    Cancel {
        /// Which.
        id: TaskId,
    },
    /// Run it now, beside its times.
    RunNow {
        /// Which.
        id: TaskId,
    },
}

/// What an operator is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum TaskReply {
    /// The tasks.
    Tasks {
        /// In the order of their groups, the oldest first.
        tasks: Vec<TaskView>,
    },
    /// One task.
    Task {
        /// As it is now.
        task: Box<TaskView>,
        /// Its newest runs first.
        runs: Vec<RunView>,
    },
}

/// A task, for people. Times are RFC 3339 in the task's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Task`")]
pub struct TaskView {
    pub id: TaskId,
    pub group: GroupId,
    pub prompt: String,
    pub schedule_type: ScheduleType,
    pub schedule_value: String,
    pub zone: String,
    pub context_mode: ContextMode,
    pub misfire: Misfire,
    pub overlap: Overlap,
    pub jitter_seconds: u32,
    pub status: TaskStatus,
    pub paused_because: Option<String>,
    pub next_runs: Vec<String>,
    pub failures: u32,
    pub created_by: String,
    pub created_at: String,
}

/// A run, for people. Times are RFC 3339 in the task's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Run`")]
pub struct RunView {
    pub scheduled_for: String,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub outcome: RunOutcome,
    pub error: Option<String>,
    pub result: Option<String>,
}

/// What a command led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// What the operator is shown.
    pub reply: TaskReply,
    /// The group whose tasks were changed.
    pub touched: Option<GroupId>,
    /// The group that has a turn waiting now.
    pub woken: Option<GroupId>,
}

/// Serves operators.
pub struct Desk {
    /// The store.
    pub store: Store,
    /// The groups as they are now.
    pub groups: Arc<Groups>,
    /// The circumstances.
    pub at: Circumstances,
}

impl Desk {
    /// Does what is asked.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub async fn serve(&self, command: TaskCommand) -> Result<Served, String> {
        let shown = |reply| Served { reply, touched: None, woken: None };
        match command {
            TaskCommand::List { group, all } => {
                let filter = TaskFilter { group: group.clone(), ended: all, limit: None };
                let tasks = self.store.tasks(filter).await.map_err(said)?;
                if let Some(group) = group.filter(|group| tasks.is_empty() && self.groups.by_id(group).is_none()) {
                    return Err(self.no_group(&group));
                }
                Ok(shown(TaskReply::Tasks { tasks: tasks.iter().map(view).collect() }))
            }
            TaskCommand::Show { id, runs } => {
                let task = self.store.task(id.clone()).await.map_err(said)?.ok_or_else(|| missing(&id))?;
                Ok(shown(self.task(&task, runs).await?))
            }
            TaskCommand::Add { group, task } => self.add(&group, *task).await,
            TaskCommand::Pause { id } => {
                let pause = |task: Task, _: Option<&Group>, _: &Circumstances| {
                    Ok(TaskChange::SetAndCallOff(Box::new(request::pause(task, PausedBecause::Asked)?)))
                };
                self.change(id, pause).await
            }
            TaskCommand::Resume { id } => {
                let resume = |task: Task, group: Option<&Group>, at: &Circumstances| {
                    Ok(TaskChange::Set(Box::new(request::resume(task, group, at)?)))
                };
                self.change(id, resume).await
            }
            TaskCommand::Cancel { id } => {
                let cancel = |task: Task, _: Option<&Group>, _: &Circumstances| {
                    Ok(TaskChange::SetAndCallOff(Box::new(request::cancel(task)?)))
                };
                self.change(id, cancel).await
            }
            TaskCommand::RunNow { id } => self.run_now(id).await,
        }
    }

    fn no_group(&self, wanted: &GroupId) -> String {
        let known: Vec<String> = self.groups.iter().map(|group| format!("`{}`", group.id)).collect();
        format!("there is no group `{wanted}`; there are {}", known.join(", "))
    }

    async fn add(&self, group: &GroupId, wish: ScheduleTask) -> Result<Served, String> {
        let owner = self.groups.by_id(group).cloned().ok_or_else(|| self.no_group(group))?;
        let id = wish.id.clone().unwrap_or_else(|| task_id(self.at.now));
        let (at, task) = (self.at.clone(), id.clone());
        let decide = move |existing: Option<Task>, count| {
            let making = Making { id: task, group: &owner, by: OPERATOR, existing: existing.as_ref(), count };
            match request::schedule(&wish, &making, &at) {
                Ok(task) => (Ok(task.clone()), TaskChange::Add(Box::new(task))),
                Err(refusal) => (Err(refusal), TaskChange::Nothing),
            }
        };
        let decided = self.store.decide_task(id, Some(group.clone()), self.at.now, decide).await.map_err(said)?;
        self.changed(&decided.map_err(|refusal| refusal.to_string())?).await
    }

    async fn change(
        &self,
        id: TaskId,
        change: impl FnOnce(Task, Option<&Group>, &Circumstances) -> Result<TaskChange, Refusal> + Send + 'static,
    ) -> Result<Served, String> {
        let (groups, at, wanted) = (self.groups.clone(), self.at.clone(), id.clone());
        let decide = move |found: Option<Task>, _| {
            let decided = found.ok_or(Refusal::NoSuchTask(wanted)).and_then(|task| {
                let group = groups.by_id(&task.group).cloned();
                change(task, group.as_deref(), &at)
            });
            match decided {
                Ok(change) => (Ok(change.task().cloned()), change),
                Err(refusal) => (Err(refusal), TaskChange::Nothing),
            }
        };
        let decided = self.store.decide_task(id.clone(), None, self.at.now, decide).await.map_err(said)?;
        let task = decided.map_err(|refusal| match refusal {
            Refusal::NoSuchTask(id) => missing(&id),
            refusal => refusal.to_string(),
        })?;
        self.changed(&task.ok_or_else(|| missing(&id))?).await
    }

    async fn run_now(&self, id: TaskId) -> Result<Served, String> {
        let task = self.store.task(id.clone()).await.map_err(said)?.ok_or_else(|| missing(&id))?;
        let group = self
            .groups
            .by_id(&task.group)
            .ok_or_else(|| format!("the group `{}` of the task is not registered; add it first", task.group))?;
        let woken = self.store.run_now(id.clone(), group.chat.clone(), self.at.now).await.map_err(said)?;
        if woken.is_none() {
            return Err(format!("the last run of `{id}` is not over; see `longshore tasks runs {id}`"));
        }
        Ok(Served { reply: self.task(&task, 1).await?, touched: Some(task.group), woken })
    }

    async fn changed(&self, task: &Task) -> Result<Served, String> {
        Ok(Served { reply: self.task(task, 0).await?, touched: Some(task.group.clone()), woken: None })
    }

    async fn task(&self, task: &Task, runs: usize) -> Result<TaskReply, String> {
        let zone = TimeZone::get(&task.zone).unwrap_or(TimeZone::UTC);
        let runs = match runs {
            0 => Vec::new(),
            runs => self.store.runs(task.id.clone(), runs).await.map_err(said)?,
        };
        let runs = runs.into_iter().map(|run| run_view(run, &zone)).collect();
        Ok(TaskReply::Task { task: Box::new(view(task)), runs })
    }
}

fn said(error: StoreError) -> String {
    error.to_string()
}

fn missing(id: &TaskId) -> String {
    format!("there is no task `{id}`; see `longshore tasks list --all`")
}

fn view(task: &Task) -> TaskView {
    let zone = TimeZone::get(&task.zone).unwrap_or(TimeZone::UTC);
    TaskView {
        id: task.id.clone(),
        group: task.group.clone(),
        prompt: task.prompt.clone(),
        schedule_type: task.schedule_type,
        schedule_value: task.schedule_value.clone(),
        zone: task.zone.clone(),
        context_mode: task.context_mode,
        misfire: task.misfire,
        overlap: task.overlap,
        jitter_seconds: task.jitter_seconds,
        status: task.status,
        paused_because: task.paused_because.map(|why| why.as_str().to_owned()),
        next_runs: request::answer(task).next_runs,
        failures: task.failures,
        created_by: task.created_by.clone(),
        created_at: local(task.created_at, &zone),
    }
}

fn run_view(run: Run, zone: &TimeZone) -> RunView {
    let shown = |time: Timestamp| local(time, zone);
    RunView {
        scheduled_for: shown(run.scheduled_for),
        started_at: run.started_at.map(shown),
        ended_at: run.ended_at.map(shown),
        outcome: run.outcome,
        error: run.error,
        result: run.result,
    }
}
