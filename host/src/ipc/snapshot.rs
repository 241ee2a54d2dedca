//! What agents see of tasks and chats: files that are rewritten when they change.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longshore_protocol::GroupId;
use longshore_protocol::ipc::{AvailableGroup, AvailableGroups, TaskSnapshot};
use serde::Serialize;
use tokio::sync::{Notify, watch};

use super::mailbox;
use crate::clock::Clock;
use crate::groups::watch::Snapshot;
use crate::groups::{Group, Groups};
use crate::stop::Stop;
use crate::store::messages::KnownChat;
use crate::store::tasks::{PausedBecause, Task, TaskFilter};
use crate::store::{Store, StoreError};

/// Each group's tasks.
const TASKS: &str = "current_tasks.json";
/// The main group's list of chats.
const CHATS: &str = "available_groups.json";
/// How long further changes are waited for: a hundred tasks that fire at once rewrite a file once.
const SETTLE: Duration = Duration::from_millis(200);
/// How many tasks of all groups the main group is shown, and how many bytes of them: agents read the file whole.
const MOST_TASKS: usize = 5_000;
const MOST_BYTES: usize = 3 * 1024 * 1024;
/// How many chats it is shown.
const MOST_CHATS: usize = 5_000;

/// Writes the snapshots. Clones share the list of what is out of date.
#[derive(Clone)]
pub struct Snapshots(Arc<Shared>);

struct Shared {
    /// `data/ipc`.
    folder: PathBuf,
    store: Store,
    groups: watch::Receiver<Arc<Snapshot>>,
    clock: Clock,
    dirty: Mutex<BTreeSet<GroupId>>,
    marked: Notify,
    /// A hash of each file's content as it was written last.
    written: Mutex<HashMap<(GroupId, &'static str), u64>>,
}

impl Snapshots {
    /// Snapshots in the groups' folders under `folder`, which is `data/ipc`.
    #[must_use]
    pub fn new(folder: PathBuf, store: Store, groups: watch::Receiver<Arc<Snapshot>>, clock: Clock) -> Self {
        let (dirty, marked, written) = Default::default();
        Self(Arc::new(Shared { folder, store, groups, clock, dirty, marked, written }))
    }

    /// The group's tasks have changed, or its folder is new. What the main group sees has changed with it.
    pub fn mark(&self, group: &GroupId) {
        self.0.dirty.lock().unwrap_or_else(PoisonError::into_inner).insert(group.clone());
        self.0.marked.notify_one();
    }

    /// Writes what is out of date until told to stop.
    ///
    /// # Errors
    /// When the store is closed or damaged.
    pub async fn run(self, stop: Stop) -> anyhow::Result<()> {
        let mut groups = self.0.groups.clone();
        loop {
            let all = groups.borrow_and_update().groups.clone();
            self.0
                .dirty
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(all.iter().map(|group| group.id.clone()));
            loop {
                let dirty = std::mem::take(&mut *self.0.dirty.lock().unwrap_or_else(PoisonError::into_inner));
                self.write_marked(dirty).await?;
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    changed = groups.changed() => if changed.is_err() { return Ok(()) } else { break },
                    () = self.0.marked.notified() => tokio::time::sleep(SETTLE).await,
                }
            }
        }
    }

    async fn write_marked(&self, dirty: BTreeSet<GroupId>) -> Result<(), StoreError> {
        if dirty.is_empty() {
            return Ok(());
        }
        let groups = self.0.groups.borrow().groups.clone();
        let main = groups.main().cloned();
        let others = dirty.iter().filter_map(|id| groups.by_id(id)).filter(|group| !group.is_main);
        for group in others.chain(main.as_ref()) {
            match self.write(group, &groups).await {
                Err(StoreError::Stalled(cause)) => {
                    tracing::warn!(group = %group.id, cause, "a snapshot of tasks could not be written; trying again");
                    self.mark(&group.id);
                }
                done => done?,
            }
        }
        Ok(())
    }

    /// Writes the group's snapshots now, so that an agent that was just answered finds in them what it did.
    ///
    /// # Errors
    /// What the store says. A file that cannot be written is logged.
    pub async fn write(&self, group: &Arc<Group>, groups: &Arc<Groups>) -> Result<(), StoreError> {
        let own = (!group.is_main).then(|| group.id.clone());
        let filter = TaskFilter { group: own, ended: false, limit: Some(MOST_TASKS) };
        let tasks = self.0.store.tasks(filter).await?;
        let mut bytes = 0;
        let fits = |task: &&Task| {
            bytes += task.prompt.len() + 500;
            bytes <= MOST_BYTES
        };
        let tasks: Vec<TaskSnapshot> = tasks.iter().take_while(fits).map(task_snapshot).collect();
        self.put(group, TASKS, &tasks, &tasks).await;
        let chats = if group.is_main {
            self.0.store.chats(MOST_CHATS).await?
        } else if self.0.folder.join(group.id.as_str()).join(CHATS).exists() {
            // It was the main group: what it saw then is no longer its business.
            Vec::new()
        } else {
            return Ok(());
        };
        let chats = chats.into_iter().map(|chat| available(chat, groups)).collect();
        let available = AvailableGroups { groups: chats, last_sync: format!("{:.3}", self.0.clock.now()) };
        self.put(group, CHATS, &available.groups, &available).await;
        Ok(())
    }

    /// Writes a file unless `content`, which is all of it that says something, is what is there already.
    async fn put(&self, group: &Group, name: &'static str, content: &impl Serialize, whole: &impl Serialize) {
        let (Ok(content), Ok(bytes)) = (serde_json::to_vec(content), serde_json::to_vec_pretty(whole)) else { return };
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let (key, hash) = ((group.id.clone(), name), hasher.finish());
        if self.0.written.lock().unwrap_or_else(PoisonError::into_inner).get(&key) == Some(&hash) {
            return;
        }
        let (folder, id) = (self.0.folder.clone(), group.id.clone());
        let written = tokio::task::spawn_blocking(move || mailbox::replace(&folder, &id, name, &bytes)).await;
        match written {
            Ok(Ok(())) => {
                self.0.written.lock().unwrap_or_else(PoisonError::into_inner).insert(key, hash);
            }
            // The folder is made with the group's first container, and the group is marked then.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
            Ok(Err(error)) => tracing::warn!(group = %group.id, name, %error, "a snapshot could not be written"),
            Err(error) => tracing::warn!(group = %group.id, name, %error, "a snapshot could not be written"),
        }
    }
}

fn task_snapshot(task: &Task) -> TaskSnapshot {
    TaskSnapshot {
        id: task.id.to_string(),
        group_folder: task.group.to_string(),
        prompt: task.prompt.clone(),
        schedule_type: task.schedule_type,
        schedule_value: task.schedule_value.clone(),
        context_mode: task.context_mode,
        timezone: task.zone.clone(),
        status: task.status,
        next_run: task.next_run.map(|time| format!("{time:.3}")),
        paused_because: task.paused_because.map(|why| PausedBecause::as_str(why).to_owned()),
    }
}

fn available(chat: KnownChat, groups: &Groups) -> AvailableGroup {
    AvailableGroup {
        is_registered: groups.by_chat(&chat.chat).is_some(),
        last_activity: format!("{:.3}", chat.last_activity_at),
        jid: chat.chat,
        name: chat.name,
    }
}
