//! One sentence: what became of it and, without an answer, why and what the operator can do. Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::failure::{Explained, explain};
use super::{About, Seen};
use crate::store::story::{MessageRow, OutboxRow, OutboxState, Subject, TurnRow, TurnState};

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// In a word.
    pub outcome: Outcome,
    /// In a sentence.
    pub text: String,
}

/// What became of it, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that was said has been sent.
    Answered,
    /// The agent chose to say nothing.
    Silent,
    /// Its turn has not begun.
    Waiting,
    /// Its turn runs.
    Running,
    /// Its turn failed and is tried again.
    Retrying,
    /// What was said is on its way.
    Sending,
    /// What was said could not be delivered.
    Undelivered,
    /// It failed.
    Failed,
    /// Somebody stopped it.
    Stopped,
    /// It was only to be read.
    Context,
    /// It was not kept.
    NotKept,
    /// It asked for something else than an answer, or was taken back.
    NotAsked,
}

use Outcome::{
    Answered, Context, Failed, NotAsked, NotKept, Retrying, Running, Sending, Silent, Stopped, Undelivered, Waiting,
};

/// Says what became of it.
#[must_use]
pub fn verdict(seen: &Seen) -> Verdict {
    let (outcome, rest) = match &seen.about {
        About::Unkept { chat, route, .. } => unkept(seen, chat, route),
        About::Row(Subject::Outbox(_)) => match seen.story.outbox.first() {
            Some(row) => delivery(seen, std::slice::from_ref(row)),
            None => (NotAsked, "is not there".into()),
        },
        About::Row(_) => match (&seen.story.message, &seen.story.turn) {
            (Some(message), None) => without_turn(seen, message),
            (Some(message), Some(turn)) if !message.wakes => covered(seen, message, turn),
            (_, Some(turn)) => of_turn(seen, turn),
            (None, None) => (NotAsked, "is not there".into()),
        },
    };
    Verdict { outcome, text: format!("{} {rest}.", name(seen)) }
}

fn name(seen: &Seen) -> String {
    match (&seen.about, &seen.story.message, &seen.story.turn) {
        (About::Unkept { id, chat, .. }, ..) => format!("Message `{id}` in `{chat}`"),
        (About::Row(Subject::Message(_)), Some(MessageRow { seq, chat, platform_id, .. }), _) => {
            format!("Message {seq} (`{platform_id}`) in `{chat}`")
        }
        (About::Row(Subject::Message(seq)), ..) => format!("Message {seq}"),
        (About::Row(Subject::Turn(id)), _, Some(TurnRow { task: Some(task), .. })) => {
            format!("The run of task `{task}` (turn `{id}`)")
        }
        (About::Row(Subject::Turn(id)), ..) => format!("Turn `{id}`"),
        (About::Row(Subject::Outbox(id)), ..) => {
            let chat = seen.story.outbox.first().map_or("nobody", |row| &row.chat);
            format!("Outbox row {id} to `{chat}`")
        }
    }
}

type Said = (Outcome, String);

/// What was not kept, by the route in the record.
fn unkept(seen: &Seen, chat: &str, route: &str) -> Said {
    let file = &seen.senders_file;
    let why = route.strip_prefix("ignored: ").unwrap_or(route);
    let text = match why {
        "the chat is not registered" if seen.group.is_some() => {
            "got no answer: the chat was not registered when it came; it is now, so have it said again".into()
        }
        "the chat is not registered" => format!(
            "got no answer: the chat is not registered; register it with `longshore groups add {chat} --folder NAME`"
        ),
        "sender dropped" => format!(
            "got no answer: its sender is not on the sender allowlist, which drops what others say; add them to `allow` in `{file}`"
        ),
        "the assistant said it" => return (NotAsked, "is the assistant's own, come back from the platform".into()),
        other => format!("was not kept: {other}"),
    };
    (NotKept, text)
}

