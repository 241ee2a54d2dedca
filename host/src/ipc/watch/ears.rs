//! What the kernel tells of the mailboxes (inotify).

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use longshore_protocol::GroupId;
use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;

use super::room::Room;
use crate::groups::watch::Snapshot;
use crate::ipc::Folder;

/// What an event means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum News {
    /// There may be a petition of this group.
    Petition(GroupId),
    /// A folder came.
    Came,
    /// A folder went, and with it the ear in it.
    Went,
    /// Nothing, such as the host's own reading.
    Nothing,
}

/// Listens to the folders that there are.
pub(super) struct Ears {
    room: Arc<Room>,
    watcher: Option<RecommendedWatcher>,
    /// What is listened to, and which directory it was.
    watched: HashMap<PathBuf, (u64, u64)>,
    warned: bool,
}

impl Ears {
    pub(super) fn new(room: &Arc<Room>) -> Self {
        let (hearing, mut warned) = (Arc::clone(room), false);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| hearing.hear(event));
        let watcher = watcher
            .map_err(|error| {
                warned = true;
                room.is_now_deaf();
                tracing::warn!(%error, "mailboxes cannot be watched; petitions are found within {:?}", super::SWEEP);
            })
            .ok();
        Self { room: Arc::clone(room), watcher, watched: HashMap::new(), warned }
    }

    /// Listens to the folders of the groups that are served. Never ends.
    ///
    /// Nothing waits for this: the watcher takes orders only when it has no news, and a flood of files is news.
    pub(super) async fn listen(mut self, mut groups: watch::Receiver<Arc<Snapshot>>) -> Infallible {
        loop {
            let served = groups.borrow_and_update().groups.iter().map(|group| group.id.clone()).collect();
            self = self.follow(served).await;
            tokio::select! {
                changed = groups.changed() => if changed.is_err() {
                    std::future::pending::<()>().await;
                },
                () = self.room.layout.notified() => {}
            }
        }
    }

    async fn follow(mut self, groups: Vec<GroupId>) -> Self {
        let room = Arc::clone(&self.room);
        let following = tokio::task::spawn_blocking(move || {
            self.watch_all(&groups);
            self
        });
        match following.await {
            Ok(ears) => ears,
            Err(error) => {
                tracing::error!(%error, "watching the mailboxes failed; it is begun anew");
                Self::new(&room)
            }
        }
    }

    /// Watches the folders as they are now, and rings for each that was not watched before: what came
    /// until then was not heard.
    fn watch_all(&mut self, groups: &[GroupId]) {
        // A folder that came again may have the number of the one that went, and news of the going that is
        // read late ends what listens to its successor and to all in it: the watcher goes by the path.
        for gone in self.room.take_gone() {
            let within: Vec<_> = self.watched.keys().filter(|path| path.starts_with(&gone)).cloned().collect();
            within.iter().for_each(|path| self.forget(path));
        }
        // The host's own folder, without which nothing that appears in it would be heard.
        if let Err(error) = fs::create_dir_all(&self.room.folder) {
            tracing::warn!(%error, "the folder of the mailboxes is missing and cannot be made");
            self.room.is_now_deaf();
        }
        let mut wanted = vec![(self.room.folder.clone(), None)];
        for group in groups {
            let own = self.room.folder.join(group.as_str());
            let places = Folder::ALL.map(|place| (own.join(place.as_str()), Some(group)));
            // A folder before what is in it: what comes there after the look at it is then news.
            wanted.push((own, Some(group)));
            wanted.extend(places);
        }
        let gone: Vec<_> =
            self.watched.keys().filter(|path| !wanted.iter().any(|(kept, _)| kept == *path)).cloned().collect();
        gone.iter().for_each(|path| self.forget(path));
        for (path, group) in wanted {
            if self.watch(&path)
                && let Some(group) = group
            {
                self.room.ring(group);
            }
        }
    }

    fn forget(&mut self, path: &Path) {
        if let (Some(watcher), Some(_)) = (&mut self.watcher, self.watched.remove(path)) {
            // It fails if the directory is gone.
            let _gone = watcher.unwatch(path);
        }
    }

    /// Whether the directory is listened to from now on and was not before.
    fn watch(&mut self, path: &Path) -> bool {
        let found = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_dir);
        let identity = found.map(|metadata| (metadata.dev(), metadata.ino()));
        if self.watched.get(path).copied() == identity {
            return false;
        }
        self.forget(path);
        let (Some(watcher), Some(identity)) = (&mut self.watcher, identity) else { return false };
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(path.to_owned(), identity);
                true
            }
            // It went again meanwhile, which the kernel tells too.
            Err(error) if has_gone(&error) => false,
            Err(error) => {
                if !self.warned {
                    tracing::warn!(%error, "a mailbox cannot be watched; petitions are found within {:?}", super::SWEEP);
                    self.warned = true;
                    self.room.is_now_deaf();
                }
                false
            }
        }
    }
}

