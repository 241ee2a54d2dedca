//! What needs an operator's hand, decided from what was seen. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::cli::status::duration;
use crate::control::{ChannelStatus, Status};
use crate::store::unfinished::{DeadLetter, OpenTurn, PausedTask, Unfinished, Unsent, WithoutTurn};

/// How the ids of the console's chats begin.
const CONSOLE: &str = "console:";
/// What waits for less is on its way.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
/// How many problems of the groups file are told; `longshore groups` tells them all.
const MAX_GROUP_PROBLEMS: usize = 5;

/// Everything that was looked at.
pub(super) struct Seen {
    /// When.
    pub(super) now: Timestamp,
    /// The host.
    pub(super) host: HostSeen,
    /// What is wrong with the settings.
    pub(super) settings: Vec<String>,
    /// Why the engine does not answer.
    pub(super) engine: Option<String>,
    /// What is wrong with the agents' images.
    pub(super) images: Vec<String>,
    /// What is wrong with the groups file.
    pub(super) group_problems: Vec<String>,
    /// What is wrong with the file of prices.
    pub(super) prices: Vec<String>,
    /// What is wrong with the sender allowlist.
    pub(super) sender_problems: Vec<String>,
    /// What is wrong with the mount allowlist, and the additional mounts that are not made.
    pub(super) refused_mounts: Vec<String>,
    /// Groups that are less sealed than others, by the operator's own choice.
    pub(super) exceptions: Vec<(String, Exception)>,
    /// The chats that are served.
    pub(super) served: Vec<ServedChat>,
    /// The database.
    pub(super) database: DatabaseSeen,
    /// What is wrong with its pages.
    pub(super) damage: Option<String>,
}

/// The host.
pub(super) enum HostSeen {
    /// It runs and says how it is.
    Running(Box<Status>),
    /// None runs.
    Stopped,
    /// It runs, and this is why it does not answer.
    Silent(String),
}

/// A chat that a group serves.
pub(super) struct ServedChat {
    pub(super) chat: String,
    pub(super) group: String,
    /// How long one turn may take.
    pub(super) time_limit: Duration,
}

/// The database.
pub(super) enum DatabaseSeen {
    /// There is none.
    Missing,
    /// Why it cannot be read.
    Unreadable(String),
    /// It is of an older release, with this schema version.
    Older(i64),
    /// What has not come to its end.
    Read(Box<Unfinished>),
}

/// What a group's container has that others have not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exception {
    /// The ChatGPT login.
    Login,
    /// The network.
    Network,
}

/// Whether somebody has to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Weight {
    /// Yes.
    Problem,
    /// No, but it should be meant so.
    Warning,
    /// No: it is on its way.
    Note,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) weight: Weight,
    /// `host`, `settings`, `database`, `engine`, `image`, `groups`, `prices`, `senders`, `mounts`, `channel`, `message`, `outbox`, `task` or `petitions`.
    pub(super) area: &'static str,
    /// What.
    pub(super) text: String,
    /// What to do, or what will happen.
    pub(super) next: String,
}

fn problem(area: &'static str, text: impl Into<String>, next: impl Into<String>) -> Finding {
    Finding { weight: Weight::Problem, area, text: text.into(), next: next.into() }
}

fn warning(group: &str, exception: Exception) -> Finding {
    let (area, text, next) = match exception {
        Exception::Login => (
            "groups",
            format!(
                "the agent of group `{group}` holds the ChatGPT login and can read it (`credentials: \"mounted\"`)"
            ),
            "set it to `brokered` unless that is meant",
        ),
        Exception::Network => (
            "groups",
            format!("the agent of group `{group}` reaches the network past the host (`network: \"bridge\"`)"),
            "set it to `none` unless that is meant",
        ),
    };
    Finding { weight: Weight::Warning, ..problem(area, text, next) }
}

