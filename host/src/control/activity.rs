//! What a group is at, as `longshore status` tells it: pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::glance::{EndedTurn, GroupGlance, OpenTurn};

/// Whether a host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// It answers.
    #[default]
    Running,
    /// Something holds the installation and does not answer: a host that starts, stops or hangs.
    Silent,
    /// There is none; what is told was read from files.
    Down,
}

/// The groups that run, and those that wait to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Queue {
    /// Groups that have a slot.
    pub running: u64,
    /// Groups that wait for one.
    pub waiting: u64,
    /// How many there are.
    pub slots: u64,
}

/// A group's container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResidentStatus {
    /// Whether a turn has it.
    pub state: ResidentState,
    /// What it takes, in bytes; absent when the engine did not say in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// Whether a turn has a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResidentState {
    /// One has.
    Busy,
    /// It waits for the next.
    Warm,
}

/// What a group is at. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Activity {
    /// There is nothing to do.
    #[default]
    Idle,
    /// There is something to do, and it has not begun.
    Waiting {
        /// Since when.
        since: String,
    },
    /// A turn runs.
    Running {
        /// Since when.
        since: String,
        /// Which.
        turn: String,
        /// The task that it is a run of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
    },
    /// A turn failed and is tried again.
    Retrying {
        /// When, at the earliest.
        at: String,
        /// Which.
        turn: String,
        /// How many attempts it has had.
        attempt: u32,
        /// The failure's code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// A turn ran when its host ended; the next host sees to it.
    Interrupted {
        /// Since when it ran.
        since: String,
        /// Which.
        turn: String,
    },
}

impl Activity {
    /// What a group's rows say, while a host runs or not.
    #[must_use]
    pub fn of(seen: &GroupGlance, host: HostState, now: Timestamp) -> Self {
        if let Some(OpenTurn { id, since, task, .. }) = &seen.running {
            let (since, turn) = (second(*since), id.clone());
            return match host {
                HostState::Down => Self::Interrupted { since, turn },
                HostState::Running | HostState::Silent => Self::Running { since, turn, task: task.clone() },
            };
        }
        match (&seen.waiting, seen.untaken_since) {
            (Some(OpenTurn { id, not_before: Some(at), attempt, failure, .. }), _) if *at > now => {
                Self::Retrying { at: second(*at), turn: id.clone(), attempt: *attempt, failure: failure.clone() }
            }
            (Some(turn), _) => Self::Waiting { since: second(turn.since) },
            (None, Some(since)) => Self::Waiting { since: second(since) },
            (None, None) => Self::Idle,
        }
    }
}

/// A group's last turn that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTurn {
    /// Which.
    pub turn: String,
    /// When it ended, RFC 3339.
    pub ended_at: String,
    /// How long its last attempt took.
    pub seconds: u64,
    /// How it ended.
    pub outcome: LastOutcome,
    /// The failure's code, if it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The task that it was a run of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastOutcome {
    /// Well.
    Settled,
    /// Without success; the chat was told.
    GaveUp,
}

impl From<&EndedTurn> for LastTurn {
    fn from(turn: &EndedTurn) -> Self {
        let seconds = turn.ended_at.duration_since(turn.started_at).as_secs();
        Self {
            turn: turn.id.clone(),
            ended_at: second(turn.ended_at),
            seconds: u64::try_from(seconds).unwrap_or(0),
            outcome: if turn.settled { LastOutcome::Settled } else { LastOutcome::GaveUp },
            failure: turn.failure.clone().filter(|_| !turn.settled),
            task: turn.task.clone(),
        }
    }
}

/// A group's next task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextTask {
    /// Its id.
    pub id: String,
    /// When it runs, RFC 3339.
    pub at: String,
}

/// A time to the second.
pub(super) fn second(time: Timestamp) -> String {
    format!("{time:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn turn(not_before: Option<i64>) -> OpenTurn {
        let failure = not_before.map(|_| "CODEX_RATE_LIMITED".to_owned());
        OpenTurn { id: "t".into(), since: at(0), not_before: not_before.map(at), attempt: 2, failure, task: None }
    }

    #[test]
    fn a_groups_rows_say_what_it_is_at() {
        let (idle, now) = (GroupGlance::default(), at(100));
        let running = GroupGlance { running: Some(turn(None)), untaken_since: Some(at(50)), ..idle.clone() };
        let resting = GroupGlance { waiting: Some(turn(Some(200))), untaken_since: Some(at(50)), ..idle.clone() };
        let rested = GroupGlance { waiting: Some(turn(Some(99))), ..idle.clone() };
        let untaken = GroupGlance { untaken_since: Some(at(50)), ..idle.clone() };
        let state = |seen: &GroupGlance, host| {
            serde_json::to_value(Activity::of(seen, host, now)).unwrap()["state"].as_str().unwrap().to_owned()
        };
        for (seen, with_host, without) in [
            (idle, "idle", "idle"),
            (running, "running", "interrupted"),
            (resting, "retrying", "retrying"),
            (rested, "waiting", "waiting"),
            (untaken, "waiting", "waiting"),
        ] {
            assert_eq!(state(&seen, HostState::Running), with_host);
            assert_eq!(state(&seen, HostState::Down), without);
        }
    }
}