fn has_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

impl Room {
    fn hear(&self, event: notify::Result<Event>) {
        let Ok(event) = event else { return self.hear_anything() };
        if event.need_rescan() {
            return self.hear_anything();
        }
        for path in &event.paths {
            match news(&self.folder, event.kind, path) {
                News::Petition(group) => self.ring(&group),
                News::Came => self.layout.notify_one(),
                News::Went => self.has_gone(path.clone()),
                News::Nothing => {}
            }
        }
    }

    pub(super) fn hear_anything(&self) {
        self.layout.notify_one();
        self.ring_all();
    }
}

/// Pure. The host itself opens, reads and removes files here: to be woken by that would never end.
fn news(folder: &Path, kind: EventKind, path: &Path) -> News {
    let comes = matches!(
        kind,
        EventKind::Create(_)
            | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Any))
            | EventKind::Access(AccessKind::Close(AccessMode::Write))
    );
    let goes = matches!(kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)));
    if !comes && !goes {
        return News::Nothing;
    }
    let Ok(inner) = path.strip_prefix(folder) else { return News::Nothing };
    let names: Vec<&str> = inner
        .components()
        .map(|component| match component {
            Component::Normal(name) => name.to_str().unwrap_or(""),
            _ => "",
        })
        .collect();
    let layout = if goes { News::Went } else { News::Came };
    let group = |name: &str| name.parse::<GroupId>().ok();
    let is_place = |name: &str| Folder::ALL.iter().any(|place| place.as_str() == name);
    match names.as_slice() {
        [] => layout,
        [one] if group(one).is_some() => layout,
        [one, place] if group(one).is_some() && is_place(place) => layout,
        // Of a name that is no text only the ending counts, and it costs nothing to look.
        [one, place, name] if comes && is_place(place) && (name.is_empty() || name.ends_with(".json")) => {
            group(one).map_or(News::Nothing, News::Petition)
        }
        _ => News::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, RemoveKind};

    use super::*;

    #[test]
    fn only_what_comes_from_others_wakes_anybody() {
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        let petition = || News::Petition("team".parse().unwrap());
        let closed = |mode| EventKind::Access(AccessKind::Close(mode));
        for (kind, path, expected) in [
            (renamed(RenameMode::To), "team/messages/x.json", petition()),
            (EventKind::Create(CreateKind::File), "team/tasks/x.json", petition()),
            (closed(AccessMode::Write), "team/tasks/x.json", petition()),
            (renamed(RenameMode::From), "team/tasks/x.json", News::Nothing),
            (renamed(RenameMode::Both), "team/tasks/x.json", News::Nothing),
            (closed(AccessMode::Read), "team/tasks/x.json", News::Nothing),
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), "team/tasks/x.json", News::Nothing),
            (EventKind::Remove(RemoveKind::File), "team/tasks/x.json", News::Nothing),
            (EventKind::Create(CreateKind::File), "team/tasks/x.json.tmp", News::Nothing),
            (EventKind::Create(CreateKind::File), "team/answers/x.json", News::Nothing),
            (renamed(RenameMode::To), "team/current_tasks.json", News::Nothing),
            (EventKind::Create(CreateKind::Folder), "team/.taken", News::Nothing),
            (EventKind::Create(CreateKind::Folder), "team/messages", News::Came),
            (EventKind::Create(CreateKind::Folder), "team", News::Came),
            (EventKind::Remove(RemoveKind::Folder), "team/messages", News::Went),
            (renamed(RenameMode::From), "team", News::Went),
            (EventKind::Remove(RemoveKind::Folder), "", News::Went),
            (EventKind::Create(CreateKind::File), "../x", News::Nothing),
        ] {
            let folder = Path::new("/data/ipc");
            assert_eq!(news(folder, kind, &folder.join(path)), expected, "{kind:?} {path}");
        }
    }
}
