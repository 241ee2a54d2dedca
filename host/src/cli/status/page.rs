//! The text of `longshore status`: pure.

use std::path::Path;

use jiff::Timestamp;

use super::super::paint::{Ink, Paint, table};
use super::duration;
use crate::control::activity::{Activity, HostState, LastOutcome, LastTurn, ResidentState};
use crate::control::{ChannelStatus, Egress, GroupStatus, Petitions, Status, UsedToday};
use crate::update::versions::Release;
use crate::usage::budget::usd;

/// What stands where nothing is.
const NOTHING: &str = "-";

/// The page.
pub(in crate::cli) fn page(status: &Status, root: &Path, now: Timestamp, paint: Paint) -> String {
    let mut page = Page { text: String::new(), paint };
    page.head(status, root);
    for note in &status.notes {
        page.line("note", Ink::Attention, note);
    }
    if status.rehearsal {
        page.line("", Ink::Attention, "REHEARSAL: a stand-in answers, no model is asked");
    }
    match &status.engine {
        Ok(engine) => page.line("engine", Ink::Plain, engine),
        Err(problem) => page.line("engine", Ink::Bad, &format!("DOWN: {problem}")),
    }
    page.channels(status, now);
    page.work(status);
    page.groups(status, now);
    for problem in status.problems.iter().chain(&status.sender_problems).chain(&status.refused_mounts) {
        page.line("problem", Ink::Bad, problem);
    }
    page.text
}

struct Page {
    text: String,
    paint: Paint,
}

impl Page {
    fn line(&mut self, name: &str, ink: Ink, content: &str) {
        if !name.is_empty() {
            self.text.push_str(&self.paint.text(Ink::Faint, &format!("{name:<9}")));
            self.text.push(' ');
        }
        self.text.push_str(&self.paint.text(ink, content));
        self.text.push('\n');
    }

    fn head(&mut self, status: &Status, root: &Path) {
        let version = &status.version;
        match status.state {
            HostState::Running => {
                let up = duration(status.uptime_seconds);
                self.line("", Ink::Strong, &format!("longshore {version}, up {up}"));
            }
            HostState::Silent => {
                let text = format!("longshore {version}: a host has `{}` and does not answer", root.display());
                self.line("", Ink::Bad, &text);
            }
            HostState::Down => {
                let text =
                    format!("longshore {version}: no host runs in `{}`; start it with `longshore run`", root.display());
                self.line("", Ink::Bad, &text);
            }
        }
    }

    fn channels(&mut self, status: &Status, now: Timestamp) {
        for channel in &status.channels {
            let ink = match channel.state.as_str() {
                "up" => Ink::Good,
                "starting" | "stopped" => Ink::Plain,
                _ => Ink::Bad,
            };
            self.line("channel", ink, &told(channel, now));
            if let Some(gap) = &channel.last_gap {
                let lasted = duration(gap.seconds.unsigned_abs());
                let text = format!("{}  not up from {} until {}, {lasted}", channel.name, gap.from, gap.until);
                self.line("gap", Ink::Attention, &text);
            }
        }
    }

    fn work(&mut self, status: &Status) {
        if status.state == HostState::Running {
            let queue = status.queue;
            let ink = if queue.waiting > 0 { Ink::Attention } else { Ink::Plain };
            let text = format!("{} of {} slots in use, {} waiting", queue.running, queue.slots, queue.waiting);
            self.line("queue", ink, &text);
            self.line("residents", Ink::Plain, &residents(&status.groups));
        }
        let ink = if status.outbox_dead > 0 { Ink::Attention } else { Ink::Plain };
        self.line("outbox", ink, &format!("{} waiting, {} given up", status.outbox_pending, status.outbox_dead));
        if status.state == HostState::Running {
            let Petitions { granted, refused, unreadable } = status.petitions;
            let text = format!("{granted} granted, {refused} refused, {unreadable} unreadable since the start");
            self.line("petitions", Ink::Plain, &text);
        }
        self.line("tasks", Ink::Plain, &format!("{} active, {} paused", status.tasks_active, status.tasks_paused));
        match (&status.database_damage, &status.database_checked_at) {
            (Some(damage), _) => self.line("database", Ink::Bad, &format!("DAMAGED: {damage}")),
            (None, Some(at)) => self.line("database", Ink::Plain, &format!("sound, checked {at}")),
            (None, None) => {}
        }
        for Release { provider, installed, newest, .. } in &status.cli_updates {
            let installed = installed.as_deref().unwrap_or("the image's");
            let text = format!("{provider} {newest} is newer than {installed}; `longshore update apply` takes it");
            self.line("update", Ink::Attention, &text);
        }
    }

    fn groups(&mut self, status: &Status, now: Timestamp) {
        if status.groups.is_empty() {
            self.line("groups", Ink::Attention, "none; `longshore groups add` makes one");
            return;
        }
        self.text.push('\n');
        let rows: Vec<Vec<(Ink, String)>> = status.groups.iter().map(|group| row(group, now)).collect();
        let heading = ["GROUP", "AGENT", "STATE", "LAST TURN", "NEXT TASK", "USED TODAY", "MEMORY"];
        self.text.push_str(&table(self.paint, &heading, &rows));
        let mut busy =
            status.groups.iter().filter(|group| group.egress.connections + group.egress.refused > 0).peekable();
        if busy.peek().is_some() {
            self.text.push('\n');
        }
        for group in busy {
            let Egress { connections, refused, bytes, .. } = group.egress;
            let mebibytes = bytes >> 20;
            let text =
                format!("{}: {connections} connections, {mebibytes} MiB, {refused} refused since the start", group.id);
            self.line("egress", Ink::Plain, &text);
        }
        if !status.problems.is_empty() || !status.sender_problems.is_empty() || !status.refused_mounts.is_empty() {
            self.text.push('\n');
        }
    }
}

