//! `longshore doctor`: what needs an operator's hand.
//!
//! The store is read directly, with or without a host; what only a host knows it is asked.

mod findings;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use serde::Serialize;

use self::findings::{DatabaseSeen, Exception, Finding, HostSeen, Seen, ServedChat, Weight, findings};
use super::status::duration;
use super::{Ending, say};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::container::ContainerRuntime;
use crate::container::installation::Installation;
use crate::container::mounts::extra::refusals;
use crate::control::client::Client;
use crate::control::{Request, Response};
use crate::groups::{Credentials, FILE_NAME, Group, Groups, Network, load};
use crate::operator::Operator;
use crate::senders::{self, Senders};
use crate::store::beside::Beside;
use crate::store::unfinished::{Inspection, inspect};
use crate::store::{self, StoreError};
use crate::usage::price_file::PriceFile;

/// How far back dead letters are told.
const DEAD_SINCE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long the engine and the host may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A turn's time limit when the settings cannot be read.
const TIME_LIMIT: Duration = Duration::from_secs(1800);

/// Arguments of `longshore doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Also list what is on its way.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    findings: Vec<&'a Finding>,
}

pub(super) async fn doctor(args: &DoctorArgs, root: &Path) -> anyhow::Result<Ending> {
    app::check(root)?;
    let seen = look(root).await;
    let found = findings(&seen);
    let shown: Vec<&Finding> = found.iter().filter(|found| args.all || found.weight != Weight::Note).collect();
    let problems = found.iter().filter(|found| found.weight == Weight::Problem).count();
    if args.json {
        say(&serde_json::to_string_pretty(&Report { findings: shown })?)?;
    } else {
        for Finding { area, text, next, .. } in shown {
            say(&format!("{area:<9} {text}. {}", capital(next)))?;
        }
        if problems == 0 {
            say(&reassure(&seen))?;
        }
    }
    Ok(if problems == 0 { Ending::Done } else { Ending::Failed })
}

async fn look(root: &Path) -> Seen {
    let host = ask(root).await;
    let (config, settings) = match Config::load(root) {
        Ok(config) => (Some(config), Vec::new()),
        Err(problems) => (None, problems.iter().map(ToString::to_string).collect()),
    };
    let bytes = std::fs::read(root.join("data").join(FILE_NAME)).unwrap_or_else(|_| b"{}".to_vec());
    let loaded = load(&bytes, &Groups::default());
    let time_limit = config.as_ref().map_or(TIME_LIMIT, |config| config.container_timeout);
    let limit_of =
        |chat: &str| loaded.groups.by_chat(chat).and_then(|group| group.container.time_limit).unwrap_or(time_limit);
    let operator = Operator::of_environment();
    let (sender_problems, refused_mounts) = match &host {
        HostSeen::Running(status) => (status.sender_problems.clone(), status.refused_mounts.clone()),
        _ => (
            Senders::at_start(&operator.settings.join(senders::FILE_NAME)).problems,
            Installation::of(root).map(|here| refusals(&here, &operator, &loaded.groups)).unwrap_or_default(),
        ),
    };
    let (served, group_problems) = match &host {
        // What a host serves may be an entry's last good version.
        HostSeen::Running(status) => (
            status.groups.iter().map(|group| (group.chat.clone(), group.id.to_string())).collect(),
            status.problems.clone(),
        ),
        _ => (
            loaded.groups.iter().map(|group| (group.chat.clone(), group.id.to_string())).collect::<Vec<_>>(),
            loaded.problems.iter().map(ToString::to_string).collect(),
        ),
    };
    let images: BTreeSet<String> = loaded
        .groups
        .iter()
        .filter_map(|group| {
            group.container.image.clone().or_else(|| config.as_ref().map(|config| config.container_image.clone()))
        })
        .collect();
    let exceptions = loaded.groups.iter().flat_map(|group| exceptions(group)).collect();
    let (engine, images) = engine(&host, images).await;
    let price_file = PriceFile::new(root);
    price_file.look();
    let prices = price_file.table().problems.iter().map(ToString::to_string).collect();
    let now = Clock::system().now();
    let file = root.join(store::FILE);
    let (database, damage) = database(&file, now.saturating_sub(DEAD_SINCE).unwrap_or(now), &host);
    let served =
        served.into_iter().map(|(chat, group)| ServedChat { time_limit: limit_of(&chat), chat, group }).collect();
    Seen {
        now,
        host,
        settings,
        engine,
        images,
        group_problems,
        prices,
        sender_problems,
        refused_mounts,
        exceptions,
        served,
        database,
        damage,
    }
}

