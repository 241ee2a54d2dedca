//! What a NanoClaw v1 installation holds, as it is written there. Nothing is ever written into it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};
use thiserror::Error;

use super::report::{Era, Item, Kind, State};
use super::snapshot::{Copy, copy};
use super::tree::{Folder, Sort};
use crate::store::StoreError;
use crate::store::nanoclaw::Rows;

/// The largest JSON file that is read.
const MAX_JSON: u64 = 4 * 1024 * 1024;

/// Why a folder is no source.
#[derive(Debug, Error)]
pub enum SourceError {
    /// It cannot be opened.
    #[error("`{path}` cannot be read: {error}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is something else.
    #[error(
        "`{0}` is no installation of NanoClaw v1: it has neither `store/messages.db` nor `data/registered_groups.json`"
    )]
    NotNanoClaw(PathBuf),
    /// A database that cannot be relied on.
    #[error("`{path}` is damaged: {damage}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        damage: String,
    },
    /// It does not hold still.
    #[error("`{0}` does not stop changing; stop NanoClaw and try again")]
    Busy(PathBuf),
    /// What SQLite says of the copy.
    #[error("the copy of `store/messages.db` cannot be read")]
    Store(#[from] StoreError),
}

/// A registered chat, as written.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RawGroup {
    pub(super) chat: String,
    pub(super) name: Option<String>,
    pub(super) folder: Option<String>,
    pub(super) trigger: Option<String>,
    pub(super) added_at: Option<String>,
    pub(super) container: Option<Json>,
    pub(super) requires_trigger: Option<bool>,
    pub(super) is_main: Option<bool>,
}

/// A task, as written.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RawTask {
    pub(super) id: String,
    pub(super) folder: String,
    pub(super) prompt: String,
    pub(super) schedule_type: String,
    pub(super) schedule_value: String,
    pub(super) next_run: Option<String>,
    pub(super) status: Option<String>,
    pub(super) created_at: Option<String>,
    pub(super) context_mode: Option<String>,
    pub(super) script: Option<String>,
}

/// What is known of a chat.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RawChat {
    pub(super) name: Option<String>,
    pub(super) last_activity: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) is_group: Option<bool>,
}

/// All of it.
pub(super) struct Source {
    pub(super) folder: Folder,
    pub(super) era: Era,
    pub(super) groups: Vec<RawGroup>,
    pub(super) tasks: Vec<RawTask>,
    pub(super) sessions: BTreeMap<String, String>,
    pub(super) chats: BTreeMap<String, RawChat>,
    /// Up to when the agent of a chat had been told what was said.
    pub(super) cursors: BTreeMap<String, String>,
    pub(super) settings: BTreeMap<String, String>,
    /// What could not be read.
    pub(super) trouble: Vec<Item>,
    pub(super) database: Option<Copy>,
}

impl Source {
    /// Reads an installation.
    pub(super) fn read(path: &Path) -> Result<Self, SourceError> {
        let folder = Folder::open(path).map_err(unreadable(path))?;
        let data = folder.folder("data").map_err(unreadable(&path.join("data")))?;
        let database = match folder.folder("store").map_err(unreadable(&path.join("store")))? {
            Some(store) => copy(&store)?,
            None => None,
        };
        let mut source = Self {
            folder,
            era: Era::Json,
            groups: Vec::new(),
            tasks: Vec::new(),
            sessions: BTreeMap::new(),
            chats: BTreeMap::new(),
            cursors: BTreeMap::new(),
            settings: BTreeMap::new(),
            trouble: Vec::new(),
            database,
        };
        let mut has_files = false;
        if let Some(data) = &data {
            has_files = source.read_files(data);
        }
        if !has_files && source.database.is_none() {
            return Err(SourceError::NotNanoClaw(path.to_owned()));
        }
        source.read_database()?;
        source.read_settings();
        source.groups.sort_by(|one, other| one.chat.cmp(&other.chat));
        Ok(source)
    }

    fn note(&mut self, name: &str, state: State, detail: impl Into<String>) {
        self.trouble.push(Item::new(Kind::Source, name, state, detail));
    }

