//! Host → agent: what became of a file.

use serde::{Deserialize, Serialize};

use super::TaskStatus;

/// What became of one file. Written once it is certain: a task that is answered `ok` is in the store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// What was made or changed: a task, a message, or a group's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How the task stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TaskStatus>,
    /// The time zone in which the task's schedule was read: an IANA name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The task's next three times at most, RFC 3339 with the zone's offset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_runs: Vec<String>,
    /// Why it was not done, and what to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Answer {
    /// It was done.
    #[must_use]
    pub fn done(id: impl Into<String>) -> Self {
        Self { ok: true, id: Some(id.into()), ..Self::default() }
    }

    /// It was not done.
    #[must_use]
    pub fn refused(error: impl Into<String>) -> Self {
        Self { ok: false, error: Some(error.into()), ..Self::default() }
    }
}