/// Everything that was found, what stops most first.
pub(super) fn findings(seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    match &seen.host {
        HostSeen::Running(_) => {}
        HostSeen::Stopped => found.push(problem("host", "no host runs", "start it with `longshore run`")),
        HostSeen::Silent(why) => found.push(problem(
            "host",
            format!("the host does not answer: {why}"),
            "its log says what it does; if it stays so, end it and start it again",
        )),
    }
    let correct = "correct `.env`; the host does not start with it";
    found.extend(seen.settings.iter().map(|text| problem("settings", text, correct)));
    found.extend(database(seen));
    if let Some(text) = &seen.engine {
        let next = "start it, and see that the host's user may use it; messages are stored meanwhile";
        found.push(problem("engine", text, next));
    }
    for text in &seen.images {
        let (text, next) = text.split_once("; ").unwrap_or((text, "run `longshore image build`"));
        found.push(problem("image", text, next));
    }
    let correct = "correct `data/registered_groups.json`; an edit is live at once";
    found.extend(seen.group_problems.iter().take(MAX_GROUP_PROBLEMS).map(|text| problem("groups", text, correct)));
    if let Some(more) = seen.group_problems.len().checked_sub(MAX_GROUP_PROBLEMS).filter(|more| *more > 0) {
        found.push(problem("groups", format!("{more} more problems"), "see `longshore groups`"));
    }
    let mend = "correct `data/prices.json`; the prices before the mistake, or the host's own, are used meanwhile";
    found.extend(seen.prices.iter().take(MAX_GROUP_PROBLEMS).map(|text| problem("prices", text, mend)));
    let correct = "correct `sender-allowlist.json`; an edit is live at once";
    found.extend(seen.sender_problems.iter().map(|text| problem("senders", text, correct)));
    let correct =
        "correct `containerConfig.additionalMounts` or `mount-allowlist.json`; the group's next container has it";
    found.extend(seen.refused_mounts.iter().map(|text| problem("mounts", text, correct)));
    found.extend(seen.exceptions.iter().map(|(group, exception)| warning(group, *exception)));
    if let HostSeen::Running(status) = &seen.host {
        found.extend(status.channels.iter().filter_map(|channel| link(channel, status.uptime_seconds)));
    }
    if let DatabaseSeen::Read(unfinished) = &seen.database {
        found.extend(unfinished.without_turn.iter().map(|waiting| seen.without_turn(waiting, &unfinished.open_turns)));
        found.extend(unfinished.open_turns.iter().map(|turn| seen.open_turn(turn)));
        found.extend(unfinished.unsent.iter().map(|unsent| seen.unsent(unsent)));
        found.extend(unfinished.dead.iter().map(dead));
        found.extend(unfinished.paused.iter().map(paused));
    }
    if let HostSeen::Running(status) = &seen.host
        && status.petitions.refused > 0
    {
        let text = format!("{} refused since the start", count(status.petitions.refused, "petition"));
        found.push(Finding { weight: Weight::Note, ..problem("petitions", text, "the log has the reasons") });
    }
    found
}

fn database(seen: &Seen) -> Option<Finding> {
    let whole =
        "make a copy of `data/longshore.db*`, stop the host, and run `longshore restore` with the newest backup";
    if let Some(damage) = &seen.damage {
        return Some(problem("database", format!("the database is damaged: {damage}"), whole));
    }
    match &seen.database {
        DatabaseSeen::Unreadable(why) => {
            Some(problem("database", format!("the database cannot be read: {why}"), "correct that first"))
        }
        DatabaseSeen::Older(schema) => Some(problem(
            "database",
            format!("the database is of an older release (schema {schema})"),
            "`longshore run` brings it up to date",
        )),
        DatabaseSeen::Missing if !matches!(seen.host, HostSeen::Stopped) => Some(problem(
            "database",
            "the database is gone while the host runs",
            "stop the host, and run `longshore restore` with the newest backup",
        )),
        DatabaseSeen::Missing | DatabaseSeen::Read(_) => None,
    }
}

fn link(channel: &ChannelStatus, uptime_seconds: u64) -> Option<Finding> {
    let next = match channel.state.as_str() {
        "up" => return None,
        "need_qr" | "need_pair_code" | "need_passkey" => "pair it: the host's log shows how",
        "logged_out" => "pair it again: the host's log shows how",
        "outdated" => "install a newer release of its adapter",
        "down" | "starting" => "it is tried again by itself; the host's log says why it fails",
        _ => "the host's log says more",
    };
    let detail = channel.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let starts = channel.state == "starting" && i64::try_from(uptime_seconds).is_ok_and(|up| up < FRESH.as_secs());
    let weight = if starts { Weight::Note } else { Weight::Problem };
    let text = format!("channel `{}` is {}{detail}", channel.name, channel.state);
    Some(Finding { weight, ..problem("channel", text, next) })
}

