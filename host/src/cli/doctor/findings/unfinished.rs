//! What the store says has not come to its end. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{FRESH, Finding, HostSeen, Seen, ServedChat, Severity, count, error, instant, wait};
use crate::cli::status::duration;
use crate::store::unfinished::{ActiveTask, DeadLetter, OpenTurn, PausedTask, Unfinished, Unsent, WithoutTurn};

/// How the ids of the console's chats begin.
const CONSOLE: &str = "console:";

/// What of it needs a hand, or is on its way.
pub(super) fn unfinished(seen: &Seen, unfinished: &Unfinished) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(unfinished.without_turn.iter().map(|waiting| seen.without_turn(waiting, &unfinished.open_turns)));
    found.extend(unfinished.open_turns.iter().map(|turn| seen.open_turn(turn)));
    found.extend(unfinished.unsent.iter().map(|unsent| seen.unsent(unsent)));
    found.extend(unfinished.dead.iter().map(dead));
    found.extend(unfinished.paused.iter().map(paused));
    found.extend(unfinished.active.iter().filter_map(|task| seen.overdue(task)));
    found
}

impl Seen {
    /// A task whose time has passed. One of a group that is gone is paused by the next look at it.
    fn overdue(&self, task: &ActiveTask) -> Option<Finding> {
        let ActiveTask { id, group, due_at } = task;
        let late = self.now.duration_since(*due_at);
        if late < FRESH {
            return None;
        }
        let text = format!("task `{id}` of group `{group}` was to run {} ago", self.age(*due_at));
        let next = match self.host {
            HostSeen::Stopped => "the next `longshore run` does what the task says of missed times",
            _ => "`longshore logs` says why it does not; start it again, which looks at every task",
        };
        Some(error("task", text, next))
    }

    fn serves(&self, chat: &str) -> Option<&ServedChat> {
        self.served.iter().find(|served| served.chat == chat)
    }

    fn age(&self, since: Timestamp) -> String {
        duration(u64::try_from(self.now.duration_since(since).as_secs()).unwrap_or(0))
    }

    /// Without a host nothing is on its way.
    fn severity(&self, since: Timestamp) -> Severity {
        if self.runs() && self.now.duration_since(since) < FRESH { Severity::Note } else { Severity::Error }
    }

    fn without_turn(&self, waiting: &WithoutTurn, turns: &[OpenTurn]) -> Finding {
        let WithoutTurn { chat, first_seq, messages, since } = waiting;
        let age = self.age(*since);
        let what = count(*messages, "message");
        let Some(served) = self.serves(chat) else {
            let text = format!(
                "{what} in `{chat}`, which no group serves, {} for {age} (first: {first_seq})",
                wait(*messages)
            );
            let severity = self.severity(*since);
            return Finding { severity, ..error("message", text, "register the chat again, and they are answered") };
        };
        let text = format!(
            "{what} in `{chat}` of group `{}` {} for {age} without a turn (first: {first_seq})",
            served.group,
            wait(*messages)
        );
        let at_work = turns.iter().find(|turn| turn.group == served.group && self.is_at_work(turn));
        let (severity, next) = match at_work {
            _ if !self.runs() => (Severity::Error, "answered when the host runs"),
            Some(_) => (Severity::Note, "the group is at work; its next turn takes them"),
            None => {
                (self.severity(*since), "`longshore logs` says why; a host that is started again looks at every group")
            }
        };
        Finding { severity, ..error("message", text, next) }
    }

