//! What becomes of a group and of a task of the source. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use longshore_protocol::ipc::{ContextMode, Misfire, Overlap, ScheduleType, TaskStatus};
use longshore_protocol::{GroupId, TaskId};
use serde_json::{Map, Value as Json};

use super::report::{Item, Kind, State};
use super::source::{RawGroup, RawTask};
use crate::groups::entry::{ContainerConfig, SCHEMA_KEY};
use crate::groups::{Entry, Groups, load};
use crate::ipc::refusal::{MAX_PROMPT_BYTES, MAX_TASKS};
use crate::schedule::cadence::{Cadence, MAX_INTERVAL_MS, MIN_INTERVAL_MS};
use crate::schedule::request::local;
use crate::store::tasks::{PausedBecause, Task};

/// The groups file as it is here, and what is planned to be added to it.
pub(super) struct Register {
    document: Map<String, Json>,
    /// Which chat has a folder, by the folder in lower case.
    folders: BTreeMap<String, String>,
    main: Option<String>,
}

/// What becomes of a group.
pub(super) struct GroupPlan {
    pub(super) item: Item,
    /// The entry to be added.
    pub(super) entry: Option<Entry>,
    /// The folder here that what belongs to it goes to.
    pub(super) home: Option<GroupId>,
}

impl Register {
    /// The file's bytes.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let loaded = load(bytes, &Groups::default());
        if let Some(problem) = loaded.problems.first().filter(|_| loaded.is_unreadable()) {
            return Err(problem.to_string());
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let document: Map<String, Json> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let folder = |entry: &Json| Some(entry.get("folder")?.as_str()?.to_ascii_lowercase());
        let folders = document.iter().filter_map(|(chat, entry)| Some((folder(entry)?, chat.clone()))).collect();
        let main = loaded.groups.main().map(|group| group.chat.clone());
        Ok(Self { document, folders, main })
    }

    /// What becomes of a group; one that is to be added counts as here from then on.
    pub(super) fn decide(&mut self, raw: &RawGroup) -> GroupPlan {
        let (entry, dropped) = entry(raw);
        let shown = raw.folder.clone().unwrap_or_else(|| raw.chat.clone());
        let told = |state, detail: String| Item::new(Kind::Group, shown.clone(), state, detail);
        let nothing = |item| GroupPlan { item, entry: None, home: None };
        let Ok(id) = entry.folder.parse::<GroupId>() else {
            let wrong = entry.folder.parse::<GroupId>().err().map_or_else(String::new, |error| error.to_string());
            let item = told(State::Cannot, format!("`{}`: its folder {wrong}", raw.chat));
            return nothing(item.by_hand("register the chat with `longshore groups add` and another folder"));
        };
        let Ok(wanted) = serde_json::to_value(&entry) else {
            return nothing(told(State::Cannot, "cannot be written".to_owned()));
        };
        if let Some(here) = self.document.get(&raw.chat) {
            return self.known(here, &wanted, &id, told);
        }
        if let Some(other) = self.folders.get(&id.as_str().to_ascii_lowercase()) {
            let item = told(State::Conflict, format!("`{}`: the chat `{other}` has this folder", raw.chat));
            let advice = format!("if `{other}` is not needed: `longshore groups remove {id}`, and import again");
            return nothing(item.by_hand(advice));
        }
        if let Some(main) = self.main.as_ref().filter(|_| entry.is_main == Some(true)) {
            let item = told(State::Conflict, format!("`{}`: `{main}` is the main group here", raw.chat));
            return nothing(item.by_hand(format!("`longshore groups set {main} isMain=false`, and import again")));
        }
        let alone = Json::Object(Map::from_iter([(raw.chat.clone(), wanted.clone())])).to_string();
        let problems = load(alone.as_bytes(), &Groups::default()).problems;
        if let Some(problem) = problems.first().filter(|_| raw.chat != SCHEMA_KEY) {
            let item = told(State::Cannot, format!("`{}`: `{}`: {}", raw.chat, problem.path, problem.text));
            return nothing(item.by_hand("register the chat with `longshore groups add`"));
        }
        self.folders.insert(id.as_str().to_ascii_lowercase(), raw.chat.clone());
        if entry.is_main == Some(true) || id.as_str() == "main" {
            self.main.get_or_insert_with(|| raw.chat.clone());
        }
        self.document.insert(raw.chat.clone(), wanted);
        let mut detail = format!("`{}`, “{}”", raw.chat, entry.name);
        if !dropped.is_empty() {
            detail.push_str(&format!("; not known here and left out: {}", dropped.join(", ")));
        }
        GroupPlan { item: told(State::Add, detail), entry: Some(entry), home: Some(id) }
    }

