//! What becomes of a task when somebody asks for something. Pure: a task in, a task out.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use longshore_protocol::TaskId;
use longshore_protocol::ipc::{
    Answer, ContextMode, MAX_JITTER_SECONDS, Misfire, Overlap, ScheduleTask, TaskStatus, UpdateTask,
};

use super::cadence::{Cadence, CadenceError};
use super::plan::jitter;
use crate::groups::Group;
use crate::ipc::refusal::{MAX_PROMPT_BYTES, MAX_TASKS, Refusal};
use crate::store::tasks::{PausedBecause, Task};

/// How many coming times an answer names.
const NAMED_RUNS: usize = 3;

/// The circumstances of a request.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// When it is decided.
    pub now: Timestamp,
    /// The zone for groups that name none.
    pub time_zone: TimeZone,
}

impl Circumstances {
    /// The group's zone.
    #[must_use]
    pub fn zone_of(&self, group: Option<&Group>) -> TimeZone {
        group.and_then(|group| group.timezone.clone()).unwrap_or_else(|| self.time_zone.clone())
    }
}

/// Who makes a task, and for whom.
#[derive(Debug, Clone)]
pub struct Making<'a> {
    /// Its id, if the request names none.
    pub id: TaskId,
    /// Whose it is to be.
    pub group: &'a Group,
    /// Who asks: a group's folder, or `operator`.
    pub by: &'a str,
    /// The task that has its id already.
    pub existing: Option<&'a Task>,
    /// How many tasks the group has that are not over.
    pub count: u64,
}

/// A new task.
///
/// # Errors
/// What is wrong with the request.
pub fn schedule(request: &ScheduleTask, making: &Making<'_>, at: &Circumstances) -> Result<Task, Refusal> {
    if let Some(existing) = making.existing {
        return Err(Refusal::IdTaken(existing.id.clone()));
    }
    if making.count >= MAX_TASKS {
        return Err(Refusal::TooManyTasks);
    }
    refuse_script(request.script.as_deref())?;
    let mut task = Task {
        id: making.id.clone(),
        group: making.group.id.clone(),
        prompt: prompt(&request.prompt)?,
        schedule_type: request.schedule_type,
        schedule_value: request.schedule_value.trim().to_owned(),
        timezone: request.timezone.clone(),
        zone: String::new(),
        context_mode: request.context_mode.unwrap_or(ContextMode::Isolated),
        misfire: request.misfire.unwrap_or(Misfire::Latest),
        overlap: request.overlap.unwrap_or(Overlap::Skip),
        jitter_seconds: jitter_seconds(request.jitter_seconds)?.unwrap_or(0),
        status: TaskStatus::Active,
        paused_because: None,
        anchor: at.now,
        next_run: None,
        due_at: None,
        failures: 0,
        created_by: making.by.to_owned(),
        created_at: at.now,
    };
    reckon(&mut task, Some(making.group), at)?;
    Ok(task)
}

/// The task with what is to be different. A paused one stays paused; one that is completed is active
/// again if its times are new.
///
/// # Errors
/// What is wrong with the request.
pub fn update(
    mut task: Task,
    request: &UpdateTask,
    group: Option<&Group>,
    at: &Circumstances,
) -> Result<Task, Refusal> {
    refuse_script(request.script.as_deref())?;
    let before = task.clone();
    if let Some(text) = &request.prompt {
        task.prompt = prompt(text)?;
    }
    if let Some(value) = request.schedule_type {
        task.schedule_type = value;
    }
    if let Some(value) = &request.schedule_value {
        value.trim().clone_into(&mut task.schedule_value);
    }
    if let Some(zone) = &request.timezone {
        task.timezone = Some(zone.clone());
    }
    task.context_mode = request.context_mode.unwrap_or(task.context_mode);
    task.misfire = request.misfire.unwrap_or(task.misfire);
    task.overlap = request.overlap.unwrap_or(task.overlap);
    task.jitter_seconds = jitter_seconds(request.jitter_seconds)?.unwrap_or(task.jitter_seconds);
    let reschedules = request.schedule_type.is_some() || request.schedule_value.is_some() || request.timezone.is_some();
    if task == before && !reschedules {
        return Err(Refusal::NothingToChange);
    }
    match task.status {
        TaskStatus::Cancelled => return Err(Refusal::Over(task.id, task.status)),
        TaskStatus::Completed if !reschedules => return Err(Refusal::Over(task.id, task.status)),
        TaskStatus::Completed => task.status = TaskStatus::Active,
        TaskStatus::Active | TaskStatus::Paused => {}
    }
    task.failures = 0;
    if reschedules {
        task.anchor = at.now;
    }
    if reschedules || task.jitter_seconds != before.jitter_seconds {
        reckon(&mut task, group, at)?;
        if task.status == TaskStatus::Paused {
            (task.next_run, task.due_at) = (None, None);
        }
    }
    Ok(task)
}

