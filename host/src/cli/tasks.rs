//! `longshore tasks`: what is scheduled, what has run, and changes of it.

use std::path::Path;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use longshore_protocol::ipc::{ContextMode, Misfire, Overlap, ScheduleTask, ScheduleType};
use longshore_protocol::{GroupId, TaskId};

use super::registered::registered;
use super::table::table;
use super::{Ending, say};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::client::Client;
use crate::control::{Request, Response};
use crate::schedule::desk::{Desk, RunView, TaskCommand, TaskReply, TaskView};
use crate::schedule::request::Circumstances;
use crate::store::{self, Store};

/// How many runs `show` adds to a task.
const SHOWN_RUNS: usize = 5;
/// How many characters of a prompt a list shows.
const PROMPT_CHARS: usize = 40;

/// Arguments of `longshore tasks`.
#[derive(Debug, Args)]
pub(super) struct TasksArgs {
    #[command(subcommand)]
    command: Option<TasksCommand>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum TasksCommand {
    /// List the tasks with their next times; the default.
    List {
        /// Only this group's.
        #[arg(long)]
        group: Option<GroupId>,
        /// Also those that are completed or cancelled.
        #[arg(long)]
        all: bool,
    },
    /// Show one task whole, with its newest runs.
    Show {
        /// The task.
        id: TaskId,
    },
    /// Schedule a task.
    Add(Box<AddArgs>),
    /// Keep a task from running.
    Pause {
        /// The task.
        id: TaskId,
    },
    /// Let a paused task run again, from its next time on.
    Resume {
        /// The task.
        id: TaskId,
    },
    /// Call a task off.
    Cancel {
        /// The task.
        id: TaskId,
    },
    /// Run a task now; its times stay as they are.
    RunNow {
        /// The task.
        id: TaskId,
    },
    /// List a task's runs, the newest first.
    Runs {
        /// The task.
        id: TaskId,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Whose task it is: the group's folder.
    #[arg(long)]
    group: GroupId,
    /// `cron`, `interval` or `once`.
    #[arg(long = "type", value_name = "TYPE")]
    schedule_type: ScheduleType,
    /// `0 9 * * mon-fri`, milliseconds, or `2026-02-01T15:30:00`.
    #[arg(long = "at", value_name = "TIMES")]
    schedule_value: String,
    /// What the agent is told.
    prompt: String,
    /// An IANA time zone; the group's if absent.
    #[arg(long)]
    timezone: Option<String>,
    /// `isolated` or `group`.
    #[arg(long)]
    context: Option<ContextMode>,
    /// What becomes of missed runs: `latest`, `skip` or `all`.
    #[arg(long)]
    misfire: Option<Misfire>,
    /// What becomes of overlapping runs: `skip` or `queue`.
    #[arg(long)]
    overlap: Option<Overlap>,
    /// Up to how many seconds late it may start.
    #[arg(long)]
    jitter_seconds: Option<u32>,
}

pub(super) async fn tasks(args: TasksArgs, root: &Path) -> anyhow::Result<Ending> {
    let command = args.command.unwrap_or(TasksCommand::List { group: None, all: false });
    let only_runs = matches!(command, TasksCommand::Runs { .. });
    let reply = ask(root, request(command)).await?;
    if args.json {
        let json = match &reply {
            TaskReply::Tasks { tasks } => serde_json::to_string_pretty(tasks)?,
            TaskReply::Task { runs, .. } if only_runs => serde_json::to_string_pretty(runs)?,
            TaskReply::Task { .. } => serde_json::to_string_pretty(&reply)?,
        };
        say(&json)?;
    } else {
        let text = match &reply {
            TaskReply::Tasks { tasks } => list(tasks),
            TaskReply::Task { runs, .. } if only_runs => run_list(runs),
            TaskReply::Task { task, runs } => whole(task, runs),
        };
        say(text.trim_end())?;
    }
    Ok(Ending::Done)
}

fn request(command: TasksCommand) -> TaskCommand {
    match command {
        TasksCommand::List { group, all } => TaskCommand::List { group, all },
        TasksCommand::Show { id } => TaskCommand::Show { id, runs: SHOWN_RUNS },
        TasksCommand::Runs { id, limit } => TaskCommand::Show { id, runs: limit.max(1) },
        TasksCommand::Pause { id } => TaskCommand::Pause { id },
        TasksCommand::Resume { id } => TaskCommand::Resume { id },
        TasksCommand::Cancel { id } => TaskCommand::Cancel { id },
        TasksCommand::RunNow { id } => TaskCommand::RunNow { id },
        TasksCommand::Add(add) => TaskCommand::Add {
            group: add.group,
            task: Box::new(ScheduleTask {
                id: None,
                prompt: add.prompt,
                schedule_type: add.schedule_type,
                schedule_value: add.schedule_value,
                context_mode: add.context,
                timezone: add.timezone,
                misfire: add.misfire,
                overlap: add.overlap,
                jitter_seconds: add.jitter_seconds,
                target: None,
                group_folder: None,
                chat: None,
                script: None,
            }),
        },
    }
}

/// The running host does it; where none runs, it is done in the store.
async fn ask(root: &Path, command: TaskCommand) -> anyhow::Result<TaskReply> {
    if let Ok(mut client) = Client::connect(root).await {
        client.send(&Request::Tasks { command }).await?;
        return match client.next().await? {
            Response::Tasks { reply } => Ok(reply),
            Response::Error { message } => bail!(message),
            _ => bail!("the host answered something else; is it of another release?"),
        };
    }
    // Held until the end: a host that starts meanwhile waits for nothing and says why.
    let _lock = app::lock(root)?;
    let config = Config::load(root).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("`.env` has problems: {}", problems.join("; "))
    })?;
    let groups = registered(root)?.groups;
    let desk = Desk {
        store: Store::open(&root.join(store::FILE))?,
        groups: groups.into(),
        at: Circumstances { now: Clock::system().now(), time_zone: config.time_zone },
    };
    desk.serve(command).await.map(|served| served.reply).map_err(anyhow::Error::msg)
}

