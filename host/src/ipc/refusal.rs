//! Why a petition is refused, in a sentence that says what to do. Pure.

use longshore_protocol::TaskId;
use longshore_protocol::ipc::{MAX_JITTER_SECONDS, TaskStatus};
use thiserror::Error;

use crate::schedule::cadence::CadenceError;

/// How many tasks that are not over a group may have.
pub const MAX_TASKS: u64 = 1000;
/// The longest prompt of a task, in bytes.
pub const MAX_PROMPT_BYTES: usize = 32 * 1024;

/// Why a petition is refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Refusal {
    /// Only the main group may.
    #[error("only the main group may do this")]
    MainOnly,
    /// The chat is another group's, or nobody's.
    #[error("this group may write to its own chat only, which is `{own}`; leave `chatJid` out for it")]
    ForeignChat {
        /// The asker's chat.
        own: String,
    },
    /// No channel knows the chat.
    #[error("no chat `{0}` is known; `available_groups.json` lists those that are")]
    UnknownChat(String),
    /// A task for another group.
    #[error("this group may schedule tasks for itself only; leave `targetJid` out")]
    ForeignTarget,
    /// A task for a group that is not there.
    #[error("no group serves `{0}`; register it first, or choose another target")]
    UnknownTarget(String),
    /// There is no such task, or it is another group's: which of the two is nobody's business.
    #[error("there is no task `{0}`; `current_tasks.json` lists those that there are")]
    NoSuchTask(TaskId),
    /// It is over.
    #[error("the task `{0}` is {1} already; schedule a new one")]
    Over(TaskId, TaskStatus),
    /// It is not paused.
    #[error("the task `{0}` is not paused")]
    NotPaused(TaskId),
    /// Its chosen id is taken.
    #[error("there is a task `{0}` already; change it with `update_task`, or leave `taskId` out")]
    IdTaken(TaskId),
    /// Too many tasks.
    #[error("the group has {MAX_TASKS} tasks, which is the most that it may have; cancel some first")]
    TooManyTasks,
    /// Nothing to say.
    #[error("`text` is empty, or all of it is <internal>; nothing was sent")]
    NothingToSay,
    /// Nothing to do.
    #[error("`prompt` is empty; write what is to be done")]
    EmptyPrompt,
    /// Too much to do.
    #[error("`prompt` is longer than {MAX_PROMPT_BYTES} bytes; put the details into a file of the group's folder")]
    LongPrompt,
    /// Nothing to change.
    #[error("nothing in it changes the task; give at least one field beside `taskId`")]
    NothingToChange,
    /// The times cannot be read.
    #[error("`schedule_value` cannot be used: {0}")]
    Times(#[from] CadenceError),
    /// There is no such zone.
    #[error("`timezone` is `{0}`, which is no IANA time zone; write one such as `Europe/Berlin`")]
    Zone(String),
    /// Too much of it.
    #[error("`jitter_seconds` is more than {MAX_JITTER_SECONDS}")]
    Jitter,
    /// The host has no such thing.
    #[error("`script` is not supported here; put what it checks into `prompt`")]
    Script,
    /// Nobody becomes main by a file.
    #[error("`isMain` cannot be set this way; the operator does it in the groups file")]
    IsMain,
    /// Nobody lets another out by a file, or brings an image, either.
    #[error(
        "`egress`, `egressAllow`, `network` and `image` cannot be set this way; the operator does it in the groups file"
    )]
    OperatorsOwn,
    /// The groups file did not take it.
    #[error("{0}")]
    GroupsFile(String),
    /// The host could not be asked.
    #[error("the groups file could not be written: {0}; try again later")]
    Unwritable(String),
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use longshore_protocol::ipc::{Petition, ScheduleType, example};

    use super::*;
    use crate::schedule::cadence::Cadence;

    const SPEC: &str = include_str!("../../../docs/SPEC.md");

    fn all() -> Vec<Refusal> {
        let task: TaskId = "task-1767225600000-k3x9qa".parse().unwrap();
        let times =
            Cadence::parse(ScheduleType::Cron, "61 * * * *", &TimeZone::UTC, Timestamp::UNIX_EPOCH).unwrap_err();
        vec![
            Refusal::MainOnly,
            Refusal::ForeignChat { own: "120363336345536173@g.us".into() },
            Refusal::UnknownChat("x:1".into()),
            Refusal::ForeignTarget,
            Refusal::UnknownTarget("x:1".into()),
            Refusal::NoSuchTask(task.clone()),
            Refusal::Over(task.clone(), TaskStatus::Cancelled),
            Refusal::NotPaused(task.clone()),
            Refusal::IdTaken(task),
            Refusal::TooManyTasks,
            Refusal::NothingToSay,
            Refusal::EmptyPrompt,
            Refusal::LongPrompt,
            Refusal::NothingToChange,
            Refusal::Times(times),
            Refusal::Zone("Berlin".into()),
            Refusal::Jitter,
            Refusal::Script,
            Refusal::IsMain,
            Refusal::OperatorsOwn,
            Refusal::GroupsFile("the chat `x:1` is registered already".into()),
            Refusal::Unwritable("disk full".into()),
        ]
    }

    /// So that a refusal that is new cannot be forgotten above.
    fn number(refusal: &Refusal) -> usize {
        match refusal {
            Refusal::MainOnly => 0,
            Refusal::ForeignChat { .. } => 1,
            Refusal::UnknownChat(_) => 2,
            Refusal::ForeignTarget => 3,
            Refusal::UnknownTarget(_) => 4,
            Refusal::NoSuchTask(_) => 5,
            Refusal::Over(..) => 6,
            Refusal::NotPaused(_) => 7,
            Refusal::IdTaken(_) => 8,
            Refusal::TooManyTasks => 9,
            Refusal::NothingToSay => 10,
            Refusal::EmptyPrompt => 11,
            Refusal::LongPrompt => 12,
            Refusal::NothingToChange => 13,
            Refusal::Times(_) => 14,
            Refusal::Zone(_) => 15,
            Refusal::Jitter => 16,
            Refusal::Script => 17,
            Refusal::IsMain => 18,
            Refusal::OperatorsOwn => 19,
            Refusal::GroupsFile(_) => 20,
            Refusal::Unwritable(_) => 21,
        }
    }

    #[test]
    fn the_specification_shows_every_petition_as_the_host_reads_it() {
        let shown: Vec<Petition> = SPEC
            .split_once("## Agent tools (filesystem IPC)")
            .unwrap()
            .1
            .split("\n## ")
            .next()
            .unwrap()
            .lines()
            .filter_map(|line| line.strip_prefix("{\"type\":"))
            .map(|rest| Petition::read(format!("{{\"type\":{rest}").as_bytes()).unwrap())
            .collect();
        assert_eq!(shown, example::all());
    }

    #[test]
    fn the_specification_lists_every_refusal_word_for_word() {
        for (place, refusal) in all().iter().enumerate() {
            assert_eq!(number(refusal), place);
            assert!(SPEC.contains(&format!("- {refusal}\n")), "missing in docs/SPEC.md:\n- {refusal}");
        }
    }
}