/// The task, paused.
///
/// # Errors
/// [`Refusal::Over`].
pub fn pause(task: Task, why: PausedBecause) -> Result<Task, Refusal> {
    let task = not_over(task)?;
    Ok(Task { status: TaskStatus::Paused, paused_because: Some(why), next_run: None, due_at: None, ..task })
}

/// The task, active again: from its next time after now on.
///
/// # Errors
/// [`Refusal::NotPaused`], [`Refusal::Over`], or its times, for a `once` that has passed.
pub fn resume(task: Task, group: Option<&Group>, at: &Circumstances) -> Result<Task, Refusal> {
    let mut task = not_over(task)?;
    if task.status != TaskStatus::Paused {
        return Err(Refusal::NotPaused(task.id));
    }
    (task.status, task.paused_because, task.failures) = (TaskStatus::Active, None, 0);
    reckon(&mut task, group, at)?;
    Ok(task)
}

/// The task, called off.
///
/// # Errors
/// [`Refusal::Over`].
pub fn cancel(task: Task) -> Result<Task, Refusal> {
    let task = not_over(task)?;
    Ok(Task { status: TaskStatus::Cancelled, paused_because: None, next_run: None, due_at: None, ..task })
}

/// What is answered about a task: its next times in its zone, so that the agent can tell them.
#[must_use]
pub fn answer(task: &Task) -> Answer {
    let zone = TimeZone::get(&task.zone).unwrap_or(TimeZone::UTC);
    let mut times: Vec<Timestamp> = task.next_run.into_iter().collect();
    if let (Some(next), Ok(cadence)) = (task.next_run, cadence(task, &zone)) {
        times.extend(cadence.upcoming(next, NAMED_RUNS - 1));
    }
    Answer {
        ok: true,
        id: Some(task.id.to_string()),
        status: Some(task.status),
        timezone: Some(task.zone.clone()),
        next_runs: times.into_iter().map(|time| local(time, &zone)).collect(),
        error: None,
    }
}

/// RFC 3339 in the zone, to the second.
#[must_use]
pub fn local(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The task's times.
///
/// # Errors
/// They cannot be read.
pub fn cadence(task: &Task, zone: &TimeZone) -> Result<Cadence, CadenceError> {
    Cadence::parse(task.schedule_type, &task.schedule_value, zone, task.anchor)
}

/// The zone in which the task's times are read, and its name: its own, else the group's.
///
/// # Errors
/// [`Refusal::Zone`].
pub fn zone(task: &Task, group: Option<&Group>, at: &Circumstances) -> Result<(TimeZone, String), Refusal> {
    let zone = match &task.timezone {
        Some(name) => TimeZone::get(name).map_err(|_| Refusal::Zone(name.chars().take(64).collect()))?,
        None => at.zone_of(group),
    };
    let name = zone.iana_name().unwrap_or("UTC").to_owned();
    Ok((zone, name))
}

/// Sets the task's next time.
///
/// # Errors
/// Its zone or its times cannot be read, or there is no further one.
pub fn reckon(task: &mut Task, group: Option<&Group>, at: &Circumstances) -> Result<(), Refusal> {
    let (zone, name) = zone(task, group, at)?;
    let first = cadence(task, &zone)?.first(at.now)?;
    task.zone = name;
    (task.next_run, task.due_at) = (Some(first), Some(due(task, first)));
    Ok(())
}

/// When the task's time is acted on.
#[must_use]
pub fn due(task: &Task, time: Timestamp) -> Timestamp {
    let wait: SignedDuration = jitter(task.id.as_str(), time, task.jitter_seconds);
    time.checked_add(wait).unwrap_or(time)
}

fn not_over(task: Task) -> Result<Task, Refusal> {
    match task.status {
        TaskStatus::Active | TaskStatus::Paused => Ok(task),
        TaskStatus::Completed | TaskStatus::Cancelled => Err(Refusal::Over(task.id, task.status)),
    }
}

fn prompt(text: &str) -> Result<String, Refusal> {
    match text.trim() {
        "" => Err(Refusal::EmptyPrompt),
        long if long.len() > MAX_PROMPT_BYTES => Err(Refusal::LongPrompt),
        text => Ok(text.to_owned()),
    }
}

fn refuse_script(script: Option<&str>) -> Result<(), Refusal> {
    script.is_none_or(|script| script.trim().is_empty()).then_some(()).ok_or(Refusal::Script)
}

fn jitter_seconds(seconds: Option<u32>) -> Result<Option<u32>, Refusal> {
    if seconds > Some(MAX_JITTER_SECONDS) { Err(Refusal::Jitter) } else { Ok(seconds) }
}