fn told(channel: &ChannelStatus, now: Timestamp) -> String {
    let detail = channel.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let since = channel.down_since.as_deref().map(|since| format!(" for {}", past(since, now))).unwrap_or_default();
    format!("{}  {}{since}{detail}", channel.name, channel.state)
}

fn residents(groups: &[GroupStatus]) -> String {
    let all: Vec<_> = groups.iter().filter_map(|group| group.resident).collect();
    let busy = all.iter().filter(|resident| resident.state == ResidentState::Busy).count();
    let bytes: u64 = all.iter().filter_map(|resident| resident.memory_bytes).sum();
    let unknown = if all.iter().any(|resident| resident.memory_bytes.is_none()) { " and more" } else { "" };
    match all.len() {
        0 => "none".to_owned(),
        number => format!("{number}, {busy} at work, {}{unknown}", mebibytes(bytes)),
    }
}

fn row(group: &GroupStatus, now: Timestamp) -> Vec<(Ink, String)> {
    let name = if group.is_main { format!("{} (main)", group.id) } else { group.id.to_string() };
    let name = (if group.problem.is_some() { Ink::Attention } else { Ink::Plain }, name);
    vec![
        name,
        (Ink::Plain, group.provider.to_string()),
        state(group, now),
        last(group.last_turn.as_ref(), now),
        next(group, now),
        used(group.used_today.as_ref()),
        memory(group),
    ]
}

/// What a group is at.
pub(in crate::cli) fn state(group: &GroupStatus, now: Timestamp) -> (Ink, String) {
    match &group.activity {
        Activity::Idle => (Ink::Faint, "idle".to_owned()),
        Activity::Waiting { since } => (Ink::Attention, format!("waiting {}", past(since, now))),
        Activity::Running { since, .. } => (Ink::Good, format!("running {}", past(since, now))),
        Activity::Retrying { at, failure, .. } => {
            let why = failure.as_deref().map(|code| format!(", {code}")).unwrap_or_default();
            (Ink::Attention, format!("retries {}{why}", ahead(at, now)))
        }
        Activity::Interrupted { .. } => (Ink::Bad, "interrupted".to_owned()),
    }
}

/// How its last turn ended.
pub(in crate::cli) fn last(turn: Option<&LastTurn>, now: Timestamp) -> (Ink, String) {
    let Some(turn) = turn else { return (Ink::Faint, NOTHING.to_owned()) };
    let when = format!("{} ago", past(&turn.ended_at, now));
    match turn.outcome {
        LastOutcome::Settled => (Ink::Plain, format!("{when}, ok in {}", duration(turn.seconds))),
        LastOutcome::GaveUp => (Ink::Bad, format!("{when}, {}", turn.failure.as_deref().unwrap_or("failed"))),
    }
}

/// When its next task runs.
pub(in crate::cli) fn next(group: &GroupStatus, now: Timestamp) -> (Ink, String) {
    match &group.next_task {
        Some(task) => (Ink::Plain, ahead(&task.at, now)),
        None => (Ink::Faint, NOTHING.to_owned()),
    }
}

/// What it used today.
pub(in crate::cli) fn used(used: Option<&UsedToday>) -> (Ink, String) {
    let Some(used) = used.filter(|used| used.requests > 0) else { return (Ink::Faint, NOTHING.to_owned()) };
    let cost = match used.unpriced_requests {
        0 => usd(used.cost_nano_usd),
        _ if used.cost_nano_usd == 0 => "?".into(),
        _ => format!("{} + ?", usd(used.cost_nano_usd)),
    };
    (Ink::Plain, format!("{} tokens, {cost}", used.tokens))
}

/// What its container takes.
pub(in crate::cli) fn memory(group: &GroupStatus) -> (Ink, String) {
    match group.resident {
        None => (Ink::Faint, NOTHING.to_owned()),
        Some(resident) => {
            let bytes = resident.memory_bytes.map_or_else(|| "?".to_owned(), mebibytes);
            (Ink::Plain, if resident.state == ResidentState::Warm { format!("{bytes}, warm") } else { bytes })
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// How long ago that is; a time that cannot be read stands as it is.
fn past(since: &str, now: Timestamp) -> String {
    apart(since, |time| now.duration_since(time).as_secs())
}

/// In how long that is.
fn ahead(at: &str, now: Timestamp) -> String {
    match apart(at, |time| time.duration_since(now).as_secs()) {
        now if now == "0 s" => "now".to_owned(),
        wait => format!("in {wait}"),
    }
}

fn apart(text: &str, seconds: impl Fn(Timestamp) -> i64) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => duration(u64::try_from(seconds(time)).unwrap_or(0)),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
pub(in crate::cli) mod tests;
