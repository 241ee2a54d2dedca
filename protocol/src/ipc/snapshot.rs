//! Host → agent: what there is, in files that the host rewrites when it changes.

use serde::{Deserialize, Serialize};

use super::{ContextMode, ScheduleType, TaskStatus};

/// One task in `current_tasks.json`, which holds an array of them: those that are active or paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSnapshot {
    /// The task.
    pub id: String,
    /// Whose it is: the group's folder.
    #[serde(rename = "groupFolder")]
    pub group_folder: String,
    /// What the agent is told when its time comes.
    pub prompt: String,
    /// How its times are said.
    pub schedule_type: ScheduleType,
    /// Its times.
    pub schedule_value: String,
    /// Which conversation its runs belong to.
    pub context_mode: ContextMode,
    /// The IANA name of the zone in which its times are read.
    pub timezone: String,
    /// How it stands.
    pub status: TaskStatus,
    /// Its next time, RFC 3339 in UTC.
    pub next_run: Option<String>,
    /// Why the host paused it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_because: Option<String>,
}

/// `available_groups.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AvailableGroups {
    /// Every chat that a channel has introduced, the one with the latest message first.
    pub groups: Vec<AvailableGroup>,
    /// When the list was written, RFC 3339 in UTC.
    #[serde(rename = "lastSync")]
    pub last_sync: String,
}

/// One chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvailableGroup {
    /// The chat's id.
    pub jid: String,
    /// Its name.
    pub name: String,
    /// When something was said there last, RFC 3339 in UTC.
    #[serde(rename = "lastActivity")]
    pub last_activity: String,
    /// Whether a group serves it.
    #[serde(rename = "isRegistered")]
    pub is_registered: bool,
}