    /// The files of the JSON era; whether the one of the groups is there.
    fn read_files(&mut self, data: &Folder) -> bool {
        let groups = self.read_json(data, "registered_groups.json");
        for (chat, entry) in groups.iter().flatten() {
            match entry.as_object() {
                Some(entry) => self.groups.push(group_of_json(chat, entry)),
                None => {
                    self.note("data/registered_groups.json", State::Cannot, format!("the entry `{chat}` is no object"))
                }
            }
        }
        for (folder, session) in self.read_json(data, "sessions.json").into_iter().flatten() {
            if let Some(session) = session.as_str() {
                self.sessions.insert(folder, session.to_owned());
            }
        }
        let state = self.read_json(data, "router_state.json").unwrap_or_default();
        self.cursors = texts(state.get("last_agent_timestamp"));
        !matches!(data.read("registered_groups.json", MAX_JSON), Ok(None))
    }

    fn read_json(&mut self, data: &Folder, name: &str) -> Option<Map<String, Json>> {
        let shown = format!("data/{name}");
        let bytes = match data.read(name, MAX_JSON) {
            Ok(bytes) => bytes?,
            Err(error) => {
                self.note(&shown, State::Cannot, error.to_string());
                return None;
            }
        };
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        match serde_json::from_slice(text) {
            Ok(Json::Object(object)) => Some(object),
            Ok(_) => {
                self.note(&shown, State::Cannot, "is JSON and no object");
                None
            }
            Err(error) => {
                self.note(&shown, State::Cannot, format!("is no JSON: {error}"));
                None
            }
        }
    }

    /// What the database has; where a file says the same, the database is the newer.
    fn read_database(&mut self) -> Result<(), SourceError> {
        const GROUPS: [&str; 8] =
            ["jid", "name", "folder", "trigger_pattern", "added_at", "container_config", "requires_trigger", "is_main"];
        const TASKS: [&str; 10] = [
            "id",
            "group_folder",
            "prompt",
            "schedule_type",
            "schedule_value",
            "next_run",
            "status",
            "created_at",
            "context_mode",
            "script",
        ];
        if let Some(rows) = self.table("registered_groups", &GROUPS, 3)? {
            self.era = Era::Sqlite;
            for row in rows {
                let group = self.group_of_row(row);
                self.groups.retain(|known| known.chat != group.chat);
                self.groups.push(group);
            }
        }
        for row in self.table("scheduled_tasks", &TASKS, 5)?.into_iter().flatten() {
            let [id, folder, prompt, kind, value, next_run, status, created_at, context_mode, script] = taken(row);
            self.tasks.push(RawTask {
                id: id.unwrap_or_default(),
                folder: folder.unwrap_or_default(),
                prompt: prompt.unwrap_or_default(),
                schedule_type: kind.unwrap_or_default(),
                schedule_value: value.unwrap_or_default(),
                next_run,
                status,
                created_at,
                context_mode,
                script,
            });
        }
        for row in self.table("sessions", &["group_folder", "session_id"], 2)?.into_iter().flatten() {
            if let [Some(folder), Some(session)] = taken(row) {
                self.sessions.insert(folder, session);
            }
        }
        for row in self.table("router_state", &["key", "value"], 2)?.into_iter().flatten() {
            if let [Some(key), Some(value)] = taken(row)
                && key == "last_agent_timestamp"
            {
                self.cursors.extend(texts(serde_json::from_str(&value).ok().as_ref()));
            }
        }
        let chats = ["jid", "name", "last_message_time", "channel", "is_group"];
        for row in self.table("chats", &chats, 1)?.into_iter().flatten() {
            let [Some(chat), name, last_activity, channel, is_group] = taken(row) else { continue };
            self.chats.insert(chat, RawChat { name, last_activity, channel, is_group: is_group.as_deref().map(truth) });
        }
        Ok(())
    }