/// Why a message wakes nobody, by its route.
fn context(seen: &Seen, route: &str) -> (String, String) {
    let group = seen.group.as_deref().unwrap_or("GROUP");
    let why = route.strip_prefix("context: ").unwrap_or(route);
    match why {
        "sender not allowed" => {
            ("its sender may not wake the agent".into(), format!("add them to `allow` in `{}`", seen.senders_file))
        }
        "no text" => ("it has no text".into(), "say something that can be answered".into()),
        _ => match why.strip_prefix("no trigger ") {
            Some(trigger) => (
                format!(
                    "it is not addressed to the assistant: it does not start with {trigger}, and is no mention and no reply"
                ),
                format!(
                    "start it so, or let every message wake the group with `longshore groups set {group} requiresTrigger=false`"
                ),
            ),
            None => (why.to_owned(), format!("see `longshore groups` for what wakes `{group}`")),
        },
    }
}

fn without_turn(seen: &Seen, message: &MessageRow) -> Said {
    if message.deleted_at.is_some() {
        return (NotAsked, "was deleted before a turn began".into());
    }
    if message.stops {
        return (Waiting, "asks for the group's turn to be stopped, and nothing has seen to it yet".into());
    }
    if !message.wakes {
        let (what, advice) = context(seen, &message.route);
        return (
            Context,
            format!("got no answer: {what}; the agent reads it with the next message that wakes it; {advice}"),
        );
    }
    let wait = match (&seen.story.open, &seen.group) {
        _ if !seen.host_runs => "no host runs; start it with `longshore run`".to_owned(),
        (_, None) => format!(
            "no group serves the chat any more; register it again with `longshore groups add {} --folder NAME`",
            message.chat
        ),
        (Some(TurnRow { state: TurnState::Running, id, .. }), _) => {
            format!("turn `{id}` of the group runs, and it belongs to the next one")
        }
        (Some(TurnRow { not_before: Some(at), id, .. }), _) => {
            format!("turn `{id}` of the group is tried again at {}, and comes first", instant(*at))
        }
        _ => "its turn begins when a slot and a container are free; `longshore status` shows what runs".into(),
    };
    (Waiting, format!("waits: {wait}"))
}

/// A message that was only read.
fn covered(seen: &Seen, message: &MessageRow, turn: &TurnRow) -> Said {
    if message.deleted_at.is_some() {
        return (NotAsked, "was deleted".into());
    }
    if message.stops {
        return (NotAsked, "asked for the turn to be stopped, and that was done".into());
    }
    let (what, advice) = context(seen, &message.route);
    (Context, format!("got no answer of its own: {what}; the agent read it in turn `{}`; {advice}", turn.id))
}

fn of_turn(seen: &Seen, turn: &TurnRow) -> Said {
    match turn.state {
        TurnState::Running if !seen.host_runs => (
            Waiting,
            "was interrupted when the host ended; `longshore run` goes on with it or says so in the chat".into(),
        ),
        TurnState::Running => {
            let since = turn.started_at.unwrap_or(turn.created_at);
            let log = format!("`longshore logs --follow --turn {}` shows it", turn.id);
            (Running, format!("is being answered since {} ({}); {log}", instant(since), attempt(turn.attempt)))
        }
        TurnState::Waiting => waiting(seen, turn),
        TurnState::Settled => settled(seen, turn),
        TurnState::GaveUp => given_up(seen, turn),
    }
}

fn waiting(seen: &Seen, turn: &TurnRow) -> Said {
    let when = match turn.not_before {
        _ if !seen.host_runs => "when a host runs; start it with `longshore run`".to_owned(),
        Some(at) if at > seen.now => format!("at {}", instant(at)),
        _ => "as soon as a slot is free".into(),
    };
    match &turn.failure {
        None => (Waiting, format!("waits for its turn, which begins {when}")),
        Some((code, reason)) => {
            let Explained { what, advice } = explain(turn, code, reason);
            (Retrying, format!("is not answered yet: {what}; it is tried again {when}; {advice}"))
        }
    }
}

