//! Grants petitions: authorises, decides, and has the store do it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use longshore_protocol::ipc::{Answer, Petition, RegisterGroup, ScheduleTask, SendMessage, TaskReference, UpdateTask};
use longshore_protocol::{GroupId, TaskId};
use tokio::sync::watch;

use super::authorise::{self, Destination};
use super::refusal::Refusal;
use super::snapshot::Snapshots;
use super::{Grant, PetitionFile, register};
use crate::channel::chunk::chunk;
use crate::clock::Clock;
use crate::deliver::Outbound;
use crate::groups::edit::GroupsFile;
use crate::groups::watch::Snapshot;
use crate::groups::{Group, Groups};
use crate::schedule::request::{self, Circumstances, Making};
use crate::schedule::{Changed, task_id};
use crate::store::petitions::{Answered, Asked, Decide, PetitionEffect, PetitionKey};
use crate::store::tasks::{PausedBecause, Task, TaskChange};
use crate::store::{Store, StoreError};
use crate::turn::prompt::strip_internal;

/// The longest name in whose stead an agent may speak, in characters.
const SENDER_CHARS: usize = 60;

/// What petitions are granted with.
pub struct Granter {
    /// The store.
    pub store: Store,
    /// The groups as they are now.
    pub groups: watch::Receiver<Arc<Snapshot>>,
    /// The groups file, which `register_group` edits.
    pub groups_file: GroupsFile,
    /// The way to the channels.
    pub outbound: Outbound,
    /// What the agents see of tasks and chats.
    pub snapshots: Snapshots,
    /// Told when a task changes.
    pub changed: Changed,
    /// The time.
    pub clock: Clock,
    /// The zone for groups that name none.
    pub time_zone: TimeZone,
}

/// A petition on its way to its answer.
enum Prepared {
    /// For the store to decide and do.
    Ask(Box<Asked>),
    /// For the groups file.
    Register(Box<RegisterGroup>),
}

#[async_trait]
impl Grant for Granter {
    async fn grant(&self, group: &GroupId, files: Vec<PetitionFile>) -> Result<Vec<Answer>, StoreError> {
        let groups = self.groups.borrow().groups.clone();
        let Some(asker) = groups.by_id(group) else {
            // It was removed a moment ago: its files wait for the group to come back.
            return Err(StoreError::Stalled("the group is not registered".into()));
        };
        let mut answers = Vec::with_capacity(files.len());
        let mut asked = Vec::new();
        let mut effects = Effects::default();
        for file in files {
            effects.note(&file.petition);
            let key = key(asker, &file);
            match self.prepare(asker, &groups, key.clone(), file.petition).await? {
                Prepared::Ask(ask) => asked.push(*ask),
                Prepared::Register(wish) => {
                    answers.extend(self.decide(std::mem::take(&mut asked), &mut effects).await?);
                    answers.push(self.register(&groups, key, &wish).await?);
                }
            }
        }
        answers.extend(self.decide(asked, &mut effects).await?);
        self.tell(asker, &groups, effects).await?;
        Ok(answers)
    }
}

/// What the petitions of a batch touched.
#[derive(Default)]
struct Effects {
    messages: bool,
    /// Chats are to be listed, or are served by other groups now.
    chats: bool,
    /// Channels are to be asked for their chats.
    refresh: bool,
    /// Groups whose tasks were changed.
    touched: BTreeSet<GroupId>,
}

impl Effects {
    fn note(&mut self, petition: &Petition) {
        match petition {
            Petition::Message(_) => self.messages = true,
            Petition::RefreshGroups {} => (self.chats, self.refresh) = (true, true),
            Petition::RegisterGroup(_) => self.chats = true,
            _ => {}
        }
    }
}

