//! What needs an operator's hand, decided from what was seen. Pure.

mod access;
mod environment;
mod unfinished;

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub(in crate::cli) use self::access::{Asked, CredentialSeen, CredentialState};
pub(in crate::cli) use self::environment::advice;
pub(super) use self::environment::{Disk, EngineSeen, Environment, mends};
use crate::control::{ChannelStatus, Status};
use crate::store::unfinished::Unfinished;
use crate::update::versions::Release;

/// What waits for less is on its way.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
/// How many problems of a file that people write are told; `longshore groups` tells them all.
const MAX_FILE_PROBLEMS: usize = 5;

/// Everything that was looked at.
pub(super) struct Seen {
    /// When.
    pub(super) now: Timestamp,
    /// The host.
    pub(super) host: HostSeen,
    /// What is wrong with the settings.
    pub(super) settings: Vec<String>,
    /// What in them is probably a mistake and stops nothing.
    pub(super) setting_warnings: Vec<String>,
    /// Why the engine does not answer.
    pub(super) engine: Option<String>,
    /// What is wrong with the agents' images.
    pub(super) images: Vec<String>,
    /// The machine, the engine and the files.
    pub(super) environment: Environment,
    /// What the groups' providers sign in with.
    pub(super) credentials: Vec<CredentialSeen>,
    /// What the APIs said when they were asked.
    pub(super) asked: Vec<Asked>,
    /// Channels whose program is not there: the channel, and what is looked for.
    pub(super) without_program: Vec<(String, String)>,
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
pub(super) enum Severity {
    /// Yes.
    Error,
    /// No, but it should be meant so.
    Warning,
    /// No: it is as it should be, or on its way.
    Note,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// `host`, `settings`, `access`, `files`, `database`, `engine`, `image`, `disk`, `clock`, `groups`, `prices`, `senders`,
    /// `mounts`, `channel`, `online`, `message`, `outbox`, `task`, `container` or `petitions`.
    pub(super) area: &'static str,
    /// What.
    pub(super) text: String,
    /// What to do, or what will happen.
    pub(super) next: String,
    /// The command that does it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<String>,
}

impl Finding {
    /// The same with the command that mends it.
    fn with(self, command: impl Into<String>) -> Self {
        Self { command: Some(command.into()), ..self }
    }

    fn graded(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }
}

/// What `--fix` can do by itself without a doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mend {
    /// Set a file's permissions.
    Mode { path: PathBuf, mode: u32 },
    /// Make a folder.
    Folder(PathBuf),
    /// Remove what is left of containers that no host has.
    Containers(Vec<String>),
    /// Make the agent image, of the usual name.
    Image,
}

fn error(area: &'static str, text: impl Into<String>, next: impl Into<String>) -> Finding {
    Finding { severity: Severity::Error, area, text: text.into(), next: next.into(), command: None }
}

fn warning(area: &'static str, text: impl Into<String>, next: impl Into<String>) -> Finding {
    error(area, text, next).graded(Severity::Warning)
}

fn note(area: &'static str, text: impl Into<String>, next: impl Into<String>) -> Finding {
    error(area, text, next).graded(Severity::Note)
}

fn exception(group: &str, exception: Exception) -> Finding {
    match exception {
        Exception::Login => warning(
            "groups",
            format!(
                "the agent of group `{group}` holds the ChatGPT login and can read it (`credentials: \"mounted\"`)"
            ),
            "set it to `brokered` unless that is meant",
        )
        .with(format!("longshore groups set {group} providerConfig.codex.credentials=brokered")),
        Exception::Network => warning(
            "groups",
            format!("the agent of group `{group}` reaches the network past the host (`network: \"bridge\"`)"),
            "set it to `none` unless that is meant",
        )
        .with(format!("longshore groups set {group} containerConfig.network=none")),
    }
}

/// Everything that was found, what stops most first.
pub(super) fn findings(seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    match &seen.host {
        HostSeen::Running(_) => {}
        HostSeen::Stopped => {
            found.push(error("host", "no host runs", "start it with `longshore run`").with("longshore run"));
        }
        HostSeen::Silent(why) => found.push(error(
            "host",
            format!("the host does not answer: {why}"),
            "`longshore logs` says what it does; if it stays so, end it and start it again",
        )),
    }
    let correct = "correct `.env`; the host does not start with it";
    found.extend(seen.settings.iter().map(|text| error("settings", text, correct)));
    found.extend(database(seen));
    found.extend(environment::engine(seen));
    found.extend(environment::machine(seen));
    found.extend(access::credentials(seen));
    found.extend(access::asked(seen));
    found.extend(written(seen));
    found.extend(seen.without_program.iter().map(|(channel, program)| {
        let text = format!("channel `{channel}` cannot start: there is no program `{program}`");
        error("channel", text, format!("install it, or correct `CHANNEL_{}` in `.env`", channel.to_uppercase()))
    }));
    if let HostSeen::Running(status) = &seen.host {
        found.extend(status.channels.iter().filter_map(|channel| link(channel, status.uptime_seconds)));
    }
    if let DatabaseSeen::Read(read) = &seen.database {
        found.extend(unfinished::unfinished(seen, read));
    }
    if let HostSeen::Running(status) = &seen.host {
        found.extend(status.cli_updates.iter().map(update));
    }
    if let HostSeen::Running(status) = &seen.host
        && status.petitions.refused > 0
    {
        let text = format!("{} refused since the start", count(status.petitions.refused, "petition"));
        found.push(note("petitions", text, "`longshore logs` has the reasons"));
    }
    found
}

