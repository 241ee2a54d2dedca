//! Hot reload: an edit of the file is live a few milliseconds after it was written.
//!
//! The directory is watched, because editors replace files, and a slow sweep finds what the kernel did
//! not tell (a symbolic link's target, a network file system, a replaced directory). What cannot be used is looked at
//! again a moment later before anybody hears of it: it may be half written.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::problem::Problem;
use super::read::{Reading, Stamp, read};
use super::{Groups, Loaded, load};
use crate::stop::Stop;

/// How long a burst of events may go on before the file is read.
const SETTLE: Duration = Duration::from_millis(5);
/// How long something unusable must stay the same before it is reported.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long something unusable may keep changing before it is reported.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the file's state is compared without having been told of a change.
const SWEEP: Duration = Duration::from_secs(5);
/// At most this many problems are logged for one reading; the snapshot has them all.
const MAX_LOGGED: usize = 20;

/// One reading of the file, for everybody.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Rises with each reading of a changed file.
    pub generation: u64,
    /// What is served.
    pub groups: Arc<Groups>,
    /// Everything that is wrong with the file as it is now.
    pub problems: Vec<Problem>,
}

/// Follows the file.
#[derive(Debug)]
pub struct GroupsWatch {
    path: PathBuf,
    sender: watch::Sender<Arc<Snapshot>>,
    told: mpsc::Sender<()>,
    wakes: mpsc::Receiver<()>,
    /// The watcher, and the directory that it watches.
    watcher: Option<(RecommendedWatcher, (u64, u64))>,
    stamp: Option<Stamp>,
    /// What the snapshot was made from.
    published: Option<Fingerprint>,
    doubt: Option<Doubt>,
}

/// Tells two states of the file apart.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fingerprint {
    Missing,
    Failed(String),
    Content([u8; 32]),
}

/// The file cannot be used just now.
#[derive(Debug)]
struct Doubt {
    fingerprint: Fingerprint,
    /// Since when it is like this.
    since: Instant,
    /// Since when it cannot be used.
    began: Instant,
}

/// One look at the file.
struct Look {
    fingerprint: Fingerprint,
    stamp: Option<Stamp>,
    /// `None` when it is as it was.
    loaded: Option<Loaded>,
}

impl GroupsWatch {
    /// Starts to watch and reads the file for the first time; [`GroupsWatch::subscribe`] has the result.
    pub async fn open(path: impl Into<PathBuf>) -> Self {
        let (told, wakes) = mpsc::channel(1);
        let sender = watch::Sender::new(Arc::new(Snapshot::default()));
        let path = path.into();
        let mut this = Self { path, sender, told, wakes, watcher: None, stamp: None, published: None, doubt: None };
        // Watching begins before reading, so that no edit falls between.
        this.follow_directory();
        this.look().await;
        while this.doubt.is_some() {
            sleep(LOOK_AGAIN).await;
            this.look().await;
        }
        this
    }