impl Granter {
    async fn prepare(
        &self,
        asker: &Arc<Group>,
        groups: &Arc<Groups>,
        key: PetitionKey,
        petition: Petition,
    ) -> Result<Prepared, StoreError> {
        let at = Circumstances { now: self.clock.now(), time_zone: self.time_zone.clone() };
        let (task, owner, decide) = match petition {
            Petition::RegisterGroup(wish) if asker.is_main => return Ok(Prepared::Register(wish)),
            Petition::RegisterGroup(_) => (None, None, refuse(Refusal::MainOnly)),
            Petition::RefreshGroups {} => (None, None, refresh(asker)),
            Petition::Message(message) => (None, None, self.message(asker, groups, message).await?),
            Petition::ScheduleTask(wish) => match authorise::owner(asker, groups, &wish) {
                Err(refusal) => (None, None, refuse(refusal)),
                Ok(owner) => {
                    let id = wish.id.clone().unwrap_or_else(|| task_id(at.now));
                    (Some(id.clone()), Some(owner.id.clone()), schedule(asker, owner.clone(), id, *wish, at))
                }
            },
            Petition::UpdateTask(wish) => (Some(wish.id.clone()), None, update(asker, groups, *wish, at)),
            Petition::PauseTask(TaskReference { id }) => {
                let pause = |task| Ok(TaskChange::SetAndCallOff(Box::new(request::pause(task, PausedBecause::Asked)?)));
                (Some(id.clone()), None, change(asker, id, pause))
            }
            Petition::CancelTask(TaskReference { id }) => {
                let cancel = |task| Ok(TaskChange::SetAndCallOff(Box::new(request::cancel(task)?)));
                (Some(id.clone()), None, change(asker, id, cancel))
            }
            Petition::ResumeTask(TaskReference { id }) => {
                let groups = groups.clone();
                let resume = move |task: Task| {
                    let owner = groups.by_id(&task.group).map(Arc::as_ref);
                    Ok(TaskChange::Set(Box::new(request::resume(task.clone(), owner, &at)?)))
                };
                (Some(id.clone()), None, change(asker, id, resume))
            }
        };
        let owner = owner.unwrap_or_else(|| asker.id.clone());
        Ok(Prepared::Ask(Box::new(Asked { key, task, owner, decide })))
    }

    /// A message: where it may go and in which pieces.
    async fn message(&self, asker: &Group, groups: &Groups, message: SendMessage) -> Result<Decide, StoreError> {
        let chat = match authorise::destination(asker, groups, message.chat.as_deref()) {
            Err(refusal) => return Ok(refuse(refusal)),
            Ok(Destination::Served(chat)) => chat,
            Ok(Destination::IfKnown(chat)) => match self.store.channel_of(chat.clone()).await? {
                Some(_) => chat,
                None => return Ok(refuse(Refusal::UnknownChat(chat))),
            },
        };
        let Some(text) = strip_internal(&message.text) else { return Ok(refuse(Refusal::NothingToSay)) };
        let text = match message.sender.as_deref().and_then(sender) {
            Some(sender) => format!("**{sender}:** {text}"),
            None => text,
        };
        let pieces = chunk(&text, self.outbound.max_text_bytes(&chat, &text).await);
        Ok(Box::new(move |_, _| (Answer { ok: true, ..Answer::default() }, PetitionEffect::Say { chat, pieces })))
    }

