//! The control socket `data/host.sock`: how the command line talks to the running host.
//!
//! One JSON object a line each way. The socket is mode 0600: who may open it is the operator.

pub mod activity;
pub mod client;
mod look;
mod outbox;
pub mod server;
pub mod tasks;

use self::activity::{Activity, HostState, LastTurn, NextTask, Queue, ResidentStatus};
use longshore_protocol::{GroupId, ProviderKind};
use serde::{Deserialize, Serialize};

use crate::deliver::desk::{OutboxCommand, OutboxReply};
use crate::groups::{Group, Problem};
use crate::schedule::desk::{TaskCommand, TaskReply};
use crate::update::versions::Release;

/// The socket's path under the installation's root.
pub const SOCKET: &str = "data/host.sock";

/// Command line → host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Attach to a group's chat: answered by `attached`, then `text` and `typing` as they come.
    Attach {
        /// The group's folder, its name or its chat.
        group: String,
    },
    /// Say something in the attached chat: answered by `accepted`, later by `ended`.
    Say {
        /// What.
        text: String,
    },
    /// Answered by `status`.
    Status,
    /// Answered by `metrics`.
    Metrics,
    /// Stop what a group's agent does: answered by `stopped`.
    Stop {
        /// The group's folder or name.
        group: String,
    },
    /// Something about tasks: answered by `tasks`.
    Tasks {
        /// What.
        command: TaskCommand,
    },
    /// Something about the outbox: answered by `outbox`.
    Outbox {
        /// What.
        command: OutboxCommand,
    },
    /// What becomes of rows of the outbox: answered by `delivery` whenever it changes, until all have ended.
    Follow {
        /// The rows, 1,000 at most.
        rows: Vec<i64>,
    },
}

/// Host → command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Response {
    /// Attached to this chat.
    Attached {
        /// The group.
        group: GroupId,
        /// Its name.
        name: String,
        /// Who answers.
        provider: ProviderKind,
        /// The assistant's name.
        assistant: String,
        /// Whether the stand-in answers instead of a model.
        rehearsal: bool,
    },
    /// What was said is stored.
    Accepted {
        /// The message's number.
        seq: i64,
    },
    /// The agent or the host says something in the chat.
    Text {
        /// The outbox row.
        outbox_id: i64,
        /// What.
        text: String,
    },
    /// The agent is at work, or no longer.
    Typing {
        /// Which.
        on: bool,
    },
    /// The turn of a message failed and is tried again.
    Retrying {
        /// The message.
        seq: i64,
        /// When, RFC 3339.
        at: String,
    },
    /// The turn of a message has ended and everything that it said was sent.
    Ended {
        /// The message.
        seq: i64,
        /// The failure's code, if it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
        /// The outbox rows of the turn.
        outbox: Vec<i64>,
    },
    /// The message woke nobody.
    NotAnswered {
        /// The message.
        seq: i64,
        /// Why.
        reason: String,
    },
    /// How the host is.
    Status(Box<Status>),
    /// Everything that the host counts.
    Metrics {
        /// In Prometheus's text format.
        text: String,
    },
    /// What there was to stop.
    Stopped {
        /// It.
        stopped: Stopped,
    },
    /// What was asked about tasks.
    Tasks {
        /// It.
        reply: TaskReply,
    },
    /// What was asked about the outbox.
    Outbox {
        /// It.
        reply: OutboxReply,
    },
    /// What has become of rows so far.
    Delivery {
        /// They.
        rows: Vec<RowView>,
    },
    /// The request cannot be served.
    Error {
        /// What is wrong and what to do.
        message: String,
    },
}

/// What has become of a row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowView {
    /// The row.
    pub id: i64,
    /// `pending`, `sent`, `dead`, or `forgotten` when it is too old to be known.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What there was to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// A turn, which is ending now.
    Running,
    /// A turn that waited for another try, or messages that waited for theirs.
    Waiting,
    /// Nothing.
    Nothing,
}

