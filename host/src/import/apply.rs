//! Doing what was planned, one step after the other.

use std::path::PathBuf;

use jiff::Timestamp;
use longshore_protocol::{GroupId, ProviderKind, SessionId};

use super::files::{Way, copy};
use super::report::{Report, State};
use super::source::Source;
use super::tree::Folder;
use super::{Chat, Plan};
use crate::groups::Entry;
use crate::groups::edit::GroupsFile;
use crate::store::import::ROUTE;
use crate::store::messages::NewMessage;
use crate::store::tasks::{Task, TaskChange};
use crate::store::{Store, StoreError};

/// One thing to add.
pub(super) enum Step {
    List { folder: PathBuf, name: &'static str, bytes: Vec<u8> },
    Files { way: Vec<String>, files: Vec<Way> },
    Group { chat: Box<Chat>, entry: Box<Entry> },
    Task(Box<Task>),
    Session { group: GroupId, id: SessionId, way: Vec<String>, files: Vec<Way> },
    History { group: GroupId, chat: String, since: String },
}

impl Plan {
    /// Does it. No host may run meanwhile. What fails is told in the report, and the rest is done all the same.
    pub async fn apply(self, store: &Store) -> Report {
        self.apply_some(store, usize::MAX).await
    }

    /// The same with the first `most` steps alone, as if a crash had ended it there.
    pub(super) async fn apply_some(mut self, store: &Store, most: usize) -> Report {
        let steps: Vec<_> =
            self.items.iter_mut().enumerate().filter_map(|(at, item)| Some((at, item.1.take()?))).collect();
        for (at, step) in steps.into_iter().take(most) {
            let done = self.step(store, step).await;
            if let Some((item, _)) = self.items.get_mut(at) {
                match done {
                    Ok(()) => item.state = State::Added,
                    Err(why) => (item.state, item.detail) = (State::Failed, why),
                }
            }
        }
        Report { applied: true, ..self.report() }
    }

    async fn step(&self, store: &Store, step: Step) -> Result<(), String> {
        match step {
            Step::List { folder, name, bytes } => place(&folder, name, &bytes).map_err(said),
            Step::Files { way, files } => self.files(&way, &files),
            Step::Group { chat, entry } => {
                // First, so that what the group says finds its way.
                let at = chat.last_activity.unwrap_or(Timestamp::UNIX_EPOCH);
                let Chat { id, channel, name, is_group, .. } = *chat;
                store.touch_chat(id.clone(), channel, name, is_group, at).await.map_err(said)?;
                GroupsFile::new(&self.groups_file).add(&id, &entry).map_err(|error| {
                    match std::error::Error::source(&error) {
                        Some(cause) => format!("{error}: {cause}"),
                        None => error.to_string(),
                    }
                })
            }
            Step::Task(task) => add(store, *task, self.now).await.map_err(said),
            Step::Session { group, id, way, files } => {
                self.files(&way, &files)?;
                store.remember_session(group, ProviderKind::Claude, id, self.now).await.map_err(said)
            }
            Step::History { group, chat, since } => {
                let said_there = history(&self.source, &chat, &since).map_err(said)?;
                store.import_history(group, chat, said_there).await.map(drop).map_err(said)
            }
        }
    }

    fn files(&self, way: &[String], files: &[Way]) -> Result<(), String> {
        let from = self.source.folder.descend(way).map_err(said)?.ok_or("its folder is gone")?;
        let to = self.root.make(way).map_err(said)?;
        copy(&from, &to, files).map_err(said)
    }
}

/// Puts a list where the operator's are; the folder may have to be made.
fn place(folder: &std::path::Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let missing: Vec<&std::path::Path> = folder.ancestors().take_while(|folder| !folder.is_dir()).collect();
    let there = missing.last().and_then(|first| first.parent()).unwrap_or(folder);
    let names: Vec<_> = missing.iter().rev().filter_map(|folder| folder.file_name()).collect();
    let mut content = bytes;
    match Folder::open(there)?.make(&names)?.put(name, &mut content, 0o600)? {
        true => Ok(()),
        false => Err(std::io::Error::other("another one has come there meanwhile")),
    }
}

async fn add(store: &Store, task: Task, now: Timestamp) -> Result<(), StoreError> {
    let (id, group) = (task.id.clone(), task.group.clone());
    let decide = |found: Option<Task>, _| match found {
        Some(_) => ((), TaskChange::Nothing),
        None => ((), TaskChange::Add(Box::new(task))),
    };
    store.decide_task(id, Some(group), now, decide).await
}

/// What was said in a chat, as rows that wake nobody.
fn history(source: &Source, chat: &str, since: &str) -> Result<Vec<NewMessage>, StoreError> {
    let Some(database) = &source.database else { return Ok(Vec::new()) };
    let known = source.groups.iter().find(|group| group.chat == chat);
    let about = known.map(|group| super::chat_of(group, source.chats.get(chat)));
    let (channel, is_group) =
        about.map_or_else(|| ("unknown".to_owned(), true), |about| (about.channel, about.is_group));
    let rows = database.foreign.messages(chat, since)?.into_iter().filter_map(|said| {
        let at: Timestamp = said.timestamp.parse().ok()?;
        Some(NewMessage {
            chat: chat.to_owned(),
            channel: channel.clone(),
            sender_name: if said.sender_name.is_empty() { said.sender.clone() } else { said.sender_name },
            sender: said.sender,
            platform_id: said.id,
            text: said.content,
            reply_to: None,
            is_group,
            sent_at: at,
            received_at: at,
            route: ROUTE.to_owned(),
            wakes: false,
            stops: false,
        })
    });
    Ok(rows.collect())
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
