//! What files say of an installation whose host does not.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use longshore_protocol::GroupId;

use crate::cli::registered::registered;
use crate::clock::Clock;
use crate::config::Config;
use crate::container::ContainerRuntime;
use crate::container::installation::Installation;
use crate::container::mounts::extra::refusals;
use crate::control::activity::{HostState, Queue};
use crate::control::{ChannelStatus, GroupStatus, Petitions, Status, UsedToday};
use crate::groups::{Groups, Loaded};
use crate::operator::Operator;
use crate::senders::{self, Senders};
use crate::store;
use crate::store::glance::{Glance, Glanced, glance};
use crate::store::usage::read_since;
use crate::usage::budget::spent;

/// How long the engine may take to say that it is there.
const PING: Duration = Duration::from_secs(3);

/// How the installation stands. With a problem, something holds it and does not answer.
pub(super) async fn look(root: &Path, problem: Option<String>) -> Status {
    let engine = async {
        match tokio::time::timeout(PING, super::super::engine().ping()).await {
            Ok(ping) => ping.map_err(|error| error.to_string()),
            Err(_) => Err("the container engine does not answer: no reply in 3 s".into()),
        }
    };
    let state = if problem.is_some() { HostState::Silent } else { HostState::Down };
    let files = {
        let root = root.to_owned();
        tokio::task::spawn_blocking(move || of_files(&root, state, Clock::system().now()))
    };
    let (engine, files) = tokio::join!(engine, files);
    let mut status = files.unwrap_or_else(|error| nothing(state, vec![error.to_string()]));
    status.engine = engine;
    status.notes.splice(0..0, problem);
    status
}

fn of_files(root: &Path, state: HostState, now: Timestamp) -> Status {
    let mut status = nothing(state, Vec::new());
    let (mut zone, mut assistant) = (TimeZone::UTC, String::new());
    match Config::load(root) {
        Ok(config) => {
            let down = |name: &str| ChannelStatus {
                name: name.to_owned(),
                state: "stopped".into(),
                detail: None,
                down_since: None,
                last_gap: None,
            };
            status.channels = config.channels.iter().map(|channel| down(channel.name())).collect();
            status.queue.slots = config.max_concurrent_containers.get() as u64;
            (zone, assistant) = (config.time_zone, config.assistant_name);
        }
        Err(problems) => status.notes.extend(problems.iter().map(|problem| format!("`.env`: {problem}"))),
    }
    let loaded = registered(root).unwrap_or_else(|error| {
        status.notes.push(format!("{error:#}"));
        Loaded::default()
    });
    status.problems = loaded.problems.iter().map(ToString::to_string).collect();
    let operator = Operator::of_environment();
    status.sender_problems = Senders::at_start(&operator.settings.join(senders::FILE_NAME)).problems;
    status.refused_mounts =
        Installation::of(root).map(|here| refusals(&here, &operator, &loaded.groups)).unwrap_or_default();
    let rows = rows(root, &loaded.groups, &mut status.notes);
    let today = now.to_zoned(zone).date();
    let used = read_since(&root.join(store::FILE), today).map(|rows| spent(&rows, today)).unwrap_or_default();
    status.groups = loaded
        .groups
        .iter()
        .enumerate()
        .map(|(number, group)| {
            let used_today = used.get(&group.id).map(|spent| UsedToday::from(spent.today));
            let told = GroupStatus { used_today, ..GroupStatus::of(group, &loaded.problems, &assistant) };
            match rows.groups.get(number) {
                Some(rows) => told.with_rows(rows, state, now),
                None => told,
            }
        })
        .collect();
    (status.outbox_pending, status.outbox_dead) = rows.outbox;
    (status.tasks_active, status.tasks_paused) = rows.tasks;
    status
}

fn rows(root: &Path, groups: &Groups, notes: &mut Vec<String>) -> Glance {
    let file = root.join(store::FILE);
    let asked: Vec<(GroupId, String)> = groups.iter().map(|group| (group.id.clone(), group.chat.clone())).collect();
    if !file.exists() {
        notes.push("there is no database yet: it is made when a host starts".into());
        return Glance::default();
    }
    match glance(&file, &asked) {
        Ok(Glanced::Read(glance)) => glance,
        Ok(Glanced::Older { found }) => {
            notes.push(format!(
                "the database is of an older release (schema {found}) and is read from the next start on"
            ));
            Glance::default()
        }
        Err(error) => {
            notes.push(format!("the database cannot be read: {error}; see `longshore doctor`"));
            Glance::default()
        }
    }
}

fn nothing(state: HostState, notes: Vec<String>) -> Status {
    Status {
        state,
        notes,
        version: env!("CARGO_PKG_VERSION").into(),
        uptime_seconds: 0,
        rehearsal: false,
        engine: Err("not looked at".into()),
        channels: Vec::new(),
        queue: Queue::default(),
        groups: Vec::new(),
        groups_generation: 0,
        problems: Vec::new(),
        sender_problems: Vec::new(),
        refused_mounts: Vec::new(),
        outbox_pending: 0,
        outbox_dead: 0,
        petitions: Petitions::default(),
        tasks_active: 0,
        tasks_paused: 0,
        database_checked_at: None,
        database_damage: None,
        cli_updates: Vec::new(),
    }
}