    async fn decide(&self, asked: Vec<Asked>, effects: &mut Effects) -> Result<Vec<Answer>, StoreError> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let answered = self.store.grant(asked, self.clock.now()).await?;
        let answer = |Answered { answer, touched, .. }| {
            effects.touched.extend(touched);
            answer
        };
        Ok(answered.into_iter().map(answer).collect())
    }

    /// The groups file is no part of the store's transaction; registering what is registered already as
    /// it is asked for is no mistake, so a crash in between does no harm.
    async fn register(
        &self,
        groups: &Arc<Groups>,
        key: PetitionKey,
        wish: &RegisterGroup,
    ) -> Result<Answer, StoreError> {
        if let Some(answer) = self.store.answered(key.clone()).await? {
            return Ok(answer);
        }
        let answer = match register::register(&self.groups_file, groups, wish, self.clock.now()).await {
            Ok(folder) => Answer::done(folder),
            Err(refusal) => Answer::refused(refusal.to_string()),
        };
        let owner = key.group.clone();
        let given = answer.clone();
        let decide: Decide = Box::new(move |_, _| (given, PetitionEffect::Nothing));
        self.store.grant(vec![Asked { key, task: None, owner, decide }], self.clock.now()).await?;
        Ok(answer)
    }

    /// Tells everybody whom it concerns. The asker's own snapshot is rewritten before the answer.
    async fn tell(&self, asker: &Arc<Group>, groups: &Arc<Groups>, effects: Effects) -> Result<(), StoreError> {
        if effects.messages {
            self.outbound.look();
        }
        // The answer doesn't wait for it: a chat that is new is in a later snapshot. A group that may not
        // administer learns nothing of it and costs the platform nothing.
        if effects.refresh && authorise::administer(asker).is_ok() {
            self.outbound.refresh().await;
        }
        if !effects.touched.is_empty() {
            self.changed.tell();
        }
        if effects.chats || !effects.touched.is_empty() {
            self.snapshots.write(asker, groups).await?;
            effects.touched.iter().for_each(|group| self.snapshots.mark(group));
        }
        Ok(())
    }
}

fn key(asker: &Group, file: &PetitionFile) -> PetitionKey {
    PetitionKey {
        group: asker.id.clone(),
        folder: file.folder.as_str(),
        file: file.name.clone(),
        identity: file.identity.clone(),
    }
}

fn refuse(refusal: Refusal) -> Decide {
    Box::new(move |_, _| (Answer::refused(refusal.to_string()), PetitionEffect::Nothing))
}

fn refresh(asker: &Group) -> Decide {
    let allowed = authorise::administer(asker);
    Box::new(move |_, _| match allowed {
        Ok(()) => (Answer { ok: true, ..Answer::default() }, PetitionEffect::Nothing),
        Err(refusal) => (Answer::refused(refusal.to_string()), PetitionEffect::Nothing),
    })
}

fn schedule(asker: &Arc<Group>, owner: Arc<Group>, id: TaskId, wish: ScheduleTask, at: Circumstances) -> Decide {
    let by = asker.id.to_string();
    Box::new(move |existing, count| {
        let making = Making { id, group: &owner, by: &by, existing: existing.as_ref(), count };
        decided(request::schedule(&wish, &making, &at).map(|task| TaskChange::Add(Box::new(task))))
    })
}

fn update(asker: &Arc<Group>, groups: &Arc<Groups>, wish: UpdateTask, at: Circumstances) -> Decide {
    let (id, groups) = (wish.id.clone(), groups.clone());
    change(asker, id, move |task| {
        let owner = groups.by_id(&task.group).cloned();
        Ok(TaskChange::Set(Box::new(request::update(task, &wish, owner.as_deref(), &at)?)))
    })
}

/// A change of a task that the asker may see.
fn change(
    asker: &Arc<Group>,
    id: TaskId,
    change: impl FnOnce(Task) -> Result<TaskChange, Refusal> + Send + 'static,
) -> Decide {
    let asker = asker.clone();
    Box::new(move |found, _| decided(authorise::task(&asker, &id, found).and_then(change)))
}

fn decided(change: Result<TaskChange, Refusal>) -> (Answer, PetitionEffect) {
    match change {
        Ok(change) => {
            let answer = change.task().map(request::answer).unwrap_or_default();
            (answer, PetitionEffect::Task(change))
        }
        Err(refusal) => (Answer::refused(refusal.to_string()), PetitionEffect::Nothing),
    }
}

/// A name that can stand in bold before a text.
fn sender(name: &str) -> Option<String> {
    let name: String = name
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .filter(|character| !matches!(character, '*' | '_' | '`' | '~'))
        .take(SENDER_CHARS)
        .collect();
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}
