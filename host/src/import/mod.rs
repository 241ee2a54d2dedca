//! Taking over an installation of NanoClaw v1: groups, their files, tasks, conversations, the operator's lists
//! and, if wanted, what was said.
//!
//! The source is only read. What is here is never replaced: an import adds what is missing, so that one that
//! was cut short is completed by the next, and one that is made twice changes nothing. First a plan is made,
//! which is also the report of a dry run; then its steps are done, each by the door that everybody uses.

mod apply;
mod decide;
mod files;
mod planning;
mod report;
mod snapshot;
mod source;
mod tree;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use longshore_protocol::GroupId;
use thiserror::Error;

pub use self::report::{Era, Item, Kind, Report, State};
pub use self::source::SourceError;

use self::apply::Step;
use self::decide::Register;
use self::planning::Planning;
use self::source::{RawChat, RawGroup, Source};
use self::tree::Folder;
use crate::config::Config;
use crate::groups::{self, Groups, load};
use crate::operator::Operator;
use crate::store::import::{Present, present};
use crate::store::{self, StoreError};

/// The largest settings file that is read.
const MAX_LIST: u64 = crate::follow::MAX_BYTES as u64;

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The groups file here.
    #[error("the groups file here must be repaired first: {0}")]
    Groups(String),
    /// The store here.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database here is of an older release.
    #[error(
        "the database here is of an older release; start the host once, or give --apply, which brings it up to date"
    )]
    Older,
    /// A folder here.
    #[error("`{path}` cannot be read: {error}")]
    Here {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// From where to where.
pub struct Import<'a> {
    /// The folder of the NanoClaw installation.
    pub source: &'a Path,
    /// Where NanoClaw's operator keeps the allowlists.
    pub lists: &'a Path,
    /// The installation here.
    pub root: &'a Path,
    /// The operator's places.
    pub operator: &'a Operator,
    /// The settings here.
    pub config: &'a Config,
    /// Whether what was said is taken over as well.
    pub history: bool,
    /// The time.
    pub now: Timestamp,
}

/// What is to be done.
pub struct Plan {
    source: Source,
    root: Folder,
    groups_file: PathBuf,
    now: Timestamp,
    items: Vec<(Item, Option<Step>)>,
}

impl Import<'_> {
    /// Looks at both sides and changes neither.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub fn plan(&self) -> Result<Plan, ImportError> {
        let mut source = Source::read(self.source)?;
        let here = |error| ImportError::Here { path: self.root.to_owned(), error };
        let root = Folder::open(self.root).map_err(here)?;
        let database = self.root.join(store::FILE);
        let has_database = root.folder("data").map_err(here)?.map(|data| data.file("longshore.db")).transpose();
        let present = match has_database.map_err(here)?.flatten() {
            Some(_) => present(&database)?.ok_or(ImportError::Older)?,
            None => Present::default(),
        };
        let data = root.folder("data").map_err(here)?;
        let bytes = match &data {
            Some(data) => data.read(groups::FILE_NAME, MAX_LIST).map_err(here)?,
            None => None,
        };
        let bytes = bytes.unwrap_or_else(|| b"{}".to_vec());
        let mut register = Register::read(&bytes).map_err(ImportError::Groups)?;
        let zone = |group: &groups::Group| group.timezone.clone().unwrap_or_else(|| self.config.time_zone.clone());
        let served = load(&bytes, &Groups::default()).groups;
        let homes = served.iter().map(|group| (group.id.clone(), zone(group))).collect();
        let trouble = std::mem::take(&mut source.trouble);
        let mut planning = Planning { import: self, source: &source, root: &root, present, homes, items: Vec::new() };
        planning.allowlists();
        let plans: Vec<_> = source.groups.iter().map(|raw| (raw, register.decide(raw))).collect();
        let homes: Vec<(&RawGroup, GroupId)> =
            plans.iter().filter_map(|(raw, plan)| Some((*raw, plan.home.clone()?))).collect();
        planning.memory(&homes);
        for (raw, plan) in plans {
            if let Some(home) = plan.home.filter(|_| plan.entry.is_some()) {
                planning.homes.insert(home, self.config.time_zone.clone());
            }
            let chat = Box::new(chat_of(raw, source.chats.get(&raw.chat)));
            let step = plan.entry.map(|entry| Step::Group { chat, entry: Box::new(entry) });
            planning.items.push((plan.item, step));
        }
        planning.tasks();
        planning.sessions();
        if self.history {
            planning.history(&homes);
        }
        planning.notes(&homes);
        let mut items = planning.items;
        items.extend(trouble.into_iter().map(|item| (item, None)));
        let groups_file = self.root.join("data").join(groups::FILE_NAME);
        Ok(Plan { source, root, groups_file, now: self.now, items })
    }
}

impl Plan {
    /// What a dry run tells.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            source: self.source.folder.path().display().to_string(),
            era: self.source.era,
            applied: false,
            items: self.items.iter().map(|(item, _)| item.clone()).collect(),
        }
    }
}

/// A chat as the store knows it: the channel that NanoClaw noted, or else the one whose ids look so.
fn chat_of(group: &RawGroup, known: Option<&RawChat>) -> Chat {
    let id = group.chat.as_str();
    let by_id = match id.split_once(':') {
        Some(("tg", _)) => "telegram",
        Some(("dc", _)) => "discord",
        Some((prefix, _)) if !id.contains('@') => prefix,
        _ if id.contains('@') => "whatsapp",
        _ => "unknown",
    };
    let named = known.and_then(|chat| chat.channel.clone()).filter(|channel| !channel.is_empty());
    Chat {
        id: id.to_owned(),
        channel: named.unwrap_or_else(|| by_id.to_owned()),
        name: known.and_then(|chat| chat.name.clone()).or_else(|| group.name.clone()),
        is_group: known.and_then(|chat| chat.is_group).unwrap_or_else(|| id.ends_with("@g.us")),
        last_activity: known.and_then(|chat| chat.last_activity.as_ref()?.parse().ok()),
    }
}

/// A chat of the source.
#[derive(Debug, Clone, PartialEq)]
struct Chat {
    id: String,
    channel: String,
    name: Option<String>,
    is_group: bool,
    last_activity: Option<Timestamp>,
}