    fn known(&self, here: &Json, wanted: &Json, id: &GroupId, told: impl Fn(State, String) -> Item) -> GroupPlan {
        let is_home = here.get("folder").and_then(Json::as_str) == Some(id.as_str());
        let fields = wanted.as_object().into_iter().flatten();
        let differing: Vec<&str> =
            fields.filter(|(key, value)| here.get(key.as_str()) != Some(value)).map(|(key, _)| key.as_str()).collect();
        let item = if differing.is_empty() {
            told(State::Same, String::new())
        } else {
            let detail = format!("registered here already, with another `{}`", differing.join("`, `"));
            told(State::Conflict, detail).by_hand(format!("`longshore groups set {id} …` if the source is right"))
        };
        GroupPlan { item, entry: None, home: is_home.then(|| id.clone()) }
    }
}

/// The entry as it would be written here, and what of the source it has no place for.
fn entry(raw: &RawGroup) -> (Entry, Vec<String>) {
    let mut dropped = Vec::new();
    let container = match &raw.container {
        Some(Json::Object(fields)) => {
            let known = ["additionalMounts", "timeout", "env"];
            let mut kept = fields.clone();
            kept.retain(|key, _| {
                let is_known = known.contains(&key.as_str());
                if !is_known {
                    dropped.push(format!("`containerConfig.{key}`"));
                }
                is_known
            });
            let read = serde_json::from_value::<ContainerConfig>(Json::Object(kept));
            read.inspect_err(|error| dropped.push(format!("`containerConfig` ({error})"))).ok()
        }
        Some(_) => {
            dropped.push("`containerConfig`, which is no object".to_owned());
            None
        }
        None => None,
    };
    let folder = raw.folder.clone().unwrap_or_default();
    let entry = Entry {
        name: raw.name.clone().filter(|name| !name.trim().is_empty()).unwrap_or_else(|| folder.clone()),
        folder,
        trigger: raw.trigger.clone().filter(|trigger| !trigger.trim().is_empty()),
        added_at: raw.added_at.clone(),
        requires_trigger: raw.requires_trigger.filter(|required| !required),
        is_main: raw.is_main.filter(|is_main| *is_main),
        container_config: container.filter(|container| *container != ContainerConfig::default()),
        ..Entry::default()
    };
    (entry, dropped)
}

/// What tasks are decided by.
pub(super) struct Circumstances<'a> {
    /// The groups here, with those that are to be added, and their zones.
    pub(super) homes: &'a BTreeMap<GroupId, TimeZone>,
    /// The zone in which the source reckoned, where that is known.
    pub(super) zone: Option<&'a TimeZone>,
    pub(super) now: Timestamp,
}

/// What becomes of the tasks, each with the row to be added. `here` are those of this store.
pub(super) fn tasks(
    raw: &[RawTask],
    here: &std::collections::HashMap<TaskId, Task>,
    at: &Circumstances<'_>,
) -> Vec<(Item, Option<Task>)> {
    let open = |task: &Task| matches!(task.status, TaskStatus::Active | TaskStatus::Paused);
    let mut counts: BTreeMap<GroupId, u64> = BTreeMap::new();
    for task in here.values().filter(|task| open(task)) {
        *counts.entry(task.group.clone()).or_default() += 1;
    }
    let mut seen = BTreeSet::new();
    let mut decided = Vec::new();
    for raw in raw {
        let name = if raw.id.is_empty() { "(without an id)" } else { &raw.id };
        let told = |state, detail: String| Item::new(Kind::Task, name, state, detail);
        let (item, task) = match translated(raw, at) {
            Err(why) => {
                let advice = "schedule it anew with `longshore tasks add`, or let the agent do it";
                (told(State::Cannot, why).by_hand(advice), None)
            }
            Ok(task) if !seen.insert(task.id.clone()) => {
                (told(State::Cannot, "the id is there twice".to_owned()), None)
            }
            Ok(task) => match here.get(&task.id) {
                Some(known) if is_same(known, &task) => (told(State::Same, String::new()), None),
                Some(known) => {
                    let detail = format!("`{}` has another task with this id here", known.group);
                    (told(State::Conflict, detail).by_hand("compare with `longshore tasks show`"), None)
                }
                None => {
                    let count = counts.entry(task.group.clone()).or_default();
                    if open(&task) && *count >= MAX_TASKS {
                        (
                            told(State::Cannot, format!("`{}` has {MAX_TASKS} tasks, which is the most", task.group)),
                            None,
                        )
                    } else {
                        *count += u64::from(open(&task));
                        (told(State::Add, described(raw, &task)), Some(task))
                    }
                }
            },
        };
        decided.push((item, task));
    }
    decided
}

/// Whether they are one task, which may have run or been paused here since.
fn is_same(here: &Task, wanted: &Task) -> bool {
    let definition =
        |task: &Task| (task.group.clone(), task.prompt.clone(), task.schedule_type, task.schedule_value.clone());
    definition(here) == definition(wanted)
}