/// What the group's container has that others have not.
fn exceptions(group: &Group) -> Vec<(String, Exception)> {
    let holds_login = group.codex.credentials == Credentials::Mounted;
    let is_open = group.container.network == Network::Bridge;
    let of = |has: bool, exception| has.then(|| (group.id.to_string(), exception));
    [of(holds_login, Exception::Login), of(is_open, Exception::Network)].into_iter().flatten().collect()
}

async fn ask(root: &Path) -> HostSeen {
    let Ok(mut client) = Client::connect(root).await else {
        // Whoever holds the lock is a host, or a command that changes the store for a moment.
        return match app::lock(root) {
            Ok(_) => HostSeen::Stopped,
            Err(_) => HostSeen::Silent("it has no control socket, or starts or stops just now".into()),
        };
    };
    let answer = async {
        client.send(&Request::Status).await?;
        client.next().await
    };
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(Response::Status(status))) => HostSeen::Running(status),
        Ok(Ok(_)) => HostSeen::Silent("it answered something else; is it of another release?".into()),
        Ok(Err(error)) => HostSeen::Silent(format!("{error:#}")),
        Err(_) => HostSeen::Silent(format!("no reply in {} s", PATIENCE.as_secs())),
    }
}

/// Why the engine does not answer, and what is wrong with the images.
async fn engine(host: &HostSeen, images: BTreeSet<String>) -> (Option<String>, Vec<String>) {
    let runtime = super::engine();
    let ours = match tokio::time::timeout(PATIENCE, runtime.ping()).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("the container engine does not answer: no reply in {} s", PATIENCE.as_secs())),
    };
    let mut problems = Vec::new();
    if ours.is_none() {
        for image in images {
            if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, runtime.image(&image)).await {
                problems.push(error.to_string());
            }
        }
    }
    match host {
        // The host's own view is the one that counts: its environment may name another engine.
        HostSeen::Running(status) => (status.engine.as_ref().err().cloned(), problems),
        _ => (ours, problems),
    }
}

fn database(file: &Path, dead_since: jiff::Timestamp, host: &HostSeen) -> (DatabaseSeen, Option<String>) {
    if !file.exists() {
        return (DatabaseSeen::Missing, None);
    }
    let damage = match host {
        HostSeen::Running(status) => Ok(status.database_damage.clone()),
        // Nobody else checks it.
        _ => Beside::open_to_read(file).and_then(|file| file.damage()),
    };
    let seen = match inspect(file, dead_since) {
        Ok(Inspection::Read(unfinished)) => DatabaseSeen::Read(unfinished),
        Ok(Inspection::Older { found }) => DatabaseSeen::Older(found),
        Err(error) => DatabaseSeen::Unreadable(error.to_string()),
    };
    match damage {
        Ok(damage) => (seen, damage),
        Err(error @ StoreError::Stalled(_)) => (DatabaseSeen::Unreadable(error.to_string()), None),
        Err(_) => (seen, None),
    }
}

fn reassure(seen: &Seen) -> String {
    let HostSeen::Running(status) = &seen.host else { return "nothing found".into() };
    format!(
        "nothing found: up {}, {}, {} groups, {} channels, no message without an end",
        duration(status.uptime_seconds),
        status.engine.as_deref().unwrap_or("no engine"),
        status.groups.len(),
        status.channels.len(),
    )
}

/// The text with a capital letter, unless it begins with a command.
fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}
