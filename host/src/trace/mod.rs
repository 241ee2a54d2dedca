//! What became of one message, turn or outbox row: pure, from its rows and the record's lines.

pub mod failure;
pub mod timeline;
pub mod verdict;

#[cfg(test)]
pub(crate) mod fixture;

use jiff::Timestamp;

use crate::record::line::LogLine;
use crate::store::story::{Story, Subject};

/// Everything that was looked at.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub now: Timestamp,
    /// What was asked for.
    pub about: About,
    /// What the rows tell.
    pub story: Story,
    /// What the record tells, in order.
    pub lines: Vec<LogLine>,
    /// Whether a host runs.
    pub host_runs: bool,
    /// The group that serves the chat now.
    pub group: Option<String>,
    /// Where the sender allowlist is.
    pub senders_file: String,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A row.
    Row(Subject),
    /// A message that is not kept, by its line in the record.
    Unkept {
        /// The platform's id.
        id: String,
        /// Its chat.
        chat: String,
        /// Why.
        route: String,
    },
}

impl About {
    /// What a line tells of a message that is not kept, if it does.
    #[must_use]
    pub fn unkept(line: &LogLine) -> Option<Self> {
        if line.fields.get("step")?.as_str()? != "routed" {
            return None;
        }
        let of = |name: &str| line.fields.get(name)?.as_str().map(str::to_owned);
        Some(Self::Unkept { id: of("id")?, chat: of("chat")?, route: of("route")? })
    }
}

/// Whether a line of the record is about what the rows tell.
#[must_use]
pub fn belongs(story: &Story, line: &LogLine, now: Timestamp) -> bool {
    let step = line.fields.get("step").and_then(|step| step.as_str());
    if let (Some("stored"), Some(message)) = (step, &story.message) {
        let of_channel = line.text("channel").as_deref() == message.channel.as_deref();
        let (first, last) = (line.number("first").unwrap_or(i64::MAX), line.number("last").unwrap_or(i64::MIN));
        return of_channel && (first..=last).contains(&message.seq);
    }
    if let Some(id) = line.number("outbox")
        && story.outbox.iter().any(|row| row.id == id)
    {
        return true;
    }
    let Some(turn) = &story.turn else { return false };
    match line.text("turn") {
        // What it said is told by the rows that were asked for.
        Some(id) => id == turn.id && line.field("outbox").is_none(),
        // The broker and the mailbox know the group, which has one turn at a time.
        None => {
            let until = turn.ended_at.unwrap_or(now);
            line.text("group").as_deref() == Some(&turn.group) && line.time >= turn.created_at && line.time <= until
        }
    }
}

/// By which bytes a line can be told that may belong.
#[must_use]
pub fn needles(story: &Story) -> Vec<String> {
    let mut needles: Vec<String> = story.outbox.iter().map(|row| format!("\"outbox\":{}", row.id)).collect();
    if story.message.is_some() {
        needles.push("\"step\":\"stored\"".to_owned());
    }
    if let Some(turn) = &story.turn {
        needles.push(turn.id.clone());
        needles.push(format!("\"group\":\"{}\"", turn.group));
    }
    needles
}