fn list(tasks: &[TaskView]) -> String {
    if tasks.is_empty() {
        return "no tasks: people ask the assistant for them, and `longshore tasks add` makes one; `--all` lists those that are over".into();
    }
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .map(|task| {
            vec![
                task.id.to_string(),
                task.group.to_string(),
                task.status.to_string(),
                next(task),
                format!("{} {}", task.schedule_type, task.schedule_value),
                cut(&task.prompt),
            ]
        })
        .collect();
    table(&["TASK", "GROUP", "STATUS", "NEXT RUN", "SCHEDULE", "PROMPT"], &rows)
}

fn run_list(runs: &[RunView]) -> String {
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            vec![
                run.scheduled_for.clone(),
                run.started_at.clone().unwrap_or_else(|| "-".into()),
                run.ended_at.clone().unwrap_or_else(|| "-".into()),
                run.outcome.as_str().to_owned(),
                cut(run.error.as_deref().or(run.result.as_deref()).unwrap_or_default()),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "no runs yet: `longshore tasks run-now ID` makes one".into();
    }
    table(&["SCHEDULED FOR", "STARTED", "ENDED", "OUTCOME", "RESULT"], &rows)
}

fn whole(task: &TaskView, runs: &[RunView]) -> String {
    let status = match &task.paused_because {
        Some(why) => format!("{} ({why})", task.status),
        None => task.status.to_string(),
    };
    let facts = [
        ("task", task.id.to_string()),
        ("group", task.group.to_string()),
        ("status", status),
        ("schedule", format!("{} {}", task.schedule_type, task.schedule_value)),
        ("zone", task.zone.clone()),
        ("next runs", if task.next_runs.is_empty() { "-".into() } else { task.next_runs.join(", ") }),
        ("context", task.context_mode.to_string()),
        ("missed runs", task.misfire.to_string()),
        ("overlap", task.overlap.to_string()),
        ("jitter", format!("{} s", task.jitter_seconds)),
        ("failures", format!("{} in a row", task.failures)),
        ("made by", format!("{}, {}", task.created_by, task.created_at)),
    ];
    let mut text: String = facts.iter().map(|(name, fact)| format!("{name:<12} {fact}\n")).collect();
    text.push_str(&format!("\n{}\n", task.prompt));
    if !runs.is_empty() {
        text.push_str(&format!("\n{}", run_list(runs)));
    }
    text
}

fn next(task: &TaskView) -> String {
    match (task.next_runs.first(), &task.paused_because) {
        (Some(next), _) => format!("{next} {}", task.zone),
        (None, Some(why)) => format!("- ({why})"),
        (None, None) => "-".into(),
    }
}

/// The beginning, on one line.
fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(PROMPT_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tasks::RunOutcome;
    use longshore_protocol::ipc::TaskStatus;

    fn task(id: &str, status: TaskStatus) -> TaskView {
        TaskView {
            id: id.parse().unwrap(),
            group: "family".parse().unwrap(),
            prompt: "Say good morning,\nand what the weather is like in Kiel today.".into(),
            schedule_type: ScheduleType::Cron,
            schedule_value: "0 9 * * mon-fri".into(),
            zone: "Europe/Berlin".into(),
            context_mode: ContextMode::Group,
            misfire: Misfire::Latest,
            overlap: Overlap::Skip,
            jitter_seconds: 0,
            status,
            paused_because: (status == TaskStatus::Paused).then(|| "its last runs failed".into()),
            next_runs: match status {
                TaskStatus::Active => vec!["2026-02-02T09:00:00+01:00".into(), "2026-02-03T09:00:00+01:00".into()],
                _ => Vec::new(),
            },
            failures: 0,
            created_by: "family".into(),
            created_at: "2026-02-01T12:00:00+01:00".into(),
        }
    }

    #[test]
    fn the_list_and_a_task_read_well() {
        let runs = [
            RunView {
                scheduled_for: "2026-02-01T09:00:00+01:00".into(),
                started_at: Some("2026-02-01T09:00:00+01:00".into()),
                ended_at: None,
                outcome: RunOutcome::Running,
                error: None,
                result: None,
            },
            RunView {
                scheduled_for: "2026-01-31T09:00:00+01:00".into(),
                started_at: None,
                ended_at: None,
                outcome: RunOutcome::Skipped,
                error: Some("the last run was not over".into()),
                result: None,
            },
        ];
        let tasks = [task("task-1-abc", TaskStatus::Active), task("morning", TaskStatus::Paused)];
        insta::assert_snapshot!("tasks", format!("{}\n{}", list(&tasks), whole(&tasks[0], &runs)));
        insta::assert_snapshot!("no_tasks", format!("{}\n{}", list(&[]), run_list(&[])));
    }
}
