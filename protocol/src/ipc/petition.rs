//! What an agent asks for.

use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;

use super::{ContextMode, Misfire, Overlap, ScheduleType};
use crate::id::TaskId;

/// One file's content: a JSON object whose `type` says what is asked. Further fields are tolerated,
/// among them `timestamp`, `createdBy` and `isMain`, which say nothing: who asks is known by the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Petition {
    /// Send a message to a chat.
    Message(SendMessage),
    /// Run a prompt later, once or again and again.
    ScheduleTask(Box<ScheduleTask>),
    /// Keep a task from running.
    PauseTask(TaskReference),
    /// Let a paused task run again.
    ResumeTask(TaskReference),
    /// Call a task off.
    CancelTask(TaskReference),
    /// Change a task.
    UpdateTask(Box<UpdateTask>),
    /// Rewrite `available_groups.json`. Main group only.
    RefreshGroups {},
    /// Serve a chat. Main group only.
    RegisterGroup(Box<RegisterGroup>),
}

/// Why a file's content is no petition.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// It is not JSON. It may still be being written.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// It is JSON and no petition.
    #[error("{0}")]
    NotPetition(String),
}

impl Petition {
    /// The words in `type`.
    pub const TYPES: [&str; 8] = [
        "message",
        "schedule_task",
        "pause_task",
        "resume_task",
        "cancel_task",
        "update_task",
        "refresh_groups",
        "register_group",
    ];

    /// Reads a file's content.
    ///
    /// # Errors
    /// [`Unreadable`], with what is missing or wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| Unreadable::NotJson(error.to_string()))?;
        let wrong = |text: String| Err(Unreadable::NotPetition(text));
        let Some(object) = value.as_object() else {
            return wrong("it is not a JSON object; write `{\"type\": …}`".into());
        };
        let types = || Self::TYPES.map(|name| format!("`{name}`")).join(", ");
        match object.get("type") {
            Some(serde_json::Value::String(name)) if Self::TYPES.contains(&name.as_str()) => {}
            Some(serde_json::Value::String(name)) => {
                let name: String = name.chars().take(40).collect();
                return wrong(format!("`type` is `{}`, which is none of {}", name.escape_debug(), types()));
            }
            Some(_) => return wrong(format!("`type` is not a text; it is one of {}", types())),
            None => return wrong(format!("`type` is missing; it is one of {}", types())),
        }
        serde_json::from_value(value).map_err(|error| Unreadable::NotPetition(error.to_string()))
    }

    /// The word in `type`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::ScheduleTask(_) => "schedule_task",
            Self::PauseTask(_) => "pause_task",
            Self::ResumeTask(_) => "resume_task",
            Self::CancelTask(_) => "cancel_task",
            Self::UpdateTask(_) => "update_task",
            Self::RefreshGroups {} => "refresh_groups",
            Self::RegisterGroup(_) => "register_group",
        }
    }
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendMessage {
    /// Where to; absent means the group's own chat.
    #[serde(rename = "chatJid", default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// What.
    pub text: String,
    /// In whose name, such as a role of the agent's own: put in bold before the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
}

/// A task to schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleTask {
    /// Its id; absent lets the host choose one.
    #[serde(rename = "taskId", default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TaskId>,
    /// What the agent is told when its time comes.
    pub prompt: String,
    /// How its times are said.
    pub schedule_type: ScheduleType,
    /// Its times.
    #[serde(deserialize_with = "text_or_number")]
    pub schedule_value: String,
    /// Which conversation its runs belong to; absent means an isolated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_mode: Option<ContextMode>,
    /// The IANA time zone in which its times are read; absent means the group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// What becomes of missed runs; absent means `latest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misfire: Option<Misfire>,
    /// What becomes of overlapping runs; absent means `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// Up to how much later than its time a run starts; absent means 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_seconds: Option<u32>,
    /// The chat of the group whose task it is; absent means the group that asks.
    #[serde(rename = "targetJid", default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// An older form of `targetJid`: the group's folder …
    #[serde(rename = "groupFolder", default, skip_serializing_if = "Option::is_none")]
    pub group_folder: Option<String>,
    /// … or its chat.
    #[serde(rename = "chatJid", default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// A later era's check before each run, which this host does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReference {
    /// Which.
    #[serde(rename = "taskId")]
    pub id: TaskId,
}

/// What is to be different in a task; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateTask {
    /// Which.
    #[serde(rename = "taskId")]
    pub id: TaskId,
    /// What the agent is told when its time comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// How its times are said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_type: Option<ScheduleType>,
    /// Its times.
    #[serde(default, deserialize_with = "optional_text_or_number", skip_serializing_if = "Option::is_none")]
    pub schedule_value: Option<String>,
    /// Which conversation its runs belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_mode: Option<ContextMode>,
    /// The IANA time zone in which its times are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// What becomes of missed runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misfire: Option<Misfire>,
    /// What becomes of overlapping runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// Up to how much later than its time a run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_seconds: Option<u32>,
    /// A later era's check before each run, which this host does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
}

/// A group to register. The fields are those of the groups file, where the host writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisterGroup {
    /// The chat.
    pub jid: String,
    /// The group's name, for people.
    pub name: String,
    /// The name of its folder.
    pub folder: String,
    /// What wakes the agent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Whether only messages with the trigger wake it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_trigger: Option<bool>,
    /// Which CLI answers there: `claude` or `codex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The IANA time zone of its people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Choices for its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_config: Option<serde_json::Value>,
    /// Only here to be refused: no file makes a group the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_main: Option<bool>,
}

/// Agents write an interval as a number as often as they write it as a text.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        _ => Err(de::Error::custom("`schedule_value` is neither a text nor a number")),
    }
}

fn optional_text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Ok(None),
        value => text_or_number(value).map(Some).map_err(de::Error::custom),
    }
}
