//! `longshore status`: how the running host is.

use std::path::Path;

use anyhow::bail;
use clap::Args;

use super::{Ending, say};
use crate::control::client::Client;
use crate::control::{Egress, GroupStatus, Petitions, Request, Response, Status, UsedToday};
use crate::usage::budget::usd;

/// Arguments of `longshore status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn status(args: &StatusArgs, root: &Path) -> anyhow::Result<Ending> {
    let mut client = Client::connect(root).await?;
    client.send(&Request::Status).await?;
    let status = match client.next().await? {
        Response::Status(status) => status,
        Response::Error { message } => bail!(message),
        other => bail!("the host answered with {other:?}; is it of another release?"),
    };
    if args.json {
        say(&serde_json::to_string_pretty(&status)?)?;
    } else {
        say(render(&status).trim_end())?;
    }
    Ok(Ending::Done)
}

/// The text of `longshore status`.
fn render(status: &Status) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut line = |content: std::fmt::Arguments<'_>| {
        let _ = text.write_fmt(content);
        text.push('\n');
    };
    line(format_args!("longshore {}, up {}", status.version, duration(status.uptime_seconds)));
    if status.rehearsal {
        line(format_args!("REHEARSAL: a stand-in answers, no model is asked"));
    }
    match &status.engine {
        Ok(engine) => line(format_args!("engine    {engine}")),
        Err(problem) => line(format_args!("engine    DOWN: {problem}")),
    }
    for channel in &status.channels {
        let detail = channel.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let since = channel.down_since.as_deref().map(|since| format!(" since {since}")).unwrap_or_default();
        line(format_args!("channel   {}  {}{since}{detail}", channel.name, channel.state));
        if let Some(gap) = &channel.last_gap {
            let lasted = duration(gap.seconds.unsigned_abs());
            line(format_args!("gap       {}  not up from {} until {}, {lasted}", channel.name, gap.from, gap.until));
        }
    }
    line(format_args!("outbox    {} waiting, {} given up", status.outbox_pending, status.outbox_dead));
    let Petitions { granted, refused, unreadable } = status.petitions;
    line(format_args!("petitions {granted} granted, {refused} refused, {unreadable} unreadable since the start"));
    line(format_args!("tasks     {} active, {} paused", status.tasks_active, status.tasks_paused));
    match (&status.database_damage, &status.database_checked_at) {
        (Some(damage), _) => line(format_args!("database  DAMAGED: {damage}")),
        (None, Some(at)) => line(format_args!("database  sound, checked {at}")),
        (None, None) => {}
    }
    let width = status.groups.iter().map(|group| group.id.as_str().len()).max().unwrap_or(0);
    for group in &status.groups {
        let main = if group.is_main { ", main" } else { "" };
        let warm = if group.warm { ", warm" } else { "" };
        let used = group.used_today.as_ref().filter(|used| used.requests > 0).map(today).unwrap_or_default();
        let GroupStatus { id, provider, chat, .. } = group;
        line(format_args!("group     {:width$}  {provider}  {chat}{main}{warm}{used}", id.as_str()));
        let Egress { connections, refused, bytes, .. } = group.egress;
        if connections + refused > 0 {
            let mebibytes = bytes >> 20;
            line(format_args!(
                "egress    {:width$}  {connections} connections, {mebibytes} MiB, {refused} refused since the start",
                group.id.as_str()
            ));
        }
    }
    for problem in status.problems.iter().chain(&status.sender_problems).chain(&status.refused_mounts) {
        line(format_args!("problem   {problem}"));
    }
    text
}

fn today(used: &UsedToday) -> String {
    let cost = match used.unpriced_requests {
        0 => usd(used.cost_nano_usd),
        _ if used.cost_nano_usd == 0 => "?".into(),
        _ => format!("{} + ?", usd(used.cost_nano_usd)),
    };
    format!(", today {} tokens, {cost}", used.tokens)
}

pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{ChannelGap, ChannelStatus};

    #[test]
    fn status_reads_well_in_a_healthy_and_in_a_broken_installation() {
        let group = |id: &str, is_main, warm| GroupStatus {
            id: id.parse().unwrap(),
            name: id.into(),
            chat: format!("console:{id}"),
            provider: longshore_protocol::ProviderKind::Claude,
            is_main,
            warm,
            egress: Egress {
                policy: "list".into(),
                connections: if is_main { 0 } else { 3 },
                refused: u64::from(!is_main),
                bytes: 5 << 20,
            },
            wakes_on: "every message".into(),
            generation: 3,
            problem: None,
            used_today: is_main.then_some(UsedToday {
                requests: 3,
                tokens: 4500,
                cost_nano_usd: 12_000_000,
                unpriced_requests: 1,
            }),
        };
        let status = Status {
            version: "0.1.0".into(),
            uptime_seconds: 3725,
            rehearsal: true,
            engine: Err("the container engine does not answer: No such file or directory".into()),
            channels: vec![ChannelStatus {
                name: "test".into(),
                state: "down".into(),
                detail: Some("it exited".into()),
                down_since: Some("2026-01-31T12:00:00Z".into()),
                last_gap: Some(ChannelGap {
                    from: "2026-01-30T12:00:00Z".into(),
                    until: "2026-01-30T12:05:10Z".into(),
                    seconds: 310,
                }),
            }],
            groups: vec![group("main", true, true), group("family-chat", false, false)],
            groups_generation: 3,
            problems: vec!["line 3, column 5: …".into()],
            sender_problems: vec!["the sender allowlist …".into()],
            refused_mounts: vec!["group `main`: `/x` is not mounted: …".into()],
            outbox_pending: 2,
            outbox_dead: 1,
            petitions: Petitions { granted: 12, refused: 1, unreadable: 0 },
            tasks_active: 3,
            tasks_paused: 1,
            database_checked_at: Some("2026-02-01T04:00:00Z".into()),
            database_damage: Some("Page 7: btreeInitPage() returns error code 11".into()),
        };
        insta::assert_snapshot!(render(&status), @r"
        longshore 0.1.0, up 1 h 2 min
        REHEARSAL: a stand-in answers, no model is asked
        engine    DOWN: the container engine does not answer: No such file or directory
        channel   test  down since 2026-01-31T12:00:00Z: it exited
        gap       test  not up from 2026-01-30T12:00:00Z until 2026-01-30T12:05:10Z, 5 min
        outbox    2 waiting, 1 given up
        petitions 12 granted, 1 refused, 0 unreadable since the start
        tasks     3 active, 1 paused
        database  DAMAGED: Page 7: btreeInitPage() returns error code 11
        group     main         claude  console:main, main, warm, today 4500 tokens, $0.0120 + ?
        group     family-chat  claude  console:family-chat
        egress    family-chat  3 connections, 5 MiB, 1 refused since the start
        problem   line 3, column 5: …
        problem   the sender allowlist …
        problem   group `main`: `/x` is not mounted: …
        ");
    }
}