/// How the host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether it runs. If not, what only a host knows is 0, empty or absent.
    #[serde(default)]
    pub state: HostState,
    /// What could not be found out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The host's release.
    pub version: String,
    /// Seconds since it was ready.
    pub uptime_seconds: u64,
    /// Whether the stand-in answers instead of the models.
    pub rehearsal: bool,
    /// The container engine, or why it does not answer.
    pub engine: Result<String, String>,
    /// Every channel with its state.
    pub channels: Vec<ChannelStatus>,
    /// Who runs and who waits.
    #[serde(default)]
    pub queue: Queue,
    /// Every group.
    pub groups: Vec<GroupStatus>,
    /// The generation of the groups file that is applied.
    pub groups_generation: u64,
    /// Problems of the groups file, those of groups that are served as well.
    pub problems: Vec<String>,
    /// What is wrong with the sender allowlist, and what follows from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sender_problems: Vec<String>,
    /// What is wrong with the mount allowlist, and the additional mounts that are not made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_mounts: Vec<String>,
    /// Messages that wait to be sent.
    pub outbox_pending: u64,
    /// Messages that were given up.
    pub outbox_dead: u64,
    /// What became of files that agents dropped, since the start.
    pub petitions: Petitions,
    /// Tasks that run when their time comes.
    pub tasks_active: u64,
    /// Tasks that are kept and do not run.
    pub tasks_paused: u64,
    /// When the database file was checked last, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_checked_at: Option<String>,
    /// What is wrong with it, if that found anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_damage: Option<String>,
    /// Releases of the CLIs that are newer than those in the agent image, as far as the host knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cli_updates: Vec<Release>,
}

/// What became of files that agents dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Petitions {
    /// Answered `ok`.
    pub granted: u64,
    /// Refused with a sentence.
    pub refused: u64,
    /// No petition.
    pub unreadable: u64,
}

impl GroupStatus {
    /// What the groups file says of a group, with what is wrong with its entry now.
    #[must_use]
    pub fn of(group: &Group, problems: &[Problem], assistant: &str) -> Self {
        let of_entry = problems.iter().find(|problem| problem.chat.as_deref() == Some(&group.chat));
        Self {
            id: group.id.clone(),
            name: group.name.clone(),
            chat: group.chat.clone(),
            provider: group.provider,
            is_main: group.is_main,
            warm: false,
            egress: Egress::of(group),
            wakes_on: match &group.trigger {
                _ if group.is_main || !group.requires_trigger => "every message".into(),
                Some(trigger) => trigger.clone(),
                None => format!("@{assistant}"),
            },
            generation: group.generation,
            problem: of_entry.map(ToString::to_string),
            used_today: None,
            activity: Activity::Idle,
            last_turn: None,
            next_task: None,
            resident: None,
        }
    }
}

/// What a group's tools may reach, and what they did with it since the host's start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Egress {
    /// `none`, `list`, `list +2` with two entries of the operator's, or `open`.
    pub policy: String,
    /// Connections that were made.
    pub connections: u64,
    /// Requests that were not allowed.
    pub refused: u64,
    /// Bytes, both directions together.
    pub bytes: u64,
}

impl Egress {
    fn of(group: &Group) -> Self {
        Self { policy: group.container.egress.to_string(), ..Self::default() }
    }
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// Its link's state, `starting` before the first report.
    pub state: String,
    /// One sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Since when it is not up, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_since: Option<String>,
    /// The last time that it was not up for more than a minute, since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_gap: Option<ChannelGap>,
}

/// A time during which a channel was not up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelGap {
    /// Its beginning, RFC 3339.
    pub from: String,
    /// Its end, RFC 3339.
    pub until: String,
    /// How long it was.
    pub seconds: i64,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its folder.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// Its chat.
    pub chat: String,
    /// Who answers.
    pub provider: ProviderKind,
    /// Whether it is the main group.
    pub is_main: bool,
    /// Whether a container waits for its next turn.
    pub warm: bool,
    /// What wakes it: a trigger, or every message.
    pub wakes_on: String,
    /// What its tools may reach, and did.
    #[serde(default)]
    pub egress: Egress,
    /// The generation of the groups file in which its configuration last changed.
    pub generation: u64,
    /// What is wrong with its entry now, if anything: the host goes on with the last good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What it has used of its models today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_today: Option<UsedToday>,
    /// What it is at.
    #[serde(default)]
    pub activity: Activity,
    /// Its last turn that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_turn: Option<LastTurn>,
    /// Its next task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_task: Option<NextTask>,
    /// Its container, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident: Option<ResidentStatus>,
}

/// What a group has used of its models on a day of the host's time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedToday {
    /// Requests to a model.
    pub requests: u64,
    /// Tokens of every kind.
    pub tokens: u64,
    /// What they cost as far as that is known, in billionths of a US dollar.
    pub cost_nano_usd: u64,
    /// Requests that used tokens of a model without a price.
    pub unpriced_requests: u64,
}