impl Seen {
    fn runs(&self) -> bool {
        !matches!(self.host, HostSeen::Stopped)
    }

    fn serves(&self, chat: &str) -> Option<&ServedChat> {
        self.served.iter().find(|served| served.chat == chat)
    }

    fn age(&self, since: Timestamp) -> String {
        duration(u64::try_from(self.now.duration_since(since).as_secs()).unwrap_or(0))
    }

    /// Without a host nothing is on its way.
    fn weight(&self, since: Timestamp) -> Weight {
        if self.runs() && self.now.duration_since(since) < FRESH { Weight::Note } else { Weight::Problem }
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
            let weight = self.weight(*since);
            return Finding { weight, ..problem("message", text, "register the chat again, and they are answered") };
        };
        let text = format!(
            "{what} in `{chat}` of group `{}` {} for {age} without a turn (first: {first_seq})",
            served.group,
            wait(*messages)
        );
        let at_work = turns.iter().find(|turn| turn.group == served.group && self.is_at_work(turn));
        let (weight, next) = match at_work {
            _ if !self.runs() => (Weight::Problem, "answered when the host runs"),
            Some(_) => (Weight::Note, "the group is at work; its next turn takes them"),
            None => (self.weight(*since), "the host's log says why; a host that is started again looks at every group"),
        };
        Finding { weight, ..problem("message", text, next) }
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
        let (weight, next) = match turn.running_since {
            Some(_) if !self.runs() => (
                Weight::Problem,
                "its turn was interrupted; the next `longshore run` goes on with it or says so in the chat",
            ),
            Some(_) if self.is_at_work(turn) => (Weight::Note, "its turn runs"),
            Some(_) => (Weight::Problem, "its turn has run beyond its time; start the host again, which recovers it"),
            None if self.serves(&turn.chat).is_none() && turn.task.is_none() => {
                (self.weight(turn.since), "no group serves the chat; register it again, and they are answered")
            }
            None if !self.runs() => (Weight::Problem, "its turn begins when the host runs"),
            None if turn.failure.is_some() => {
                (self.weight(turn.since), "tried again by itself; the failure says what to correct")
            }
            None => (self.weight(turn.since), "its turn begins when the group and a container are free"),
        };
        Finding { weight, ..problem("message", text, next) }
    }

    fn unsent(&self, unsent: &Unsent) -> Finding {
        let Unsent { chat, rows, since, attempts, not_before, error } = unsent;
        let mut text =
            format!("{} to `{chat}` {} for {} to be sent", count(*rows, "message"), wait(*rows), self.age(*since));
        if *attempts > 0 {
            let _ = write!(text, ", tried {}", count((*attempts).into(), "time"));
        }
        if let Some(at) = not_before {
            let _ = write!(text, ", again at {}", instant(*at));
        }
        if let Some(error) = error {
            let _ = write!(text, "; {error}");
        }
        let (weight, next) = match self.host {
            HostSeen::Stopped => (Weight::Problem, "sent when the host runs"),
            // As it should be: the console keeps what is said until somebody looks.
            _ if chat.starts_with(CONSOLE) => (Weight::Note, "shown when `longshore chat` opens the group"),
            _ => (self.weight(*since), "sent when its channel can; see the channels in `longshore status`"),
        };
        Finding { weight, ..problem("outbox", text, next) }
    }
}

fn dead(letter: &DeadLetter) -> Finding {
    let DeadLetter { chat, id, attempts, error, at } = letter;
    let error = error.as_deref().unwrap_or("no reason was given");
    let tries = count((*attempts).into(), "try");
    let text =
        format!("a message to `{chat}` was given up at {} after {tries}: {error} (outbox row {id})", instant(*at));
    problem("outbox", text, "it was not delivered and will not be; it leaves this list after 7 days")
}

fn paused(task: &PausedTask) -> Finding {
    let PausedTask { id, group, because } = task;
    let next = if because == "its group is not registered" {
        "register the group again, and it goes on by itself".to_owned()
    } else {
        format!("`longshore tasks runs {id}` says why; `longshore tasks resume {id}` lets it go on")
    };
    problem("task", format!("task `{id}` of group `{group}` is paused: {because}"), next)
}

fn wait(number: u64) -> &'static str {
    if number == 1 { "waits" } else { "wait" }
}

fn count(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {noun}s"),
    }
}

fn instant(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%d %H:%M:%SZ")
}

#[cfg(test)]
mod tests;