/// What people wrote.
fn written(seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    let look = "correct or remove it in `.env`";
    found.extend(seen.setting_warnings.iter().map(|text| warning("settings", text, look)));
    let correct = "correct `data/registered_groups.json`; an edit is live at once";
    found.extend(seen.group_problems.iter().take(MAX_FILE_PROBLEMS).map(|text| error("groups", text, correct)));
    if let Some(more) = seen.group_problems.len().checked_sub(MAX_FILE_PROBLEMS).filter(|more| *more > 0) {
        found.push(error("groups", format!("{more} more problems"), "see `longshore groups`").with("longshore groups"));
    }
    let mend = "correct `data/prices.json`; the prices before the mistake, or the host's own, are used meanwhile";
    found.extend(seen.prices.iter().take(MAX_FILE_PROBLEMS).map(|text| error("prices", text, mend)));
    let correct = "correct `sender-allowlist.json`; an edit is live at once";
    found.extend(seen.sender_problems.iter().map(|text| error("senders", text, correct)));
    let correct =
        "correct `containerConfig.additionalMounts` or `mount-allowlist.json`; the group's next container has it";
    found.extend(seen.refused_mounts.iter().map(|text| error("mounts", text, correct)));
    found.extend(seen.exceptions.iter().map(|(group, what)| exception(group, *what)));
    found
}

fn database(seen: &Seen) -> Option<Finding> {
    let whole =
        "make a copy of `data/longshore.db*`, stop the host, and run `longshore restore` with the newest backup";
    if let Some(damage) = &seen.damage {
        return Some(error("database", format!("the database is damaged: {damage}"), whole));
    }
    match &seen.database {
        DatabaseSeen::Unreadable(why) => {
            Some(error("database", format!("the database cannot be read: {why}"), "correct that first"))
        }
        DatabaseSeen::Older(schema) => Some(
            error(
                "database",
                format!("the database is of an older release (schema {schema})"),
                "`longshore run` brings it up to date",
            )
            .with("longshore run"),
        ),
        DatabaseSeen::Missing if !matches!(seen.host, HostSeen::Stopped) => Some(error(
            "database",
            "the database is gone while the host runs",
            "stop the host, and run `longshore restore` with the newest backup",
        )),
        DatabaseSeen::Missing | DatabaseSeen::Read(_) => None,
    }
}

fn link(channel: &ChannelStatus, uptime_seconds: u64) -> Option<Finding> {
    let pairs_here = channel.name == "whatsapp";
    let next = match channel.state.as_str() {
        "up" => return None,
        "need_qr" | "need_pair_code" | "need_passkey" | "logged_out" if pairs_here => "run `longshore whatsapp link`",
        "need_qr" | "need_pair_code" | "need_passkey" => "pair it: `longshore logs` shows how",
        "logged_out" => "pair it again: `longshore logs` shows how",
        "outdated" => "install a newer release of its adapter",
        "down" | "starting" => "it is tried again by itself; `longshore logs` says why it fails",
        _ => "`longshore logs` says more",
    };
    let detail = channel.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let starts = channel.state == "starting" && i64::try_from(uptime_seconds).is_ok_and(|up| up < FRESH.as_secs());
    let severity = if starts { Severity::Note } else { Severity::Error };
    let finding = error("channel", format!("channel `{}` is {}{detail}", channel.name, channel.state), next);
    let finding = match ["longshore whatsapp link", "longshore logs"].into_iter().find(|command| next.contains(command))
    {
        Some(command) => finding.with(command),
        None => finding,
    };
    Some(finding.graded(severity))
}

fn update(release: &Release) -> Finding {
    let Release { provider, installed, newest, .. } = release;
    let installed = installed.as_deref().unwrap_or("a version that it does not tell");
    let text = format!("the agent image has `{provider}` {installed}, and there is {newest}");
    note("image", text, "`longshore update apply` rehearses it and takes it").with("longshore update apply")
}

impl Seen {
    fn runs(&self) -> bool {
        !matches!(self.host, HostSeen::Stopped)
    }
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
