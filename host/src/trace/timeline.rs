//! The steps in their order, from rows and lines. Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::{About, Seen};
use crate::record::line::{Level, LogLine, text};
use crate::store::story::{OutboxRow, OutboxState, Story, TurnRow, TurnState};

/// How many rows of the outbox are told one by one.
const MOST_ROWS: usize = 20;
/// How many lines are told.
const MOST_LINES: usize = 500;
/// Fields that the timeline tells by other means.
const KNOWN: [&str; 8] = ["step", "turn", "group", "outbox", "elapsed_ms", "channel", "chat", "outcome"];

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// When, in UTC.
    #[serde(serialize_with = "instant")]
    pub at: Timestamp,
    /// Since the first step.
    pub offset_ms: i64,
    /// How long it took, where that is known.
    pub took_ms: Option<i64>,
    /// What it is: `received`, `routed`, `stored`, `turn`, `slot`, `container`, `runner`, `session`, `text`, `tool`,
    /// `usage`, `petition`, `outbox`, `sent`, `retry`, `end` …, or a line's level.
    pub step: String,
    /// In words.
    pub text: String,
    /// Who tells it.
    pub from: Source,
}

/// Who tells a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A row of the database.
    Database,
    /// A line of the record.
    Log,
}

fn instant<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// Every step, in order.
#[must_use]
pub fn timeline(seen: &Seen) -> Vec<Step> {
    let mut steps = rows(seen);
    steps.extend(seen.lines.iter().take(MOST_LINES).filter_map(line));
    if let Some(left_out) = seen.lines.len().checked_sub(MOST_LINES).filter(|left_out| *left_out > 0) {
        let at = seen.lines.last().map_or(seen.now, |line| line.time);
        steps.push(step(at, "log", format!("{left_out} more lines"), Source::Log));
    }
    steps.sort_by_key(|step| step.at.as_millisecond());
    if let Some(first) = steps.first().map(|step| step.at) {
        for step in &mut steps {
            step.offset_ms = i64::try_from(step.at.duration_since(first).as_millis()).unwrap_or(i64::MAX);
        }
    }
    steps
}

fn step(at: Timestamp, name: &str, text: String, from: Source) -> Step {
    Step { at, offset_ms: 0, took_ms: None, step: name.to_owned(), text, from }
}

fn rows(seen: &Seen) -> Vec<Step> {
    let Story { message, covered, turn, outbox, before_ended_at, .. } = &seen.story;
    let row = |at, name: &str, text| step(at, name, text, Source::Database);
    let mut steps = Vec::new();
    if let (Some(message), true) = (message, !matches!(seen.about, About::Row(crate::store::story::Subject::Outbox(_))))
    {
        let channel = message.channel.as_deref().unwrap_or("an unknown channel");
        let said = message.sent_at.strftime("%H:%M:%SZ");
        let text = format!("message {} from `{channel}`, said at {said}", message.seq);
        steps.push(row(message.received_at, "received", text));
        steps.push(row(message.received_at, "routed", message.route.clone()));
        let changed = [("edited", message.edited_at), ("deleted", message.deleted_at)];
        steps.extend(changed.into_iter().filter_map(|(name, at)| Some(row(at?, name, "on the platform".to_owned()))));
    }
    if let Some(turn) = turn {
        steps.extend(turn_steps(seen, turn, *covered, *before_ended_at));
    }
    for sent in outbox.iter().take(MOST_ROWS) {
        let who = if sent.is_notice { "the host's own sentence" } else { "reply" };
        let text = format!("row {}: {who}, {} characters, message id {}", sent.id, sent.characters, sent.message_id);
        steps.push(row(sent.created_at, "outbox", text));
        steps.extend(ended(seen, sent));
    }
    if let Some((last, left_out)) = outbox.last().zip(outbox.len().checked_sub(MOST_ROWS).filter(|more| *more > 0)) {
        steps.push(row(last.created_at, "outbox", format!("{left_out} more rows")));
    }
    steps
}

fn turn_steps(seen: &Seen, turn: &TurnRow, covered: u64, before: Option<Timestamp>) -> Vec<Step> {
    let row = |at, name: &str, text| step(at, name, text, Source::Database);
    let mut steps = Vec::new();
    let what = match &turn.task {
        Some(task) => format!("a run of task `{task}`"),
        None if covered == 1 => "1 message".to_owned(),
        None => format!("{covered} messages"),
    };
    if let (Some(at), Some(planned)) = (turn.fired_at, turn.scheduled_for) {
        steps.push(row(at, "fired", format!("planned for {}", planned.strftime("%Y-%m-%d %H:%M:%SZ"))));
    }
    let mut text = format!("turn {} of `{}` for {what}", turn.id, turn.group);
    let came = seen.story.message.as_ref().map(|message| message.received_at);
    if before.zip(came).is_some_and(|(before, came)| before > came && before <= turn.created_at) {
        text.push_str("; it waited for the group's turn before it");
    }
    steps.push(row(turn.created_at, "turn", text));
    if let Some(at) = turn.started_at.filter(|at| *at > turn.created_at && turn.attempt > 0) {
        steps.push(row(at, "turn", format!("try {} begins", turn.attempt)));
    }
    let logged = |name: &str| seen.lines.iter().any(|line| line.fields.get("step").is_some_and(|step| step == name));
    if let Some(at) = turn.ended_at.filter(|_| !logged("end")) {
        let text = match (&turn.failure, turn.state) {
            (Some((code, reason)), TurnState::GaveUp) => format!("turn given up, {code}: {reason}"),
            _ => "turn settled".to_owned(),
        };
        steps.push(row(at, "end", text));
    }
    steps
}

/// How a row of the outbox ended, unless a line tells it with more.
fn ended(seen: &Seen, sent: &OutboxRow) -> Option<Step> {
    let at = sent.ended_at?;
    let logged = seen.lines.iter().any(|line| {
        line.number("outbox") == Some(sent.id) && line.fields.get("step").is_some_and(|step| step == "sent")
    });
    let (name, text) = match sent.state {
        OutboxState::Sent if logged => return None,
        OutboxState::Sent => ("sent", format!("row {}, try {}", sent.id, sent.attempts)),
        OutboxState::Dead => {
            let error = sent.error.as_deref().unwrap_or("no reason was given");
            ("dead", format!("row {}, try {}: {error}", sent.id, sent.attempts))
        }
        OutboxState::Pending => return None,
    };
    Some(step(at, name, text, Source::Database))
}

/// A line is a step if it says so; others only if an operator would like to know.
fn line(line: &LogLine) -> Option<Step> {
    let name = match line.fields.get("step").and_then(|step| step.as_str()) {
        Some(step) => step.to_owned(),
        None if line.level <= Level::Info => line.level.to_string(),
        None => return None,
    };
    let mut text_of = line.message.clone();
    if let Some(id) = line.number("outbox") {
        text_of.push_str(&format!(", row {id}"));
    }
    // Of the spans, what the line happened in itself: a container, a delivery.
    let inner = line.spans.last().filter(|span| span.name != "turn").map(|span| &span.fields);
    let fields = line.fields.iter().chain(inner.into_iter().flatten());
    for (name, value) in fields.filter(|(name, _)| !KNOWN.contains(&name.as_str())) {
        text_of.push_str(&format!("  {name}={}", text(value)));
    }
    let took_ms = line.fields.get("elapsed_ms").and_then(|took| took.as_i64());
    Some(Step { took_ms, ..step(line.time, &name, text_of, Source::Log) })
}
