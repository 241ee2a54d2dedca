//! Rows and lines for tests.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{About, Seen};
use crate::record::line::LogLine;
use crate::store::story::{MessageRow, OutboxRow, OutboxState, Story, Subject, TurnRow, TurnState};

/// So many milliseconds after the message came.
pub(crate) fn at(millis: i64) -> Timestamp {
    "2026-01-31T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_millis(millis)
}

pub(crate) fn message() -> MessageRow {
    MessageRow {
        seq: 5,
        chat: "test:family".into(),
        platform_id: "m5".into(),
        channel: Some("test".into()),
        sent_at: at(-1000),
        received_at: at(0),
        route: "wakes: trigger `@Andy`".into(),
        wakes: true,
        stops: false,
        edited_at: None,
        deleted_at: None,
        turn: None,
    }
}

/// One that is over in its first try.
pub(crate) fn turn(state: TurnState) -> TurnRow {
    TurnRow {
        id: "01a1ff035e4b74da".into(),
        group: "family".into(),
        chat: "test:family".into(),
        provider: Some("claude".into()),
        task: None,
        scheduled_for: None,
        fired_at: None,
        state,
        attempt: 1,
        said: false,
        not_before: None,
        failure: None,
        tokens: [10, 0, 5],
        created_at: at(20),
        started_at: Some(at(20)),
        ended_at: matches!(state, TurnState::Settled | TurnState::GaveUp).then(|| at(3000)),
    }
}

pub(crate) fn failed(code: &str, reason: &str) -> TurnRow {
    TurnRow { failure: Some((code.into(), reason.into())), ..turn(TurnState::GaveUp) }
}

pub(crate) fn outbox(state: OutboxState) -> OutboxRow {
    OutboxRow {
        id: 9,
        message_id: "01A1".into(),
        chat: "test:family".into(),
        turn: Some("01a1ff035e4b74da".into()),
        is_notice: false,
        characters: 49,
        state,
        attempts: u32::from(state != OutboxState::Pending),
        not_before: None,
        error: None,
        created_at: at(2800),
        ended_at: (state != OutboxState::Pending).then(|| at(2900)),
    }
}

/// A message of a group that is served, by a host that runs.
pub(crate) fn seen(turn: Option<TurnRow>, outbox: Vec<OutboxRow>) -> Seen {
    let covered = turn.as_ref().map(|turn| turn.id.clone());
    let story = Story {
        message: Some(MessageRow { turn: covered, ..message() }),
        covered: 1,
        turn,
        outbox,
        ..Story::default()
    };
    Seen {
        now: at(10_000),
        about: About::Row(Subject::Message(5)),
        story,
        lines: Vec::new(),
        host_runs: true,
        group: Some("family".into()),
        senders_file: "~/senders.json".into(),
    }
}

/// A line of the turn.
pub(crate) fn line(millis: i64, level: &str, message: &str, fields: serde_json::Value) -> LogLine {
    let span = json!({ "name": "turn", "fields": { "turn": "01a1ff035e4b74da", "group": "family" } });
    let time = at(millis).to_string();
    let line = json!({ "time": time, "level": level, "message": message, "fields": fields, "spans": [span] });
    serde_json::from_value(line).unwrap()
}
