//! Everything that the doctor looks at.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;

use super::environment::Surroundings;
use super::findings::{DatabaseSeen, Exception, HostSeen, Seen, ServedChat};
use super::{PATIENCE, credentials, environment};
use crate::app;
use crate::cli::registered::registered;
use crate::clock::Clock;
use crate::config::{ChannelSetting, Config};
use crate::container::installation::Installation;
use crate::container::mounts::extra::refusals;
use crate::control::client::Client;
use crate::control::{Request, Response};
use crate::groups::{Credentials, Group, Loaded, Network};
use crate::operator::Operator;
use crate::senders::{self, Senders};
use crate::store::beside::Beside;
use crate::store::unfinished::{Inspection, inspect};
use crate::store::{self, StoreError};
use crate::usage::price_file::PriceFile;

/// How far back dead letters are told.
const DEAD_SINCE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A turn's time limit when the settings cannot be read.
const TIME_LIMIT: Duration = Duration::from_secs(1800);
/// Looks at everything; asks no provider.
pub(super) async fn look(root: &Path) -> Seen {
    let host = ask(root).await;
    let (config, settings) = match Config::load(root) {
        Ok(config) => (Some(config), Vec::new()),
        Err(problems) => (None, problems.iter().map(ToString::to_string).collect()),
    };
    let setting_warnings = config.iter().flat_map(|config| &config.warnings).map(ToString::to_string).collect();
    let (loaded, unreadable) = match registered(root) {
        Ok(loaded) => (loaded, None),
        Err(error) => (Loaded::default(), Some(format!("{error:#}"))),
    };
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
            loaded.problems.iter().map(ToString::to_string).chain(unreadable.clone()).collect(),
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
    let ids: Vec<String> = loaded.groups.iter().map(|group| group.id.to_string()).collect();
    // Of a file with mistakes nobody can say which folders are whose.
    let known = (loaded.problems.is_empty() && unreadable.is_none()).then_some(ids.as_slice());
    let Surroundings { engine, images, mut environment } = environment::look(root, &host, images, known).await;
    environment.env_is_secret = config.as_ref().is_some_and(has_secret);
    let credentials = config.iter().flat_map(|config| credentials::credentials(config, &loaded.groups, root)).collect();
    let without_program = config.iter().flat_map(|config| &config.channels).filter_map(without_program).collect();
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
        setting_warnings,
        engine,
        images,
        environment,
        credentials,
        asked: Vec::new(),
        without_program,
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

fn has_secret(config: &Config) -> bool {
    config.claude.credential.is_some() || config.codex.api_key.is_some()
}

/// The channel and its adapter's program, if that is not there.
fn without_program(channel: &ChannelSetting) -> Option<(String, String)> {
    let ChannelSetting::Adapter { name, command } = channel else { return None };
    let program = command.first()?;
    let runs =
        |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    let found = if program.contains('/') {
        runs(Path::new(program))
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| runs(&folder.join(program)))
    };
    (!found).then(|| (name.clone(), program.clone()))
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