fn described(raw: &RawTask, task: &Task) -> String {
    let zone = TimeZone::get(&task.zone).unwrap_or(TimeZone::UTC);
    let when = match (task.status, task.next_run) {
        (TaskStatus::Active, Some(next)) => format!("next run {}", local(next, &zone)),
        (status, _) => status.to_string(),
    };
    let mut text = format!("`{}`, {} `{}`, {when}", task.group, task.schedule_type, task.schedule_value);
    if raw.schedule_value.trim() != task.schedule_value {
        text.push_str(&format!(" (written there as `{}`)", raw.schedule_value));
    }
    if raw.status.as_deref() == Some("active") && task.status == TaskStatus::Paused {
        text.push_str(": it had no next run there, so it never ran");
    }
    text
}

/// The task as a row of this store.
fn translated(raw: &RawTask, at: &Circumstances<'_>) -> Result<Task, String> {
    let id: TaskId = raw.id.parse().map_err(|error| format!("its id {error}"))?;
    let group: GroupId = raw.folder.parse().map_err(|error| format!("its group's folder `{}` {error}", raw.folder))?;
    let here = at.homes.get(&group).ok_or_else(|| format!("its group `{group}` is not registered"))?;
    if raw.script.as_ref().is_some_and(|script| !script.trim().is_empty()) {
        return Err("it runs a script before it asks the agent, which is not done here".to_owned());
    }
    if raw.prompt.trim().is_empty() {
        return Err("its prompt is empty".to_owned());
    }
    if raw.prompt.len() > MAX_PROMPT_BYTES {
        return Err(format!("its prompt is longer than {MAX_PROMPT_BYTES} bytes"));
    }
    let schedule_type: ScheduleType = raw.schedule_type.parse()?;
    let time = |text: &Option<String>| text.as_ref().and_then(|text| text.trim().parse::<Timestamp>().ok());
    let next = time(&raw.next_run);
    let own = at.zone.filter(|zone| zone.iana_name() != here.iana_name());
    let zone = own.unwrap_or(here);
    let created_at = time(&raw.created_at).unwrap_or(at.now);
    let schedule_value = value(schedule_type, raw.schedule_value.trim(), next, zone)?;
    // Its next run is one interval after this, so that its times stay those of the source.
    let anchor = match (schedule_type, next, schedule_value.parse::<i64>()) {
        (ScheduleType::Interval, Some(next), Ok(every)) => {
            next.checked_sub(jiff::SignedDuration::from_millis(every)).unwrap_or(next)
        }
        _ => created_at,
    };
    Cadence::parse(schedule_type, &schedule_value, zone, anchor).map_err(|error| format!("its times: {error}"))?;
    let status = match raw.status.as_deref() {
        None | Some("active") if next.is_some() => TaskStatus::Active,
        // Without a next run it never ran there either.
        None | Some("active" | "paused") => TaskStatus::Paused,
        Some("completed") => TaskStatus::Completed,
        Some("cancelled") => TaskStatus::Cancelled,
        Some(other) => return Err(format!("its status `{other}` is not known")),
    };
    let next_run = next.filter(|_| status == TaskStatus::Active);
    Ok(Task {
        id,
        prompt: raw.prompt.trim().to_owned(),
        schedule_type,
        schedule_value,
        timezone: own.and_then(|zone| zone.iana_name()).map(str::to_owned),
        zone: zone.iana_name().unwrap_or("UTC").to_owned(),
        context_mode: raw.context_mode.as_deref().and_then(|mode| mode.parse().ok()).unwrap_or(ContextMode::Isolated),
        misfire: Misfire::Latest,
        overlap: Overlap::Skip,
        jitter_seconds: 0,
        status,
        paused_because: (status == TaskStatus::Paused).then_some(PausedBecause::Asked),
        anchor,
        next_run,
        due_at: next_run,
        failures: 0,
        created_by: group.to_string(),
        created_at,
        group,
    })
}

/// The times as they are written here: NanoClaw read some texts more leniently.
fn value(kind: ScheduleType, written: &str, next: Option<Timestamp>, zone: &TimeZone) -> Result<String, String> {
    match kind {
        ScheduleType::Cron => Ok(written.to_owned()),
        ScheduleType::Interval => {
            let digits: String = written.chars().take_while(char::is_ascii_digit).collect();
            match digits.parse::<i64>() {
                Ok(MIN_INTERVAL_MS..=MAX_INTERVAL_MS) => Ok(digits),
                _ => Err(format!("its interval `{written}` is not between {MIN_INTERVAL_MS} ms and ten years")),
            }
        }
        ScheduleType::Once => {
            let read = Cadence::parse(kind, written, zone, Timestamp::UNIX_EPOCH).ok();
            let means = read.and_then(|times| times.next_after(Timestamp::MIN));
            match (next, means) {
                // The row is what NanoClaw would have gone by.
                (Some(next), means) if means != Some(next) => Ok(next.to_string()),
                (_, Some(_)) => Ok(written.to_owned()),
                (_, None) => Err(format!("its time `{written}` is no date and time")),
            }
        }
    }
}
