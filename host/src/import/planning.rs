//! What is to be done about each thing of the source, and what is told of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use longshore_protocol::{GroupId, SessionId};

use super::apply::Step;
use super::decide::{self, Circumstances};
use super::files::Survey;
use super::report::{Item, Kind, State};
use super::source::{RawGroup, Source};
use super::tree::{Folder, Sort};
use super::{Import, MAX_LIST, chat_of};
use crate::container::mounts::allowlist;
use crate::senders::{self, Senders};
use crate::store::import::{Present, Talk};

/// What both programs call the folder of a group's project in Claude's own files: both work in
/// `/workspace/group`.
const PROJECT: &str = "-workspace-group";
/// How many names a report lists of many.
const LISTED: usize = 5;
/// What a group's memory may speak of that is not here.
const GONE: [&str; 2] = ["/workspace/project", "mcp__nanoclaw__"];

/// A plan in the making.
pub(super) struct Planning<'a> {
    pub(super) import: &'a Import<'a>,
    pub(super) source: &'a Source,
    pub(super) root: &'a Folder,
    pub(super) present: Present,
    pub(super) homes: BTreeMap<GroupId, TimeZone>,
    pub(super) items: Vec<(Item, Option<Step>)>,
}

impl Planning<'_> {
    fn tell(&mut self, item: Item) {
        self.items.push((item, None));
    }

    pub(super) fn allowlists(&mut self) {
        let Ok(there) = Folder::open(self.import.lists) else { return };
        let here = Folder::open(&self.import.operator.settings).ok();
        for name in [allowlist::FILE_NAME, senders::FILE_NAME] {
            let told = |state, detail: &str| Item::new(Kind::Allowlist, name, state, detail);
            let bytes = match there.read(name, MAX_LIST) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) => {
                    self.tell(told(State::Cannot, &error.to_string()));
                    continue;
                }
            };
            if let Some(mistake) = mistake(name, &bytes) {
                let advice = format!("write `{}` yourself", self.import.operator.settings.join(name).display());
                self.tell(told(State::Cannot, &mistake).by_hand(advice));
                continue;
            }
            match here.as_ref().map_or(Ok(None), |here| here.read(name, MAX_LIST)) {
                Ok(Some(known)) if known == bytes => self.tell(told(State::Same, "")),
                Ok(None) => {
                    let step = Step::List { folder: self.import.operator.settings.clone(), name, bytes };
                    self.items.push((told(State::Add, "for every installation of this user"), Some(step)));
                }
                Ok(Some(_)) => {
                    let advice = format!("compare `{}` with it", there.path().join(name).display());
                    self.tell(told(State::Conflict, "there is another one here").by_hand(advice));
                }
                Err(error) => self.tell(told(State::Conflict, &error.to_string())),
            }
        }
    }

    pub(super) fn memory(&mut self, homes: &[(&RawGroup, GroupId)]) {
        let mut folders: Vec<&str> = homes.iter().map(|(_, home)| home.as_str()).collect();
        folders.insert(0, "global");
        self.shared_memory();
        for folder in folders {
            let way = vec!["groups".to_owned(), folder.to_owned()];
            // What NanoClaw's containers logged.
            self.folder(Kind::Memory, folder, &way, &["logs"]);
        }
        let known: BTreeSet<&str> = homes.iter().map(|(_, home)| home.as_str()).collect();
        for folder in self.source.group_folders() {
            if folder != "global" && !known.contains(folder.as_str()) {
                let detail = "belongs to no group that is taken over, and stays there";
                self.tell(Item::new(Kind::Memory, folder, State::Note, detail));
            }
        }
    }

    /// The memory of all groups of the JSON era: one file beside the folders.
    fn shared_memory(&mut self) {
        let there = self.source.folder.folder("groups").ok().flatten();
        let Some(there) = there.filter(|there| there.file("CLAUDE.md").is_ok_and(|file| file.is_some())) else {
            return;
        };
        let skip: Vec<String> = there
            .entries()
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, sort)| {
                let name = name.into_string().ok()?;
                (sort != Sort::File || name != "CLAUDE.md").then_some(name)
            })
            .collect();
        let skip: Vec<&str> = skip.iter().map(String::as_str).collect();
        self.folder(Kind::Memory, "CLAUDE.md", &["groups".to_owned()], &skip);
    }

    /// Plans the copy of what a folder has and the same one here has not.
    fn folder(&mut self, kind: Kind, name: &str, way: &[String], skip: &[&str]) {
        let there = match self.source.folder.descend(way) {
            Ok(Some(there)) => there,
            Ok(None) => return,
            Err(error) => return self.tell(Item::new(kind, name, State::Cannot, format!("its folder {error}"))),
        };
        let here = match self.root.descend(way) {
            Ok(here) => here,
            Err(error) => return self.tell(Item::new(kind, name, State::Conflict, format!("the folder here {error}"))),
        };
        let Survey { new, bytes, same, differing, left_out } = Survey::of(&there, here.as_ref(), skip);
        if !new.is_empty() {
            let more = if same > 0 { format!(", and {same} are here already") } else { String::new() };
            let detail = format!("{} ({} KiB){more}", counted(new.len() as u64, "file"), bytes.div_ceil(1024));
            let step = Step::Files { way: way.to_vec(), files: new };
            self.items.push((Item::new(kind, name, State::Add, detail), Some(step)));
        } else if differing.is_empty() && left_out.is_empty() && same > 0 {
            self.tell(Item::new(kind, name, State::Same, counted(same as u64, "file")));
        }
        if !differing.is_empty() {
            let detail = format!("other content here: {}", listed(&differing));
            self.tell(Item::new(kind, name, State::Conflict, detail).by_hand("compare them; what is here stays"));
        }
        if !left_out.is_empty() {
            let names: Vec<String> = left_out.into_iter().map(|(name, why)| format!("`{name}` {why}")).collect();
            self.tell(Item::new(kind, name, State::Cannot, listed(&names)).by_hand("copy what is needed yourself"));
        }
        if let Ok(Some(text)) = there.read("CLAUDE.md", MAX_LIST) {
            let text = String::from_utf8_lossy(&text);
            for gone in GONE.into_iter().filter(|gone| text.contains(gone)) {
                let detail = format!("its CLAUDE.md speaks of `{gone}`, which there is none of here");
                self.tell(Item::new(kind, name, State::Note, detail).by_hand("take it out of the file"));
            }
        }
    }

    pub(super) fn tasks(&mut self) {
        let zone = self.source.settings.get("TZ").and_then(|name| TimeZone::get(name).ok());
        let at = Circumstances { homes: &self.homes, zone: zone.as_ref(), now: self.import.now };
        for (item, task) in decide::tasks(&self.source.tasks, &self.present.tasks, &at) {
            self.items.push((item, task.map(|task| Step::Task(Box::new(task)))));
        }
    }

    pub(super) fn sessions(&mut self) {
        for (folder, session) in &self.source.sessions {
            let told = |state, detail: &str| Item::new(Kind::Session, folder.as_str(), state, detail);
            let known = folder.parse::<GroupId>().ok().filter(|group| self.homes.contains_key(group));
            let (Some(group), Ok(id)) = (known, session.parse::<SessionId>()) else {
                self.tell(told(State::Note, "its group is not taken over, or its id is none"));
                continue;
            };
            match self.present.sessions.get(&group) {
                Some(known) if *known == id => self.tell(told(State::Same, "")),
                Some(_) => self.tell(told(State::Note, "the group has a conversation of its own here, and keeps it")),
                None => self.session(group, id),
            }
        }
    }

    fn session(&mut self, group: GroupId, id: SessionId) {
        let way: Vec<String> =
            ["data", "sessions", group.as_str(), ".claude", "projects", PROJECT].map(str::to_owned).into();
        let transcript = format!("{id}.jsonl");
        let told = |state, detail: &str| Item::new(Kind::Session, group.as_str(), state, detail);
        let there = self.source.folder.descend(&way).ok().flatten();
        let found = there.as_ref().and_then(|there| there.file(&transcript).ok().flatten());
        let (Some(there), Some(_)) = (there, found) else {
            return self.tell(told(State::Note, "its transcript is not there: the conversation begins anew"));
        };
        // Beside the conversation, what Claude noted for later ones.
        let others = there.entries().unwrap_or_default().into_iter().filter_map(|(name, _)| name.into_string().ok());
        let skip: Vec<String> = others.filter(|name| *name != transcript && name != "memory").collect();
        let skip: Vec<&str> = skip.iter().map(String::as_str).collect();
        let here = self.root.descend(&way).ok().flatten();
        let survey = Survey::of(&there, here.as_ref(), &skip);
        if survey.differing.contains(&transcript) {
            return self.tell(told(State::Conflict, "a transcript with this id and other content is here"));
        }
        let item = told(State::Add, &format!("`{id}`, {} KiB", survey.bytes.div_ceil(1024)));
        self.items.push((item, Some(Step::Session { group, id, way, files: survey.new })));
    }

    pub(super) fn history(&mut self, homes: &[(&RawGroup, GroupId)]) {
        let Some(database) = &self.source.database else { return };
        let since = self.import.config.retention.and_then(|kept| self.import.now.checked_sub(kept).ok());
        let since = since.unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
        let mut items = Vec::new();
        for (raw, home) in homes {
            let told = |state, detail: String| Item::new(Kind::History, home.as_str(), state, detail);
            let count = match database.foreign.messages(&raw.chat, &since) {
                Ok(said) => said.iter().filter(|said| said.timestamp.parse::<Timestamp>().is_ok()).count() as u64,
                Err(error) => {
                    items.push((told(State::Cannot, error.to_string()), None));
                    continue;
                }
            };
            let Talk { imported, own } = self.present.talks.get(&raw.chat).copied().unwrap_or_default();
            items.push(match (count, own) {
                (0, _) => continue,
                (count, _) if imported >= count => (told(State::Same, counted(count, "message")), None),
                (_, 0) => {
                    let step = Step::History { group: home.clone(), chat: raw.chat.clone(), since: since.clone() };
                    (told(State::Add, counted(count - imported, "message")), Some(step))
                }
                _ => (told(State::Cannot, "people have begun to talk here: it would come after that".to_owned()), None),
            });
        }
        self.items.extend(items);
    }

    /// What is not taken over, and what to do about it.
    pub(super) fn notes(&mut self, homes: &[(&RawGroup, GroupId)]) {
        let note = |name: &str, detail: String| Item::new(Kind::Source, name, State::Note, detail);
        let source = self.source;
        let settings: Vec<&str> = source.settings.keys().map(String::as_str).collect();
        if !settings.is_empty() {
            let item = note(".env", format!("sets {}", settings.join(", ")));
            self.tell(item.by_hand("put what is needed into `.env` here; nothing of it is copied"));
        }
        let name = source.settings.get("ASSISTANT_NAME").map_or("Andy", String::as_str);
        if name != self.import.config.assistant_name {
            let item =
                note("ASSISTANT_NAME", format!("is `{name}` there and `{}` here", self.import.config.assistant_name));
            self.tell(item.by_hand(format!("`ASSISTANT_NAME={name}` in `.env` here")));
        }
        let here: BTreeSet<&str> = self.import.config.channels.iter().map(|channel| channel.name()).collect();
        let mut brought: BTreeMap<String, usize> = BTreeMap::new();
        for (raw, _) in homes {
            *brought.entry(chat_of(raw, source.chats.get(&raw.chat)).channel).or_default() += 1;
        }
        for (channel, chats) in brought.into_iter().filter(|(channel, _)| !here.contains(channel.as_str())) {
            let item = note(&channel, format!("brings {chats} of the chats and is no channel here"));
            self.tell(
                item.by_hand(format!("name it in CHANNELS, with its adapter in CHANNEL_{}", channel.to_uppercase())),
            );
        }
        if source.folder.descend(&["store", "auth"]).is_ok_and(|auth| auth.is_some()) {
            let item = note("store/auth", "WhatsApp's login is not taken over".to_owned());
            self.tell(item.by_hand("link the phone anew with the adapter here"));
        }
        for (raw, home) in homes {
            let (Some(database), Some(cursor)) = (&source.database, source.cursors.get(&raw.chat)) else { continue };
            if let Ok(count @ 1..) = database.foreign.unanswered(&raw.chat, cursor, name) {
                let item = note(
                    home.as_str(),
                    format!("not looked at there and not brought here: {}", counted(count, "message")),
                );
                self.tell(item.by_hand("ask for the answers again"));
            }
        }
    }
}

/// What is wrong with a list; `None` if it can be used.
fn mistake(name: &str, bytes: &[u8]) -> Option<String> {
    if name == senders::FILE_NAME {
        return Senders::default().read(bytes).problems.into_iter().next();
    }
    allowlist::read(bytes).err().and_then(|mistakes| mistakes.first().map(ToString::to_string))
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > LISTED { format!("{shown} and {} more", names.len() - LISTED) } else { shown }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