fn settled(seen: &Seen, turn: &TurnRow) -> Said {
    let replies: Vec<OutboxRow> = seen.story.outbox.iter().filter(|row| !row.is_notice).cloned().collect();
    if replies.is_empty() {
        let what = match (&turn.task, turn.said) {
            (_, true) => "did what it was asked for and said nothing",
            (Some(_), _) => "went well and said nothing",
            (None, _) => "got no answer: the agent chose to say nothing",
        };
        return (Silent, what.into());
    }
    delivery(seen, &replies)
}

/// What was said, on its way to the chat.
fn delivery(seen: &Seen, rows: &[OutboxRow]) -> Said {
    let alone = matches!(seen.about, About::Row(Subject::Outbox(_)));
    let base = seen.story.message.as_ref().map(|message| message.received_at).filter(|_| !alone);
    // The later pieces of a text say only that an earlier one was given up.
    if let Some(row) = rows.iter().find(|row| row.state == OutboxState::Dead) {
        let error = row.error.as_deref().unwrap_or("no reason was given");
        let what = if alone { "was not delivered" } else { "was answered, and the answer was not delivered" };
        let tries = tries(row.attempts);
        return (
            Undelivered,
            format!(
                "{what}: the channel refused it after {tries} ({error}); check with `longshore status` that the channel still reaches `{}`, and have it asked again",
                row.chat
            ),
        );
    }
    if let Some(row) = rows.iter().find(|row| row.state == OutboxState::Pending) {
        let why = match (&row.error, row.not_before) {
            _ if !seen.host_runs => "no host runs; start it with `longshore run`".to_owned(),
            (Some(error), Some(at)) => format!("{error}; tried {}, again at {}", tries(row.attempts), instant(at)),
            _ if row.chat.starts_with("console:") => "it is shown when `longshore chat` opens the group".into(),
            _ => "its channel cannot send now; see the channels in `longshore status`".into(),
        };
        let what = if alone { "is to be sent" } else { "was answered, and the answer is to be sent" };
        return (Sending, format!("{what}: {why}"));
    }
    let took = base.zip(rows.iter().filter_map(|row| row.ended_at).max());
    let took = took.map(|(from, until)| format!(", {} after it came", lasted(until, from))).unwrap_or_default();
    let what =
        if alone { "was sent".to_owned() } else { format!("was answered: {} sent", plural(rows.len(), "message")) };
    (Answered, format!("{what}{took}"))
}

fn given_up(seen: &Seen, turn: &TurnRow) -> Said {
    let Some((code, reason)) = &turn.failure else { return (Failed, "was given up".into()) };
    if code.ends_with("_STOPPED") {
        return (Stopped, "got no answer: somebody stopped it".into());
    }
    if code == "TASK_CALLED_OFF" {
        return (Stopped, format!("was called off before it began: {reason}"));
    }
    let Explained { what, advice } = explain(turn, code, reason);
    let start = if turn.said { "was answered only in part" } else { "got no answer" };
    let told = match seen.story.outbox.iter().rev().find(|row| row.is_notice).map(|row| row.state) {
        Some(OutboxState::Sent) => ", and the chat was told",
        Some(OutboxState::Pending) => ", and the chat is yet to be told",
        Some(OutboxState::Dead) => ", and the chat could not even be told",
        None => "",
    };
    (Failed, format!("{start} after {}{told}: {what}; {advice}", tries(turn.attempt)))
}

fn tries(attempts: u32) -> String {
    match attempts {
        0 => "no try".into(),
        1 => "1 try".into(),
        many => format!("{many} tries"),
    }
}

fn attempt(attempt: u32) -> String {
    format!("try {attempt}")
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn lasted(until: Timestamp, from: Timestamp) -> String {
    let tenths = until.duration_since(from).as_millis().max(0) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

fn instant(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%d %H:%M:%SZ")
}

#[cfg(test)]
mod tests;