    /// The newest snapshot, now and whenever there is another.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.sender.subscribe()
    }

    /// Follows the file until told to stop.
    pub async fn run(mut self, stop: Stop) {
        stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&mut self) {
        loop {
            let patience = if self.doubt.is_some() { LOOK_AGAIN } else { SWEEP };
            match timeout(patience, self.wakes.recv()).await {
                Ok(_) => {
                    sleep(SETTLE).await;
                    while self.wakes.try_recv().is_ok() {}
                    self.look().await;
                }
                Err(_) if self.doubt.is_some() => self.look().await,
                Err(_) => self.sweep().await,
            }
        }
    }

    /// Looks if anything about the file changed, and watches the directory anew if it is another one.
    async fn sweep(&mut self) {
        self.follow_directory();
        let stamp = fs::metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata));
        if stamp != self.stamp {
            self.look().await;
            while self.doubt.is_some() {
                sleep(LOOK_AGAIN).await;
                self.look().await;
            }
        }
    }

    /// Reads the file and publishes what it says if that is new and certain.
    async fn look(&mut self) {
        let path = self.path.clone();
        let groups = Arc::clone(&self.sender.borrow().groups);
        let published = self.published.clone();
        let looking = tokio::task::spawn_blocking(move || look(&path, &groups, published.as_ref()));
        let Ok(Look { fingerprint, stamp, loaded }) = looking.await else {
            tracing::error!("reading the groups file panicked; the groups stay as they were");
            return;
        };
        self.stamp = stamp;
        let Some(loaded) = loaded else {
            self.doubt = None;
            return;
        };
        if loaded.is_unreadable() {
            let now = Instant::now();
            let (since, began) = match self.doubt.take() {
                Some(doubt) if doubt.fingerprint == fingerprint => (doubt.since, doubt.began),
                Some(doubt) => (now, doubt.began),
                None => (now, now),
            };
            if now - since < LOOK_AGAIN && now - began < PATIENCE {
                self.doubt = Some(Doubt { fingerprint, since, began });
                return;
            }
        }
        self.doubt = None;
        self.published = Some(fingerprint);
        self.publish(loaded);
    }

    fn publish(&self, loaded: Loaded) {
        let _span = tracing::info_span!("reload", generation = loaded.groups.generation()).entered();
        tracing::info!(groups = loaded.groups.len(), problems = loaded.problems.len(), "groups file read");
        for problem in loaded.problems.iter().take(MAX_LOGGED) {
            tracing::warn!("groups file: {problem}");
        }
        let generation = loaded.groups.generation();
        let groups = Arc::new(loaded.groups);
        self.sender.send_replace(Arc::new(Snapshot { generation, groups, problems: loaded.problems }));
    }

    /// Watches the file's directory, unless it is watched already.
    fn follow_directory(&mut self) {
        let directory = directory_of(&self.path);
        let identity = fs::metadata(directory).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        if self.watcher.as_ref().map(|(_, identity)| *identity) == identity {
            return;
        }
        self.watcher = identity.and_then(|identity| match start_watcher(&self.path, self.told.clone()) {
            Ok(watcher) => Some((watcher, identity)),
            Err(error) => {
                tracing::warn!(%error, "cannot watch the groups file; changes are found within {SWEEP:?}");
                None
            }
        });
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn start_watcher(path: &Path, told: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let name = path.file_name().map(ToOwned::to_owned);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let concerns = event.is_ok_and(|event| {
            // Reading the file is an event too; to be woken by our own look would never end.
            let written =
                !event.kind.is_access() || event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
            let ours = event.paths.iter().any(|path| path.file_name() == name.as_deref());
            event.need_rescan() || (written && ours)
        });
        if concerns {
            // Full means that a wake waits already.
            let _ = told.try_send(());
        }
    })?;
    watcher.watch(directory_of(path), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn look(path: &Path, groups: &Groups, published: Option<&Fingerprint>) -> Look {
    let reading = read(path);
    let fingerprint = fingerprint(&reading);
    let stamp = match &reading {
        Ok(Reading::Content { metadata, .. }) => Some(Stamp::of(metadata)),
        _ => fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata)),
    };
    if published == Some(&fingerprint) {
        return Look { fingerprint, stamp, loaded: None };
    }
    let loaded = match reading {
        Ok(Reading::Content { bytes, .. }) => load(&bytes, groups),
        Ok(Reading::Missing) => without_file(groups, format!("there is no groups file at `{}`", path.display())),
        Err(error) => without_file(groups, format!("the groups file `{}` cannot be read: {error}", path.display())),
    };
    Look { fingerprint, stamp, loaded: Some(loaded) }
}

fn fingerprint(reading: &io::Result<Reading>) -> Fingerprint {
    match reading {
        Ok(Reading::Missing) => Fingerprint::Missing,
        Ok(Reading::Content { bytes, .. }) => Fingerprint::Content(Sha256::digest(bytes).into()),
        Err(error) => Fingerprint::Failed(error.to_string()),
    }
}

fn without_file(groups: &Groups, text: String) -> Loaded {
    let problem = Problem::of_file(text, groups.effect_of_no_file());
    let groups = Groups { generation: groups.generation + 1, ..groups.clone() };
    Loaded { groups, problems: vec![problem] }
}

#[cfg(test)]
mod tests;