    /// Whether the turn runs, with a host that can end it, and within its time.
    fn is_at_work(&self, turn: &OpenTurn) -> bool {
        let limit = self.serves(&turn.chat).map_or(Duration::ZERO, |served| served.time_limit);
        let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX).saturating_add(FRESH);
        self.runs() && turn.running_since.is_some_and(|since| self.now.duration_since(since) <= limit)
    }

    fn open_turn(&self, turn: &OpenTurn) -> Finding {
        let what = match &turn.task {
            Some(task) => format!("a run of task `{task}`"),
            None => count(turn.messages, "message"),
        };
        let verb = if turn.task.is_some() { "waits" } else { wait(turn.messages) };
        let mut text =
            format!("{what} in `{}` of group `{}` {verb} for {}", turn.chat, turn.group, self.age(turn.since));
        // Writing to a String cannot fail.
        if let Some(first) = turn.first_seq {
            let _ = write!(text, " (first: {first})");
        }
        if turn.attempt > 0 {
            let _ = write!(text, ", tried {}", count(turn.attempt.into(), "time"));
        }
        if let Some(at) = turn.not_before {
            let _ = write!(text, ", again at {}", instant(at));
        }
        if let Some(failure) = &turn.failure {
            let _ = write!(text, "; {failure}");
        }
        let (severity, next) = match turn.running_since {
            Some(_) if !self.runs() => (
                Severity::Error,
                "its turn was interrupted; the next `longshore run` goes on with it or says so in the chat",
            ),
            Some(_) if self.is_at_work(turn) => (Severity::Note, "its turn runs"),
            Some(_) => (Severity::Error, "its turn has run beyond its time; start the host again, which recovers it"),
            None if self.serves(&turn.chat).is_none() && turn.task.is_none() => {
                (self.severity(turn.since), "no group serves the chat; register it again, and they are answered")
            }
            None if !self.runs() => (Severity::Error, "its turn begins when the host runs"),
            None if turn.failure.is_some() => {
                (self.severity(turn.since), "tried again by itself; the failure says what to correct")
            }
            None => (self.severity(turn.since), "its turn begins when the group and a container are free"),
        };
        Finding { severity, ..error("message", text, next) }
    }

    fn unsent(&self, unsent: &Unsent) -> Finding {
        let Unsent { chat, rows, since, attempts, not_before, error: reason } = unsent;
        let mut text =
            format!("{} to `{chat}` {} for {} to be sent", count(*rows, "message"), wait(*rows), self.age(*since));
        if *attempts > 0 {
            let _ = write!(text, ", tried {}", count((*attempts).into(), "time"));
        }
        if let Some(at) = not_before {
            let _ = write!(text, ", again at {}", instant(*at));
        }
        if let Some(reason) = reason {
            let _ = write!(text, "; {reason}");
        }
        let (severity, next) = match self.host {
            HostSeen::Stopped => (Severity::Error, "sent when the host runs"),
            // As it should be: the console keeps what is said until somebody looks.
            _ if chat.starts_with(CONSOLE) => (Severity::Note, "shown when `longshore chat` opens the group"),
            _ => (self.severity(*since), "sent when its channel can; see the channels in `longshore status`"),
        };
        Finding { severity, ..error("outbox", text, next) }
    }
}

fn dead(letter: &DeadLetter) -> Finding {
    let DeadLetter { chat, id, attempts, error: reason, at } = letter;
    let reason = reason.as_deref().unwrap_or("no reason was given");
    let tries = count((*attempts).into(), "try");
    let text =
        format!("a message to `{chat}` was given up at {} after {tries}: {reason} (outbox row {id})", instant(*at));
    let retry = format!("longshore dead retry {id}");
    let next =
        format!("`{retry}` sends it again; `longshore dead drop {id}` takes it off this list, which 7 days do, too");
    error("outbox", text, next).with(retry)
}

fn paused(task: &PausedTask) -> Finding {
    let PausedTask { id, group, because } = task;
    let text = format!("task `{id}` of group `{group}` is paused: {because}");
    if because == "its group is not registered" {
        return error("task", text, "register the group again, and it goes on by itself");
    }
    let next = format!("`longshore tasks runs {id}` says why; `longshore tasks resume {id}` lets it go on");
    error("task", text, next).with(format!("longshore tasks resume {id}"))
}