    /// A table's rows, if it is there and has the first `needed` of the columns.
    fn table(
        &mut self,
        name: &str,
        columns: &[&'static str],
        needed: usize,
    ) -> Result<Option<Vec<Vec<Option<String>>>>, SourceError> {
        let Some(copy) = &self.database else { return Ok(None) };
        let Some(Rows { missing, rows, cut }) = copy.foreign.rows(name, columns)? else { return Ok(None) };
        let shown = format!("store/messages.db: {name}");
        let lost: Vec<&str> = missing.into_iter().filter(|column| columns[..needed].contains(column)).collect();
        if !lost.is_empty() {
            self.note(&shown, State::Cannot, format!("has no column `{}`", lost.join("`, `")));
            return Ok(None);
        }
        if cut {
            self.note(&shown, State::Cannot, format!("has more than {} rows; the rest is left out", rows.len()));
        }
        Ok(Some(rows))
    }

    fn group_of_row(&mut self, row: Vec<Option<String>>) -> RawGroup {
        let [chat, name, folder, trigger, added_at, container, requires_trigger, is_main] = taken(row);
        let chat = chat.unwrap_or_default();
        let container = container.filter(|text| !text.trim().is_empty()).and_then(|text| {
            serde_json::from_str(&text)
                .inspect_err(|error| {
                    let detail = format!("`container_config` of `{chat}` is no JSON: {error}");
                    self.note("store/messages.db: registered_groups", State::Cannot, detail);
                })
                .ok()
        });
        RawGroup {
            chat,
            name,
            folder,
            trigger,
            added_at,
            container,
            requires_trigger: requires_trigger.as_deref().map(truth),
            is_main: is_main.as_deref().map(truth),
        }
    }

    /// Only which settings there are, and the two that say nothing secret.
    fn read_settings(&mut self) {
        match self.folder.read(".env", MAX_JSON) {
            Ok(bytes) => self.settings = settings(&String::from_utf8_lossy(&bytes.unwrap_or_default())),
            Err(error) => self.note(".env", State::Note, error.to_string()),
        }
    }

    /// The folders under `groups/`.
    pub(super) fn group_folders(&self) -> Vec<String> {
        let groups = self.folder.folder("groups").ok().flatten();
        let entries = groups.and_then(|groups| groups.entries().ok()).unwrap_or_default();
        let folders = entries.into_iter().filter(|(_, sort)| *sort == Sort::Folder);
        folders.filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}

/// The settings that are set; the values of those alone that name a zone or the assistant.
fn settings(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let pairs = lines.filter_map(|line| line.trim().trim_start_matches("export ").split_once('='));
    pairs
        .filter(|(_, value)| !value.trim().is_empty())
        .map(|(key, value)| {
            let key = key.trim().to_owned();
            let value = value.trim().trim_matches(['"', '\'']);
            let shown = matches!(key.as_str(), "TZ" | "ASSISTANT_NAME");
            (key, if shown { value.to_owned() } else { String::new() })
        })
        .collect()
}

fn group_of_json(chat: &str, entry: &Map<String, Json>) -> RawGroup {
    let text = |key: &str| entry.get(key).and_then(Json::as_str).map(str::to_owned);
    RawGroup {
        chat: chat.to_owned(),
        name: text("name"),
        folder: text("folder"),
        trigger: text("trigger"),
        added_at: text("added_at"),
        container: entry.get("containerConfig").filter(|value| !value.is_null()).cloned(),
        requires_trigger: entry.get("requiresTrigger").and_then(Json::as_bool),
        is_main: entry.get("isMain").and_then(Json::as_bool),
    }
}

fn texts(value: Option<&Json>) -> BTreeMap<String, String> {
    let object = value.and_then(Json::as_object);
    let pairs = object.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    pairs.collect()
}

fn truth(text: &str) -> bool {
    !matches!(text, "0" | "false" | "")
}

fn taken<const N: usize>(row: Vec<Option<String>>) -> [Option<String>; N] {
    let mut values = row.into_iter();
    std::array::from_fn(|_| values.next().flatten())
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> SourceError {
    let path = path.to_owned();
    |error| SourceError::Unreadable { path, error }
}
